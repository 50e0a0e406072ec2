"""Long polls: requests that the server answers once something has changed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from airplane_runbooks.server import Context, Limits, RunbookServer, User, runbook, task
from airplane_runbooks.server.storage.changes import CHANGES
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.web.api import preferences
from tests.support.polling import Polls
from tests.support.servers import Client, eventually
from tests.support.statements import observed_statements

LONG = "wait=300"
GENERATED = "speakeasy-sdk/go 3.2.3"
ADA = User("ada@example.com", "tkn_ada_who_waits_for_changes")
GATES: dict[str, threading.Event] = {}


def pass_gate(name: str) -> str:
    assert GATES[name].wait(30)
    return name


@runbook
def ask(context: Context) -> bool:
    """Ask a human."""
    return context.prompt("Go on?", go=bool)["go"]


@runbook
def quick(context: Context) -> int:
    """End at once."""
    return context.step(len, "abc")


@runbook
def slow(context: Context) -> str:
    """Take two steps, each of which waits for a gate."""
    return context.step(pass_gate, "first") + context.step(pass_gate, "second")


@task
def gated() -> str:
    """Wait for a gate."""
    return pass_gate("task")


@pytest.fixture
def gates():
    GATES.update((name, threading.Event()) for name in ("first", "second", "task"))
    return GATES


@pytest.fixture
def serve(gates, monkeypatch):
    """Return a function that starts a server, and returns it with a client and its long polls.

    It lets them wait for longer than any machine takes for a test.
    """
    monkeypatch.setattr(preferences, "LONGEST_WAIT", 300)
    closing_last = []

    def start(**options):
        server = RunbookServer([ask, quick, slow], [gated], **options).start()
        client = Client(server)
        polls = Polls(server, client)
        closing_last.extend([server, client, polls])
        return server, client, polls

    yield start
    for gate in gates.values():
        gate.set()
    for one in reversed(closing_last):
        one.close()


@pytest.fixture
def api(serve):
    return serve()


def get(session_id):
    return f"/sessions/get?id={session_id}"


def waiting_session(client):
    session_id = client.execute("ask")
    client.reaches(session_id, "Waiting")
    return session_id


def answer(client, session_id):
    assert client.answer(session_id, go=True).status == 200


class TestEntityTags:
    def test_an_unchanged_object_has_the_same_tag(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        prompt = client.open_prompt(session_id)
        for path in (get(session_id), f"/prompts/get?id={prompt['id']}", f"/runs/get?id={prompt['runID']}"):
            first, second = polls.ask(path), polls.ask(path)
            assert first.etag == second.etag
            assert first.etag.startswith('W/"')
            assert first.headers["vary"] == "User-Agent, Prefer"
            assert first.applied is None

    def test_a_change_of_status_or_of_open_prompts_is_a_new_tag(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        prompt = client.open_prompt(session_id)
        paths = (get(session_id), f"/prompts/get?id={prompt['id']}", f"/runs/get?id={prompt['runID']}")
        before = [polls.ask(path).etag for path in paths]
        answer(client, session_id)
        client.reaches(session_id, "Succeeded")
        after = [polls.ask(path).etag for path in paths]
        assert all(one != other for one, other in zip(before, after, strict=True))

    def test_a_step_does_not_change_the_tag_of_its_session(self, api):
        _, client, polls = api
        session_id = client.execute("slow")
        eventually(lambda: len(client.runs(session_id)) == 2)
        before = polls.ask(get(session_id)).etag
        GATES["first"].set()
        eventually(lambda: len(client.runs(session_id)) == 3)
        assert polls.ask(get(session_id)).etag == before

    def test_replies_for_generated_clients_have_tags_of_their_own(self, api):
        _, client, polls = api
        path = get(waiting_session(client))
        plain, generated = polls.ask(path), polls.ask(path, User_Agent=GENERATED)
        assert plain.etag != generated.etag
        assert polls.ask(path, User_Agent=GENERATED, If_None_Match=generated.etag).status == 304
        assert polls.ask(path, User_Agent=GENERATED, If_None_Match=plain.etag).status == 200

    @pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
    def test_a_known_tag_is_answered_304_at_once(self, api, form):
        _, client, polls = api
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        reply = polls.ask(path, If_None_Match=form.format(etag))
        assert (reply.status, reply.body, reply.etag) == (304, b"", etag)
        assert reply.headers["content-type"] is None
        assert reply.headers["cache-control"] == "no-store"

    def test_an_unknown_tag_is_answered_with_the_object(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        reply = polls.ask(get(session_id), If_None_Match='"other"')
        assert (reply.status, reply.json["id"]) == (200, session_id)

    def test_head_has_the_headers_of_get(self, api):
        _, client, polls = api
        path = get(waiting_session(client))
        full, head = polls.ask(path), polls.ask(path, method="HEAD")
        assert (head.status, head.etag, head.body) == (200, full.etag, b"")
        assert polls.ask(path, method="HEAD", If_None_Match=full.etag).status == 304


class TestWaiting:
    def test_an_object_at_rest_is_answered_at_once(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        prompt = client.open_prompt(session_id)
        for path in (get(session_id), f"/prompts/get?id={prompt['id']}", f"/runs/get?id={prompt['runID']}"):
            reply = polls.ask(path, Prefer=LONG)
            assert (reply.status, reply.applied) == (200, LONG)
        answer(client, session_id)
        client.reaches(session_id, "Succeeded")
        assert polls.ask(get(session_id), Prefer=LONG).json["status"] == "Succeeded"

    def test_a_session_is_answered_once_it_waits_for_a_human(self, api):
        _, client, polls = api
        reply = polls.ask(get(client.execute("ask")), Prefer=LONG)
        assert (reply.status, reply.json["status"], reply.applied) == (200, "Waiting", LONG)

    def test_a_run_of_a_task_is_answered_at_its_end(self, api, gates):
        _, client, polls = api
        run_id = client.post("/tasks/execute", {"slug": "gated"}).json["runID"]
        poll = polls.start(f"/runs/get?id={run_id}", Prefer=LONG)
        polls.await_waiting(1)
        gates["task"].set()
        assert poll.reply().json["status"] == "Succeeded"

    def test_a_run_of_a_step_is_answered_at_its_end(self, api, gates):
        _, client, polls = api
        session_id = client.execute("slow")
        eventually(lambda: len(client.runs(session_id)) == 2)
        step = client.runs(session_id)[1]
        poll = polls.start(f"/runs/get?id={step['id']}", Prefer=LONG)
        polls.await_waiting(1)
        gates["first"].set()
        assert poll.reply().json["status"] == "Succeeded"

    def test_a_known_state_is_answered_once_it_has_changed(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        prompt = client.open_prompt(session_id)
        paths = (get(session_id), f"/prompts/get?id={prompt['id']}", f"/runs/get?id={prompt['runID']}")
        known = [polls.ask(path).etag for path in paths]
        waiting = [polls.start(path, Prefer=LONG, If_None_Match=etag) for path, etag in zip(paths, known, strict=True)]
        polls.await_waiting(3)
        answer(client, session_id)
        for poll, etag in zip(waiting, known, strict=True):
            reply = poll.reply()
            assert (reply.status, reply.applied) == (200, LONG)
            assert reply.etag != etag

    def test_an_unchanged_state_is_answered_304_in_the_end(self, api):
        _, client, polls = api
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        reply = polls.ask(path, Prefer="wait=1", If_None_Match=etag)
        assert (reply.status, reply.body, reply.etag, reply.applied) == (304, b"", etag, "wait=1")

    def test_an_object_that_is_not_at_rest_is_answered_in_the_end(self, api):
        _, client, polls = api
        session_id = client.execute("slow")
        for wait in ("wait=0", "wait=1"):
            reply = polls.ask(get(session_id), Prefer=wait)
            assert (reply.status, reply.applied) == (200, wait)
            assert reply.json["status"] in ("Pending", "Active")

    def test_a_longer_wait_than_the_server_allows_is_shortened(self, api):
        _, client, polls = api
        assert polls.ask(get(waiting_session(client)), Prefer="wait=3600").applied == LONG

    @pytest.mark.parametrize("prefer", ["respond-async", "wait=soon", "wait", '=,;"', "handling=strict; wait=9"])
    def test_a_foreign_or_malformed_preference_is_ignored(self, api, prefer):
        _, client, polls = api
        reply = polls.ask(get(client.execute("slow")), Prefer=prefer)
        assert (reply.status, reply.applied) == (200, None)

    def test_head_waits_as_get_does(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        etag = polls.ask(get(session_id)).etag
        poll = polls.start(get(session_id), method="HEAD", Prefer=LONG, If_None_Match=etag)
        polls.await_waiting(1)
        answer(client, session_id)
        reply = poll.reply()
        assert (reply.status, reply.body, reply.applied) == (200, b"", LONG)

    def test_an_unknown_object_and_a_bad_query_are_refused_at_once(self, api):
        _, _, polls = api
        for path, status in (("/sessions/get?id=none", 404), ("/sessions/get", 400), ("/runs/get?id=%ff", 400)):
            reply = polls.ask(path, Prefer=LONG)
            assert (reply.status, reply.applied, reply.etag) == (status, None, None)

    def test_a_connection_serves_one_long_poll_after_the_other(self, api):
        _, client, polls = api
        session_id = client.execute("ask")
        poll = polls.start(get(session_id), Prefer=LONG)
        first = poll.reply()
        poll.send(get(session_id), Prefer=LONG, If_None_Match=first.etag)
        polls.await_waiting(1)
        answer(client, session_id)
        second = poll.reply()
        assert (first.json["status"], second.status) == ("Waiting", 200)

    def test_generated_clients_that_wait_get_their_form(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        etag = polls.ask(get(session_id), User_Agent=GENERATED).etag
        generated = polls.start(get(session_id), User_Agent=GENERATED, Prefer=LONG, If_None_Match=etag)
        plain = polls.start(get(session_id), Prefer=LONG, If_None_Match=polls.ask(get(session_id)).etag)
        polls.await_waiting(2)
        answer(client, session_id)
        assert {generated.reply().etag, plain.reply().etag}.isdisjoint({etag})


class TestTroubleWhileWaiting:
    def test_an_object_that_is_dropped_meanwhile_is_answered_404(self, serve):
        _, client, polls = serve(keep_ended=1)
        session_id = client.execute("quick")
        client.reaches(session_id, "Succeeded")
        etag = polls.ask(get(session_id)).etag
        poll = polls.start(get(session_id), Prefer=LONG, If_None_Match=etag)
        polls.await_waiting(1)
        client.finishes("quick")
        reply = poll.reply()
        assert (reply.status, reply.applied) == (404, None)

    def test_a_database_that_fails_meanwhile_is_answered_503(self, api, monkeypatch):
        server, client, polls = api
        session_id = waiting_session(client)
        etag = polls.ask(get(session_id)).etag
        poll = polls.start(get(session_id), Prefer=LONG, If_None_Match=etag)
        polls.await_waiting(1)

        def fail(_session_id):
            raise DatabaseUnavailable

        monkeypatch.setattr(server._lifecycle.services.store, "session_with_root", fail)
        (run,) = [run for run in client.runs(session_id) if run["parentID"] is None]
        server._lifecycle.services.notifications.publish(CHANGES, [run["id"]])
        reply = poll.reply()
        assert (reply.status, reply.headers["x-airplane-retryable"]) == (503, "true")

    def test_a_client_that_hangs_up_frees_its_place_at_once(self, serve):
        _, client, polls = serve(limits=Limits(max_waiting=1))
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        for _ in range(3):
            poll = polls.start(path, Prefer=LONG, If_None_Match=etag)
            polls.await_waiting(1)
            poll.close()
            polls.await_waiting(0)

    def test_a_server_that_stops_answers_all_that_wait(self, serve):
        server, client, polls = serve()
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        unchanged = [polls.start(path, Prefer=LONG, If_None_Match=etag) for _ in range(50)]
        running = polls.start(get(client.execute("slow")), Prefer=LONG)
        polls.await_waiting(51)
        with ThreadPoolExecutor(1) as stopper:
            stopped = stopper.submit(server.close)
            replies = [poll.reply() for poll in (*unchanged, running)]
            GATES["first"].set()
            stopped.result(30)
        assert [reply.status for reply in replies] == [304] * 50 + [200]
        assert {reply.headers["connection"] for reply in replies} == {"close"}
        assert {reply.applied for reply in replies} == {None}


class TestLimits:
    def test_long_polls_beyond_the_limit_are_answered_at_once(self, serve):
        _, client, polls = serve(limits=Limits(max_waiting=2))
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        for _ in range(2):
            polls.start(path, Prefer=LONG, If_None_Match=etag)
        polls.await_waiting(2)
        reply = polls.ask(path, Prefer=LONG, If_None_Match=etag)
        assert (reply.status, reply.applied) == (304, None)
        assert polls.ask(path, Prefer=LONG).status == 200

    def test_one_user_of_several_has_at_most_half_of_the_places(self, serve):
        server, client, polls = serve(limits=Limits(max_waiting=4), users=[ADA])
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        for _ in range(2):
            polls.start(path, Prefer=LONG, If_None_Match=etag)
        polls.await_waiting(2)
        assert polls.ask(path, Prefer=LONG, If_None_Match=etag).applied is None
        with closing(Client(server, **{"X-Airplane-API-Key": "tkn_ada_who_waits_for_changes"})) as ada:
            polls.start(path, client=ada, Prefer=LONG, If_None_Match=etag)
            polls.await_waiting(3)

    def test_long_polls_count_neither_as_calls_nor_as_connections(self, serve):
        limits = Limits(max_calls=2, max_connections=8)
        _, client, polls = serve(limits=limits)
        path = get(waiting_session(client))
        etag = polls.ask(path).etag
        for number in range(1, 41):
            polls.start(path, Prefer=LONG, If_None_Match=etag)
            polls.await_waiting(number)
        for _ in range(20):
            assert polls.ask(path).status == 200
        assert client.get("/sessions/list").status == 200

    def test_answered_long_polls_leave_room_for_other_connections(self, serve):
        _, client, polls = serve(limits=Limits(max_connections=8))
        session_id = waiting_session(client)
        etag = polls.ask(get(session_id)).etag
        waiting = []
        for number in range(1, 41):
            waiting.append(polls.start(get(session_id), Prefer=LONG, If_None_Match=etag))
            polls.await_waiting(number)
        answer(client, session_id)
        replies = [poll.reply() for poll in waiting]
        assert {reply.status for reply in replies} == {200}
        kept = [reply for reply in replies if reply.headers["connection"] != "close"]
        assert len(kept) <= 4
        assert [polls.ask(get(session_id)).status for _ in range(4)] == [200] * 4

    def test_a_caller_without_a_key_holds_nothing(self, api):
        _, client, polls = api
        session_id = waiting_session(client)
        etag = polls.ask(get(session_id)).etag
        with closing(Client(api[0], **{"X-Airplane-API-Key": "wrong"})) as stranger:
            poll = polls.start(get(session_id), client=stranger, Prefer=LONG, If_None_Match=etag)
            assert poll.reply().status == 401
        assert polls.waiting == 0


@contextmanager
def counted_reads(server):
    """Yield a list that each statement is appended to which the server's threads for requests execute."""
    reads = []

    def observe(statement):
        if threading.current_thread().name.startswith("runbook-api"):
            reads.append(statement)

    with observed_statements(server._lifecycle.services.store.database.sqlalchemy_engine, observe):
        yield reads


