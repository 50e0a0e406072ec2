"""The store in a database, driven side by side with the model of one: each says and shows the same as the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airplane_runbooks.models import LogSeverity, LogStream, RunStatus, SessionStatus
from airplane_runbooks.server.errors import ApiError
from airplane_runbooks.server.storage import sql_executions, sql_store, transitions
from airplane_runbooks.server.storage.changes import CHANGES
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.interface import RunQuery, SessionQuery
from airplane_runbooks.server.storage.log_lines import LogChunk, LogLine
from airplane_runbooks.server.storage.records import (
    AttemptFailure,
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
    Session,
)
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.tables import RUNS
from tests.support import model_store
from tests.support.engines import saying
from tests.support.examples import examples
from tests.support.model_store import ModelStore

pytestmark = pytest.mark.once

START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

BLANK = Run(id="", kind=RunKind.STEP, task_id="t", slug="s", name="n", env_slug="x", digests=b"1")
OUTCOMES = (
    Outcome.succeeded(b'{"a": 1}', b"sealed"),
    Outcome.failed(Failure("KeyError", "no such key")),
    Outcome.failed(Failure("KeyError", "no such key", "find", "run1")),
    Outcome.cancelled(Failure("PromptCancelled", "the prompt was cancelled")),
)
seeds = st.sampled_from(["", "s1", "s2"])
attempts = st.integers(1, 3)
LINES = (LogLine(5, 1, LogStream.STDOUT, LogSeverity.INFO, "\0 \U0001f600"),)
EARLIER = (AttemptFailure(1, "KeyError", "no such key"),)
moments = st.integers(0, 12).map(lambda seconds: START + seconds * SECOND)
windows = st.fixed_dictionaries(
    {"limit": st.integers(1, 4), "page": st.integers(0, 2)}, optional={"since": moments, "until": moments}
)
equals = st.fixed_dictionaries(
    {},
    optional={
        "task_id": st.sampled_from(["t", "trunbook"]),
        "task_slug": st.sampled_from(["step", "task"]),
        "session_id": st.sampled_from(["sr0", "sr1"]),
        "env_slug": st.sampled_from(["x", "y"]),
    },
)


class Stores(RuleBasedStateMachine):
    """Few IDs and a clock that often stands still, so that what could collide does."""

    open_database: ClassVar[Callable[[], Database]]

    @initialize()
    def open(self) -> None:
        self.time = START
        self.patch = pytest.MonkeyPatch()
        for module in (sql_store, sql_executions, transitions, model_store):
            self.patch.setattr(module, "now", lambda: self.time)
        for module in (sql_store, transitions):
            self.patch.setattr(module, "LEASE", 3 * SECOND)
        self.patch.setattr(transitions, "_SPREAD", 1)  # so that both give the same fencing tokens
        self.database = type(self).open_database()
        self.sql, self.model = SqlStore(self.database), ModelStore()
        self.published: set[str] = set()
        self.database.notifications.subscribe(CHANGES, lambda changes: self.published.update(changes or ()))
        self.seen: dict[str, Any] = {}
        self.roots: list[str] = []
        self.children: list[str] = []
        self.steps: list[str] = []  # those of the children that executors end
        self.prompts: list[str] = []
        self.add(RunKind.RUNBOOK, known=False, how="add")
        self.both("begin", "r0", 1)

    def teardown(self) -> None:
        self.patch.undo()
        self.database.close()

    def both(self, method: str, *args: Any, **kwargs: Any) -> Any:
        said = [self.outcome(getattr(store, method), *args, **kwargs) for store in (self.sql, self.model)]
        assert said[0] == said[1], method
        return said[0]

    @staticmethod
    def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            result = call(*args, **kwargs)
        except ApiError as problem:
            return type(problem), problem.code, problem.message
        return list(result) if isinstance(result, (list, tuple)) else result

    def pick(self, data: st.DataObject, among: list[str]) -> str:
        """Draw one of the latest, to get anywhere with it."""
        return data.draw(st.sampled_from(among[-3:]))

    def fencing_token(self, data: st.DataObject, run_id: str) -> int:
        """Draw a fencing token, more often than not the one that holds."""
        run = self.model.run(run_id)
        root = self.model.run((run and run.root_id) or run_id)
        return (root.fencing_token if root else 0) - data.draw(st.sampled_from([0] * 7 + [1]))

    @rule(seconds=st.integers(0, 2))
    def wait(self, seconds: int) -> None:
        self.time += seconds * SECOND

    @rule(
        kind=st.sampled_from([RunKind.RUNBOOK] * 3 + [RunKind.TASK]),
        known=st.sampled_from([False] * 4 + [True]),
        how=st.sampled_from(["add", "add_begun"]),
    )
    def add(self, kind: RunKind, known: bool, how: str) -> None:
        name = self.roots[-1] if known and self.roots else f"r{len(self.roots)}"
        moments = {"created_at": self.time, "updated_at": self.time}
        fields = {"task_id": f"t{kind}", "slug": kind.value, "name": name, "env_slug": "xy"[name > "r2"], **moments}
        session = None
        if kind is RunKind.RUNBOOK:
            session = Session(id=f"s{name}", run_id=name, runbook_id="uv"[name > "r1"], name=name, **moments)
        run = Run(id=name, kind=kind, session_id=session and session.id, **fields)
        if self.both(how, run, session):
            self.roots.append(name)

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), back=st.sampled_from([0] * 7 + [1]), alone=st.booleans(), gone=st.booleans())
    def begin(self, data: st.DataObject, back: int, alone: bool, gone: bool) -> None:
        run = self.model.run(run_id := self.pick(data, self.roots))
        self.both(
            "begin",
            run_id,
            (run.segment if run else 1) - back,
            alone=alone,
            over=run.fencing_token if run and gone else None,
        )

    @precondition(lambda self: self.roots)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.both("renew", {run_id: self.fencing_token(data, run_id) for run_id in self.roots[-3:]})

    @rule()
    def end_leases(self) -> None:
        self.both("end_leases")

    @precondition(lambda self: self.roots)
    @rule(data=st.data())
    def excuse(self, data: st.DataObject) -> None:
        if run := self.model.run(self.pick(data, self.roots)):
            self.both("excuse", [run])

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), how=st.sampled_from(["pause", "pause", "release"]), spent=st.none() | st.integers(0, 9))
    def leave(self, data: st.DataObject, how: str, spent: int | None) -> None:
        run_id = self.pick(data, self.roots)
        self.both(how, run_id, self.fencing_token(data, run_id), spent)

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), fencing_tokens=st.lists(st.integers(0, 3), max_size=3))
    def look_for_what_is_gone(self, data: st.DataObject, fencing_tokens: list[int]) -> None:
        self.both("gone", {self.pick(data, self.roots): fencing_token for fencing_token in fencing_tokens})

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), expires=st.none() | st.integers(0, 5))
    def ask(self, data: st.DataObject, expires: int | None) -> None:
        expiry = None if expires is None else START + expires * SECOND
        self.add_child(data, RunKind.PROMPT, expiry)

    @precondition(lambda self: self.roots)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.add_child(data, RunKind.STEP)

    def add_child(self, data: st.DataObject, kind: RunKind, expiry: datetime | None = None) -> None:
        root = self.model.run(root_id := self.pick(data, self.roots))
        if root is not None and root.kind is RunKind.TASK:
            return
        name = f"c{len(self.children)}"
        prompt = None
        if kind is RunKind.PROMPT:
            prompt = Prompt(
                id=f"p{name}",
                run_id=name,
                root_id=root_id,
                description="?",
                created_at=self.time,
                expires_at=expiry,
            )
        run = Run(
            id=name,
            kind=kind,
            root_id=root_id,
            session_id=f"s{root_id}",
            task_id="t",
            slug="step",
            name="n",
            env_slug="x",
            position=name,
            created_at=self.time,
            updated_at=self.time,
        )
        if self.both("add_child", run, self.fencing_token(data, root_id), prompt):
            self.children.append(name)
            (self.prompts if prompt else self.steps).append(prompt.id if prompt else name)

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        run_id = self.pick(data, self.roots)
        self.both("finish", run_id, outcome, self.fencing_token(data, run_id))

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), outcome=st.none() | st.sampled_from(OUTCOMES))
    def get_on_with_a_step(self, data: st.DataObject, outcome: Outcome | None) -> None:
        run_id = self.pick(data, self.steps)
        if outcome is None:
            again = msgspec.structs.replace(BLANK, id=run_id, attempt=data.draw(attempts), earlier_failures=EARLIER)
            self.both("attempt", again, self.fencing_token(data, run_id))
        else:
            self.both("finish", run_id, outcome, self.fencing_token(data, run_id))

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), at=st.integers(1, 3))
    def log(self, data: st.DataObject, at: int) -> None:
        run_id = self.pick(data, self.steps)
        at = 4 * self.steps.index(run_id) + at  # no two steps at one time, whose order is not defined
        self.both("add_lines", LogChunk(run_id, at, LINES), self.fencing_token(data, run_id))
        self.both("log_chunks", run_id, at, 2)

    @precondition(lambda self: self.roots)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        run_id = self.pick(data, self.roots)
        self.both("hold", run_id, self.fencing_token(data, run_id), "code")

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), why=st.sampled_from(["code", "restored"]))
    def let_go(self, data: st.DataObject, why: str) -> None:
        self.both("let_go", self.pick(data, self.roots), why)

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), spent=st.none() | st.integers(0, 9))
    def write_together(self, data: st.DataObject, outcome: Outcome, spent: int | None) -> None:
        """Let a server write several changes of one root run in one transaction."""
        step = self.pick(data, self.steps)
        run = self.model.run(step)
        root_id = (run and run.root_id) or self.pick(data, self.roots)
        token = self.fencing_token(data, root_id)
        again = msgspec.structs.replace(BLANK, id=step, attempt=data.draw(attempts))
        writes: list[tuple[Any, ...]] = [
            ("attempt", again, token),
            ("add_lines", LogChunk(step, 4 * self.steps.index(step) + 1, LINES), token),
            ("finish", step, outcome, token),
            ("pause", root_id, token, spent),
            ("release", root_id, token, spent),
            ("hold", root_id, token, "code"),
            ("finish", root_id, outcome, token),
            ("run", root_id),
        ]
        chosen = data.draw(st.lists(st.sampled_from(writes), min_size=2, max_size=4))
        self.both("transact", lambda store: [getattr(store, method)(*args) for method, *args in chosen])

    @precondition(lambda self: self.prompts)
    @rule(
        data=st.data(),
        values=st.sampled_from([b"{}", None]),
        by=st.sampled_from(["me", None]),
        seed=seeds,
        begins=st.booleans(),
    )
    def answer(self, data: st.DataObject, values: bytes | None, by: str | None, seed: str, begins: bool) -> None:
        prompt_id = self.pick(data, self.prompts)
        self.both("answer", prompt_id, saying(values, b"sealed"), by, seed, begin=lambda _: begins)

    @precondition(lambda self: self.roots)
    @rule(data=st.data(), seed=seeds)
    def cancel(self, data: st.DataObject, seed: str) -> None:
        self.both("cancel", self.pick(data, self.roots[-2:] + self.children[-2:]), "me", seed)

    @rule(keep=st.integers(1, 3), before=st.none() | moments)
    def drop(self, keep: int, before: datetime | None) -> None:
        self.both("drop", keep, before)

    @precondition(lambda self: self.roots)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.both("delete", self.pick(data, self.roots))

    @rule(
        window=windows,
        runbook_id=st.sampled_from([None, "u", "v"]),
        status=st.sampled_from([None, *SessionStatus]),
        equal=equals,
        limit=st.integers(1, 5),
    )
    def look(
        self,
        window: dict[str, Any],
        runbook_id: str | None,
        status: SessionStatus | None,
        equal: dict[str, str],
        limit: int,
    ) -> None:
        self.both("sessions", SessionQuery(runbook_id=runbook_id, status=status, **window))
        self.both("runs", RunQuery(**window, **equal))
        for method in ("due", "overdue"):
            self.both(method, self.time, limit)
            self.both(method, self.time + SECOND, limit)
        self.both("next_chore")

    @invariant()
    def publish_each_change(self) -> None:
        for topics, shown in self.show().items():
            before = self.seen.get(topics[0])
            self.seen[topics[0]] = shown
            assert before in (None, shown) or not self.published.isdisjoint(topics), (topics, before, shown)
        self.published.clear()

    def show(self) -> dict[tuple[str, ...], Any]:
        """Return the state of everything by its ID, which comes with those of the runs that it belongs to."""
        model, shown = self.model, dict[tuple[str, ...], Any]()
        for run_id in self.roots:
            run, session = model.run(run_id), model.session(f"s{run_id}")
            shown[run_id,] = run and (run.status, run.held, run.output)
            shown[f"s{run_id}", run_id] = session and session.status
            for child in model.history(run_id):
                shown[child.id, run_id] = child.status, child.output
        for prompt_id in self.prompts:
            if prompt := model.prompt(prompt_id):
                shown[prompt_id, prompt.root_id] = prompt.is_open
        return shown

    @invariant()
    def show_the_same(self) -> None:
        self.both("runs", RunQuery())
        self.both("sessions", SessionQuery())
        for run_id in self.roots:
            self.both("history", run_id)
            self.both("session", f"s{run_id}")
            self.both("session_with_root", f"s{run_id}")
            self.both("run", run_id)
            self.both("latest_log_chunks", run_id, 3)
        for prompt_id in self.prompts:
            self.both("prompt", prompt_id)
            self.both("prompts", prompt_id[1:])
            self.both("prompt_with_session", prompt_id)


def drive(open_database: Callable[[], Database], times: float) -> None:
    machine = type("Machine", (Stores,), {"open_database": staticmethod(open_database)})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    small = examples(times, stateful_step_count=50, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=small)


def test_the_store_in_memory_does_as_the_model_does() -> None:
    drive(lambda: Database("sqlite://"), 0.4)


@pytest.mark.postgres
def test_the_store_on_postgresql_does_as_the_model_does(postgres_url: str) -> None:
    Database(postgres_url).close()

    def emptied() -> Database:
        database = Database(postgres_url)
        with database.write() as connection:
            connection.execute(sa.delete(RUNS))
        return database

    drive(emptied, 0.1)


def test_every_outcome_is_an_end() -> None:
    assert {outcome.status for outcome in OUTCOMES} == {status for status in RunStatus if status.is_terminal}
