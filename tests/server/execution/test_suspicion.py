"""An execution that kills its server is found by starting the suspects alone."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from airplane_runbooks.server.errors import Closing
from airplane_runbooks.server.execution.suspicion import TRIAL, Trials
from airplane_runbooks.server.storage.records import Run, RunKind
from tests.support.servers import eventually
from tests.support.supervised import supervised


def run(run_id):
    return Run(
        id=run_id,
        kind=RunKind.RUNBOOK,
        task_id="t",
        slug="s",
        name="n",
        env_slug="prod",
        fencing_token=2,
        failed_starts=2,
    )


class TestTrials:
    @pytest.fixture
    def moment(self):
        return [0.0]

    @pytest.fixture
    def trials(self, moment):
        return Trials(lambda: moment[0])

    @pytest.fixture
    def entering(self, trials):
        """Enter on a thread, and return the outcome if it comes in time."""
        threads = []

        def enter(run_id, *, suspect=False):
            results = []

            def wait():
                with suppress(Closing):
                    results.append(trials.enter(run_id, suspect=suspect))

            thread = threading.Thread(target=wait)
            threads.append(thread)
            thread.start()
            thread.join(0.1)  # a thread that waits would wait for ever
            return results

        yield enter
        trials.close()
        for thread in threads:
            thread.join()

    def test_those_that_nothing_is_known_of_begin_side_by_side(self, trials):
        assert [trials.enter(name, suspect=False) for name in "abc"] == [[], [], []]

    def test_a_suspect_waits_until_all_others_have_got_further_or_have_lasted(self, trials, entering, moment):
        trials.enter("a", suspect=False)
        trials.enter("b", suspect=False)
        result = entering("s", suspect=True)
        trials.leave("a")
        assert not result
        moment[0] = TRIAL
        trials.leave("nothing")  # wakes those that wait
        assert eventually(lambda: result) == [[]]

    @pytest.mark.parametrize("other_is_suspect", [False, True])
    def test_while_a_suspect_is_on_trial_nothing_else_begins(self, trials, entering, other_is_suspect):
        trials.enter("s", suspect=True)
        trials.begun(run("s"))
        result = entering("x", suspect=other_is_suspect)
        assert not result
        trials.leave("s")
        assert eventually(lambda: result) == [[]]

    def test_those_that_nothing_is_known_of_do_not_overtake_a_suspect(self, trials, entering):
        trials.enter("a", suspect=False)
        suspect, fresh = entering("s", suspect=True), entering("b")
        trials.leave("a")
        eventually(lambda: suspect)
        assert not fresh

    def test_a_suspect_that_has_lasted_is_cleared_once(self, trials, moment):
        trials.enter("s", suspect=True)
        trials.begun(run("s"))
        moment[0] = TRIAL
        assert [one.id for one in trials.enter("t", suspect=True)] == ["s"]
        moment[0] = 2 * TRIAL
        assert trials.enter("a", suspect=False) == []

    def test_one_that_has_got_further_is_not_cleared_but_done_with(self, trials, moment):
        trials.enter("s", suspect=True)
        trials.begun(run("s"))
        trials.leave("s")
        moment[0] = TRIAL
        assert trials.enter("a", suspect=False) == []

    def test_nothing_begins_or_waits_after_the_end(self, trials):
        trials.enter("s", suspect=True)
        problems = []

        def wait():
            with pytest.raises(Closing):
                trials.enter("t", suspect=True)
            problems.append(None)

        thread = threading.Thread(target=wait)
        thread.start()
        trials.close()
        thread.join()
        assert problems == [None]
        with pytest.raises(Closing):
            trials.enter("a", suspect=False)


BOOKS = """
    from airplane_runbooks.server.execution import runner

    runner.MOST_FAILED_STARTS = MOST

    def work(name, seconds):
        note(f"{name}.begun")
        time.sleep(seconds)
        note(f"{name}.done")

    def die(how):
        note("died")
        time.sleep(0.1)
        if how == "exit":
            os._exit(1)
        elif how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "fault":
            import ctypes
            ctypes.string_at(0)
        elif how == "stack":
            import ctypes
            sys.setrecursionlimit(1_000_000_000)  # or it would stop in time
            ctypes.CFUNCTYPE(None)(deeper)()

    def deeper():
        import ctypes
        ctypes.CFUNCTYPE(None)(deeper)()

    @runbook
    def healthy(context: Context, name: str, seconds: float) -> str:
        context.step(work, f"{name}.1", seconds, name="one")
        context.step(work, f"{name}.2", seconds, name="two")
        return name

    @runbook
    def poison(context: Context, how: str) -> None:
        context.step(die, how)

    BOOKS, OPTIONS = [healthy, poison], {"grace": 1.0}
"""


def books(most):
    return BOOKS.replace("= MOST", f"= {most}")


def see_through(servers, seconds, how, most=10, deadline=300):
    """Run one culprit beside healthy sessions, restart what dies, and return the ends of all."""
    client, healthy = servers[0].client, 4
    ids = [client.execute("healthy", {"name": f"h{number}", "seconds": seconds}) for number in range(healthy)]
    eventually(lambda: sum(note.endswith(".begun") for note in servers[0].notes) == healthy)
    ids.append(client.execute("poison", {"how": how}))

    def ended():
        for server in servers:
            server.watch()
        time.sleep(0.1)  # leave the processor to them
        for server in servers:
            statuses = server.statuses(ids)
            if statuses and all(status in {"Succeeded", "Failed", "Cancelled"} for status in statuses):
                return server.client, statuses
        return None

    client, statuses = eventually(ended, deadline)
    assert statuses == ["Succeeded"] * healthy + ["Failed"]
    (own, _) = client.runs(ids[-1])
    error = client.output(own)["error"]
    assert f"broke off {most} times" in error
    notes = servers[0].notes
    for number in range(healthy):
        for step in (1, 2):
            assert notes.count(f"h{number}.{step}.done") == 1
    return notes


@pytest.mark.once
@pytest.mark.timeout(400)
def test_a_session_that_kills_its_server_is_found_out_and_costs_the_others_nothing(tmp_path):
    with supervised(books(2), f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as servers:
        notes = see_through(servers, 2.0, "exit", 2)
        assert notes.count("died") == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["exit", "kill", "fault", "stack"])
def test_a_session_that_kills_its_server_in_any_way_is_found_out(tmp_path, how):
    with supervised(books(10), f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as servers:
        see_through(servers, 6.0, how, deadline=800)


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_session_that_kills_one_server_after_the_other_is_found_out(tmp_path, postgres_url):
    with supervised(books(2), postgres_url, tmp_path, 2) as servers:
        see_through(servers, 3.0, "kill", 2)
