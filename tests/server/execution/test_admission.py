"""An execution that kills its server is found by starting the suspects alone."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from airplane_runbooks.server.errors import Closing
from airplane_runbooks.server.execution.admission import PROBATION, Admission
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


@pytest.fixture
def moment():
    return [0.0]


@pytest.fixture
def admission(moment):
    return Admission(lambda: moment[0])


@pytest.fixture
def admitting(admission):
    """Enter on a thread, and return the outcome if it comes in time."""
    threads = []

    def admit(run_id, *, suspect=False):
        results = []

        def wait():
            with suppress(Closing):
                results.append(admission.admit(run_id, suspect=suspect))

        thread = threading.Thread(target=wait)
        threads.append(thread)
        thread.start()
        thread.join(0.1)  # a thread that waits would wait for ever
        return results

    yield admit
    admission.close()
    for thread in threads:
        thread.join()


def test_executions_without_suspicion_begin_side_by_side(admission):
    assert [admission.admit(name, suspect=False) for name in "abc"] == [[], [], []]


def test_a_suspect_waits_for_progress_of_all_others(admission, admitting, moment):
    admission.admit("a", suspect=False)
    admission.admit("b", suspect=False)
    result = admitting("s", suspect=True)
    admission.end_probation("a")
    assert not result
    moment[0] = PROBATION
    admission.end_probation("nothing")  # wakes waiting threads
    assert eventually(lambda: result) == [[]]


@pytest.mark.parametrize("other_is_suspect", [False, True])
def test_no_execution_begins_beside_a_suspect_on_probation(admission, admitting, other_is_suspect):
    admission.admit("s", suspect=True)
    admission.started(run("s"))
    result = admitting("x", suspect=other_is_suspect)
    assert not result
    admission.end_probation("s")
    assert eventually(lambda: result) == [[]]


def test_a_new_execution_does_not_overtake_a_waiting_suspect(admission, admitting):
    admission.admit("a", suspect=False)
    suspect, fresh = admitting("s", suspect=True), admitting("b")
    admission.end_probation("a")
    eventually(lambda: suspect)
    assert not fresh


def test_a_suspect_that_outlasts_its_probation_is_cleared_once(admission, moment):
    admission.admit("s", suspect=True)
    admission.started(run("s"))
    moment[0] = PROBATION
    assert [one.id for one in admission.admit("t", suspect=True)] == ["s"]
    moment[0] = 2 * PROBATION
    assert admission.admit("a", suspect=False) == []


def test_a_suspect_that_makes_progress_is_not_cleared(admission, moment):
    admission.admit("s", suspect=True)
    admission.started(run("s"))
    admission.end_probation("s")
    moment[0] = PROBATION
    assert admission.admit("a", suspect=False) == []


def test_an_execution_is_admitted_at_once_unless_it_must_wait(admission, admitting):
    assert admission.admit_at_once("a")
    suspect = admitting("s", suspect=True)
    assert not admission.admit_at_once("b")
    admission.end_probation("a")
    eventually(lambda: suspect)
    assert not admission.admit_at_once("b")
    admission.end_probation("s")
    assert admission.admit_at_once("b")
    admission.close()
    assert not admission.admit_at_once("c")


def test_a_cleared_suspect_is_told_to_the_next_one_admitted(admission, moment):
    admission.admit("s", suspect=True)
    admission.started(run("s"))
    moment[0] = PROBATION
    assert not admission.admit_at_once("a")
    assert [one.id for one in admission.admit("a", suspect=False)] == ["s"]
    assert admission.admit_at_once("b")


def test_no_execution_is_admitted_after_the_close(admission):
    admission.admit("s", suspect=True)
    problems = []

    def wait():
        with pytest.raises(Closing):
            admission.admit("t", suspect=True)
        problems.append(None)

    thread = threading.Thread(target=wait)
    thread.start()
    admission.close()
    thread.join()
    assert problems == [None]
    with pytest.raises(Closing):
        admission.admit("a", suspect=False)


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
    assert f"its server died {most} times" in error
    notes = servers[0].notes
    for number in range(healthy):
        for step in (1, 2):
            assert notes.count(f"h{number}.{step}.done") == 1
    return notes


@pytest.mark.once
@pytest.mark.timeout(400)
def test_a_session_that_kills_its_server_is_found(tmp_path):
    with supervised(books(2), f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as servers:
        notes = see_through(servers, 2.0, "exit", 2)
        assert notes.count("died") == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["exit", "kill", "fault", "stack"])
def test_a_session_that_kills_its_server_in_any_way_is_found(tmp_path, how):
    with supervised(books(10), f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as servers:
        see_through(servers, 6.0, how, deadline=800)


@pytest.mark.postgres
@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_session_that_kills_several_servers_is_found(tmp_path, postgres_url):
    with supervised(books(2), postgres_url, tmp_path, 2) as servers:
        see_through(servers, 3.0, "kill", 2)
