"""Statements and transactions of each use case, counted on the database of a server for one whole HTTP request."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from airplane_runbooks.server import Context, RunbookServer, User, runbook
from airplane_runbooks.server.execution import writes
from airplane_runbooks.server.storage.database import Database
from tests.support.browsing import Browser
from tests.support.servers import Client
from tests.support.statements import observed_statements

ADA = User("ada@example.com", "tkn_ada_of_the_counts")


@runbook
def ask(context: Context) -> bool:
    """Ask twice, so that the session pauses after the first answer."""
    first = context.prompt("Go on?", go=bool)["go"]
    return first and context.prompt("Really?", go=bool)["go"]


def same(number: int) -> int:
    return number


@runbook
def steps(context: Context, count: int) -> int:
    """Take some steps, one after the other."""
    return sum(context.step(same, number) for number in range(count))


@runbook
def step_and_ask(context: Context) -> bool:
    """Take a step, ask, and take another one."""
    context.step(same, 1)
    answer = context.prompt("Go on?", go=bool)
    return bool(context.step(same, 2)) and answer["go"]


@runbook
def show_between_steps(context: Context) -> None:
    """Show values before, between and after steps."""
    context.show("before")
    context.step(same, 1)
    context.show("between")
    context.step(same, 2)
    context.show("after")


IS_COUNTED = ContextVar("is_counted", default=False)  # on the thread of the writer, which has the caller's context


def is_request():
    return threading.current_thread().name.startswith("runbook-api")


def is_execution():
    return threading.current_thread().name in {"runbook-execution", "runbook-flusher"}


def is_of_a_session():
    """Tell whether this thread does something for one session, as the reconciler and the watchdog do not."""
    return is_request() or is_execution() or threading.current_thread().name.startswith("runbook-worker")


class Counter:
    """Counts the statements of some threads: by default, those of requests.

    Their transactions are those that are handed over to be committed, alone or together with others.
    """

    def __init__(self, is_counted):
        self.statements, self.commits = [], 0
        self._is_counted = is_counted

    @property
    def reads(self):
        return sum(statement.startswith("SELECT") for statement in self.statements)

    @property
    def writes(self):
        return len(self.statements) - self.reads

    @property
    def all(self):
        return self.reads, self.writes, self.commits

    def executed(self, statement):
        if IS_COUNTED.get() and not statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK")):
            self.statements.append(statement)

    def marking(self, call, commits):
        """Let a method of the database mark what is done by it, and count its calls if each is a commit."""

        def marked(database, work):
            is_counted = self._is_counted()
            self.commits += is_counted and commits
            token = IS_COUNTED.set(is_counted)
            try:
                return call(database, work)
            finally:
                IS_COUNTED.reset(token)

        return marked


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request, tmp_path):
    url = {"memory": "sqlite://", "file": f"sqlite:///{tmp_path / 'server.db'}"}.get(request.param)
    url = url or request.getfixturevalue("postgres_url")
    with RunbookServer([ask, steps, step_and_ask, show_between_steps], users=[ADA], database=url) as server:
        yield server


@pytest.fixture
def api(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture
def ada(server):
    browser = Browser(server.base_url, "tkn_ada_of_the_counts")
    yield browser
    browser.close()


@pytest.fixture
def undisturbed(api, monkeypatch):
    """Leave all writes to what the runbook does next, however slow this machine is."""
    api.finishes("steps", {"count": 1})  # the first one finds the key of its digests
    for name in ("BEGIN_DELAY", "RESULT_DELAY", "FRESH"):
        monkeypatch.setattr(writes, name, 3600.0)


@pytest.fixture
def counted(server, monkeypatch):
    engine = server._lifecycle.services.store.database.sqlalchemy_engine

    @contextmanager
    def count(is_counted=is_request):
        counter = Counter(is_counted)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "query", counter.marking(Database.query, commits=False))
            patch.setattr(Database, "transact", counter.marking(Database.transact, commits=True))
            with observed_statements(engine, counter.executed):
                yield counter

    return count


def asked(api):
    session_id = api.execute("ask")
    return session_id, api.open_prompt(session_id)["id"]


def test_an_execute_without_a_key_adds_a_run_and_a_session(api, counted):
    with counted() as counter:
        assert api.post("/runbooks/execute", {"slug": "ask"}).status == 200
    assert counter.all == (0, 2, 1)


def test_an_execute_with_a_key_is_one_commit(api, counted):
    first = api.post("/runbooks/execute", {"slug": "ask"}, **{"Idempotency-Key": "first"})  # which cleans old keys away
    # what the runbook writes could share a commit with a request, on a connection that is not observed yet
    api.reaches(first.json["sessionID"], "Waiting")
    with counted() as counter:
        second = api.post("/runbooks/execute", {"slug": "ask"}, **{"Idempotency-Key": "k"})
    assert (second.status, counter.all) == (200, (0, 4, 1))
    api.reaches(second.json["sessionID"], "Waiting")
    with counted() as counter:
        assert api.post("/runbooks/execute", {"slug": "ask"}, **{"Idempotency-Key": "k"}).status == 200
    assert counter.all == (1, 1, 1)


@pytest.mark.parametrize(("headers", "counts"), [({}, (2, 4, 1)), ({"Idempotency-Key": "k"}, (2, 6, 1))])
def test_an_answer_through_the_api_is_one_commit(api, counted, headers, counts):
    api.post("/runbooks/execute", {"slug": "ask"}, **{"Idempotency-Key": "first"})
    session_id, prompt_id = asked(api)
    api.reaches(session_id, "Waiting")
    with counted() as counter:
        answer = api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}, **headers)
        assert answer.status == 200
    assert counter.all == counts


def test_an_answer_by_a_page_is_one_commit(api, ada, counted):
    session_id, prompt_id = asked(api)
    api.reaches(session_id, "Waiting")
    token = ada.token(prompt_id)
    with counted() as counter:
        reply = ada.post(f"/prompts/{prompt_id}", {"token": token, "action": "submit", "field-go": "0"})
        assert reply.status == 303
    assert counter.all == (3, 4, 1)


def test_a_session_read_through_the_api_is_one_statement(api, counted):
    session_id, _ = asked(api)
    with counted() as counter:
        assert api.get(f"/sessions/get?id={session_id}").status == 200
    assert counter.all == (1, 0, 0)


def test_a_list_of_sessions_reads_holds_of_unfinished_ones_only(api, counted):
    api.finishes("steps", {"count": 1})
    for reads in (1, 2):
        with counted() as counter:
            assert api.get("/sessions/list").status == 200
        assert counter.all == (reads, 0, 0)
        api.reaches(api.execute("ask"), "Waiting")


def test_a_session_page_takes_seven_reads_with_any_prompts(api, ada, counted):
    session_id, prompt_id = asked(api)
    api.reaches(session_id, "Waiting")
    for _ in range(2):
        with counted() as counter:
            assert ada.get(f"/sessions/{session_id}").status == 200
        assert counter.all == (7, 0, 0)
        if prompt_id:
            api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}})
            api.reaches(session_id, "Waiting")
            prompt_id = None


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("count", "commits"), [(1, 2), (2, 3), (7, 8)])
def test_a_session_is_one_commit_and_one_for_each_step(api, counted, count, commits):
    """The last step is committed together with the end of the session."""
    with counted(is_of_a_session) as counter:
        api.finishes("steps", {"count": count})
    assert counter.commits == commits


@pytest.mark.usefixtures("undisturbed")
def test_what_a_runbook_shows_takes_no_commit_more(api, counted):
    with counted(is_of_a_session) as counter:
        api.finishes("show_between_steps")
    assert counter.commits == 3  # as with the two steps alone


@pytest.mark.usefixtures("undisturbed")
def test_a_session_with_a_prompt_is_four_commits(api, counted):
    """They are its start, its step with the prompt and the pause, its answer, and its last step with its end."""
    with counted(is_of_a_session) as counter:
        session_id = api.execute("step_and_ask")
        assert api.answer(session_id, go=True).status == 200
        api.reaches(session_id, "Succeeded")
    assert counter.commits == 4


@pytest.mark.usefixtures("undisturbed")
def test_the_execution_of_one_step_takes_six_statements(api, counted):
    with counted(is_execution) as counter:
        api.finishes("steps", {"count": 1})
    assert counter.all == (1, 5, 1)


@pytest.mark.usefixtures("undisturbed")
def test_a_step_takes_three_statements_more(api, counted):
    """The end of the step before locks the root run, and is followed by the begin of the next one."""
    counts = []
    for count in (2, 5):
        with counted(is_execution) as counter:
            api.finishes("steps", {"count": count})
        counts.append(counter)
    assert [few - many for few, many in zip(counts[1].all, counts[0].all, strict=True)] == [3, 6, 3]