class TestCosts:
    def test_hundreds_that_wait_for_one_session_share_a_reading(self, api):
        server, client, polls = api
        session_id = waiting_session(client)
        prompt_id = client.open_prompt(session_id)["id"]
        etag = polls.ask(get(session_id)).etag
        waiting = []
        for number in (100, 200, 300):  # more calls at a time would be refused by a slow machine
            waiting += [polls.start(get(session_id), Prefer=LONG, If_None_Match=etag) for _ in range(100)]
            polls.await_waiting(number)
        with counted_reads(server) as reads:
            assert client.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}).status == 200
            replies = [poll.reply() for poll in waiting]
        assert {reply.status for reply in replies} == {200}
        of_session = [statement for statement in reads if statement.startswith("SELECT") and session_id in statement]
        assert 1 <= len(of_session) <= 4  # the answer, the begin and the end, each at most once

    def test_long_polls_that_wait_execute_no_statement(self, api):
        server, client, polls = api
        sessions = [waiting_session(client) for _ in range(10)]
        etag = polls.ask(get(sessions[0])).etag
        assert etag != polls.ask(get(sessions[1])).etag
        for number in range(200):
            path = get(sessions[number % 10])
            polls.start(path, Prefer=LONG, If_None_Match=polls.ask(path).etag)
        polls.await_waiting(200)
        with counted_reads(server) as reads:
            client.finishes("quick")
        assert reads
        assert not [statement for statement in reads if any(session_id in statement for session_id in sessions)]
        assert polls.waiting == 200


def test_no_change_is_missed_between_a_reading_and_the_wait(api):
    """Many short sessions are polled from their start on: one missed end would be answered late, and not ended."""
    _, client, polls = api

    def follow(_number):
        return polls.ask(get(client.execute("quick")), Prefer=LONG).json["status"]

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(follow, range(200)))
    assert set(statuses) == {"Succeeded"}
