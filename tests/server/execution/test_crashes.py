"""Crashes at every transaction of an execution: what is durable is a beginning of what has happened, without gaps."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from itertools import count, product

import pytest
from cryptography.fernet import Fernet

from airplane_runbooks.models import RunStatus, SessionStatus
from airplane_runbooks.server import AsyncContext, Context, runbook
from airplane_runbooks.server.authoring.decorators import Registry, Runbook, Task
from airplane_runbooks.server.execution import writes
from airplane_runbooks.server.execution.runner import Runner
from airplane_runbooks.server.observers.dispatch import Dispatcher
from airplane_runbooks.server.observers.emitter import Emitter
from airplane_runbooks.server.secrets.vault import Vault
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.encoding import decode
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.storage.interface import Answer
from airplane_runbooks.server.storage.records import Run, RunKind, Session
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.observers import Recorder

VAULT = Vault([Fernet.generate_key().decode()])
MOST_LIVES = 40
# Of all combinations, these have every value between them.
ESSENTIAL = {
    ("sync_chain", "before", False, 60.0),
    ("async_chain", "before", True, 0.0),
    ("sync_branches", "after", False, 0.0),
    ("async_branches", "after", True, 60.0),
}
LIVES = []


def work(name, *_earlier):
    """Return something else each time, and note the call if the server is alive."""
    return LIVES[-1].call(name)


async def work_soon(name, *earlier):
    await asyncio.sleep(0)
    return work(name, *earlier)


@runbook
def sync_chain(context: Context) -> list[str]:
    """Pass the result of each step on to the next one, so that a replay would notice another result."""
    one = context.step(work, "one", name="one")
    two = context.step(work, "two", one, name="two")
    go = context.prompt("Go on?", go=bool)["go"]
    three = context.step(work, "three", two, go, name="three")
    return [one, two, three, context.step(work, "four", three, name="four")]


@runbook
async def async_chain(context: AsyncContext) -> list[str]:
    one = await context.step(work_soon, "one", name="one")
    two = await context.step(work, "two", one, name="two")
    go = (await context.prompt("Go on?", go=bool))["go"]
    three = await context.step(work_soon, "three", two, go, name="three")
    return [one, two, three, await context.step(work_soon, "four", three, name="four")]


@runbook
def sync_branches(context: Context) -> list[str]:
    """Take two steps side by side between two others, and ask."""
    one = context.step(work, "one", name="one")
    middle = context.parallel(
        lambda: context.step(work, "two", one, name="two"), lambda: context.step(work, "three", one, name="three")
    )
    context.prompt("Go on?", go=bool)
    return [one, *middle, context.step(work, "four", *middle, name="four")]


@runbook
async def async_branches(context: AsyncContext) -> list[str]:
    one = await context.step(work_soon, "one", name="one")
    middle = await asyncio.gather(
        context.step(work_soon, "two", one, name="two"), context.step(work, "three", one, name="three")
    )
    await context.prompt("Go on?", go=bool)
    return [one, *middle, await context.step(work_soon, "four", *middle, name="four")]


BOOKS = {book.slug: book for book in (sync_chain, async_chain, sync_branches, async_branches)}
BEFORE = {  # the steps on whose results each one depends
    "chain": {"one": "", "two": "one", "three": "one two", "four": "one two three"},
    "branches": {"one": "", "two": "one", "three": "one", "four": "one two three"},
}


class MortalDatabase(Database):
    """A database that is lost to its server at one of its transactions, before or after the commit."""

    def __init__(self, url, dies_at, when):
        self._numbers, self._dies_at, self._when = count(-1), dies_at, when  # after the start of the server
        self.is_lost = threading.Event()
        self.on_loss = lambda: None
        super().__init__(url)

    def transact(self, work):
        number = next(self._numbers)
        if number == self._dies_at and self._when == "after":
            super().transact(work)
        if number >= self._dies_at:
            self.is_lost.set()
            self.on_loss()
        if self.is_lost.is_set():
            raise DatabaseUnavailable
        return super().transact(work)

    def query(self, work):
        if self.is_lost.is_set():
            raise DatabaseUnavailable
        return super().query(work)


class Life:
    """A server on the file, from its start to its death: its runner alone, as an engine would call it."""

    def __init__(self, path, book, dies_at=10_000, when="before"):
        self.database = MortalDatabase(f"sqlite:///{path}", dies_at, when)
        self.store = SqlStore(self.database)
        self.store.end_leases()
        self.calls, self.results = Counter(), {}
        self.events = Recorder()
        self.emitter = Emitter(Dispatcher([self.events]))
        self.runner = Runner(
            self.store,
            Registry([book], Runbook),
            Registry((), Task),
            self.emitter,
            vault=VAULT,
            workers=2,
            captures=False,
            leave_or_hold=lambda store, run: pytest.fail("the code is here"),
        )
        self.database.on_loss = self.runner.stop  # so that nothing is tried for long
        LIVES.append(self)

    def call(self, name):
        result = secrets.token_hex(8)
        if not self.database.is_lost.is_set():
            self.calls[name] += 1
            self.results[name] = result
        return result

    def work(self, root_id):
        """Execute the segment that is due, or that the server before has left."""
        try:
            while self.runner.work(root_id, self.store.run(root_id).segment):
                pass
        except DatabaseUnavailable:
            assert self.database.is_lost.is_set()

    def end(self):
        self.database.is_lost.set()
        self.runner.stop()
        self.runner.close()
        self.database.close()


def add_session(path, book):
    database = Database(f"sqlite:///{path}")
    run = Run(
        id="run", kind=RunKind.RUNBOOK, session_id="ses", task_id=book.id, slug=book.slug, name=book.name,
        env_slug="prod", source=book.code.source,
    )  # fmt: skip
    SqlStore(database).add(run, Session(id="ses", run_id="run", runbook_id=book.id, name=book.name))
    database.close()


def read(path):
    """Return the status of the session, and its steps and prompts by name."""
    database = Database(f"sqlite:///{path}")
    store = SqlStore(database)
    session, children = store.session("ses"), store.history("run")
    database.close()
    return session.status, {child.name: child for child in children}


def see_through(path, book):
    """Continue the session after a crash until it has ended, and return its last server."""
    life = Life(path, book)
    life.work("run")
    if life.store.session("ses").status is SessionStatus.WAITING:
        (prompt,) = [one for child in life.store.history("run") for one in life.store.prompts(child.id)]
        life.store.answer(prompt.id, lambda *_: Answer(b'{"go":true}'), "me")
        life.work("run")
    return life


def check_crash(life, status, recorded, before):
    """Hold what is durable against what a server did before it died."""
    ended = {name: run for name, run in recorded.items() if run.status is RunStatus.SUCCEEDED}
    for name, run in ended.items():
        if run.kind is RunKind.STEP and name in life.results:
            assert decode(run.output) == life.results[name]
    for name in life.calls:
        assert set(before[name].split()) <= ended.keys(), "a step began before what it depends on was durable"
    if "Go on?" in recorded:
        assert {"one", "two"} <= ended.keys(), "a prompt was opened before what it depends on was durable"
    if status is SessionStatus.SUCCEEDED:
        assert {"one", "two", "three", "four"} <= ended.keys()
    told = [event.step for event in life.events.events if type(event).__name__ == "StepEnded"]
    assert set(told) <= ended.keys(), "an observer was told of an end that is lost"


@pytest.fixture
def delay(request, monkeypatch):
    """Leave all writes to what the runbook does next, or give them to the flusher at once."""
    for name in ("BEGIN_DELAY", "RESULT_DELAY"):
        monkeypatch.setattr(writes, name, request.param)
    monkeypatch.setattr(writes, "FRESH", 60.0)


@pytest.mark.parametrize(
    ("slug", "when", "answered", "delay"),
    [
        pytest.param(*values, marks=() if values in ESSENTIAL else pytest.mark.nightly)
        for values in product(BOOKS, ("before", "after"), (False, True), (0.0, 60.0))
    ],
    indirect=["delay"],
)
@pytest.mark.usefixtures("delay")
def test_a_crash_at_any_transaction_repeats_no_recorded_step(tmp_path, slug, when, answered):
    """Only what was not recorded yet is repeated, and nothing had followed from it."""
    book, before = BOOKS[slug], BEFORE[slug.partition("_")[2]]
    for dies_at in range(MOST_LIVES):
        path = tmp_path / f"{dies_at}.db"
        add_session(path, book)
        if answered:
            first = Life(path, book)
            first.work("run")
            (prompt,) = [one for child in first.store.history("run") for one in first.store.prompts(child.id)]
            first.store.answer(prompt.id, lambda *_: Answer(b'{"go":true}'), "me")
            first.end()
        life = Life(path, book, dies_at, when)
        life.work("run")
        was_lost = life.database.is_lost.is_set()
        life.end()
        status, recorded = read(path)
        check_crash(life, status, recorded, before)
        last = see_through(path, book)
        last.end()
        status, children = read(path)
        assert status is SessionStatus.SUCCEEDED
        ended = {name for name, run in recorded.items() if run.status is RunStatus.SUCCEEDED}
        assert not ended & last.calls.keys(), "a recorded step was repeated"
        assert max(last.calls.values(), default=1) == 1
        assert {child.status for child in children.values()} == {RunStatus.SUCCEEDED}
        if not was_lost:
            break
    assert not was_lost, "there were more transactions than the test tried"
