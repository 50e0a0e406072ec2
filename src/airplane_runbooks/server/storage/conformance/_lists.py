"""Lists and their order, and dropping."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from ....models import SessionStatus
from ..encoding import NULL
from ..ids import now
from ..interface import EntryQuery, RunQuery, SessionQuery, Store
from ..records import LONGEST_SEARCHED, RunKind, Session
from ._support import (
    AGES_AGO,
    DONE,
    Case,
    add_root,
    answering,
    load_prompt,
    load_run,
    new_prompt,
    new_run,
    token,
)


class Lists(Case):
    """Histories, queries, what is due or overdue, and dropping."""

    def test_all_filters_hold_at_once(self, store: Store) -> None:
        assert store.add_child(
            new_run("c", RunKind.STEP, "r", slug="step", env_slug="dev", updated_at=AGES_AGO), token(store)
        )
        given: dict[str, Any] = {
            "session_id": "s",
            "task_id": "t",
            "task_slug": "step",
            "env_slug": "dev",
            "until": AGES_AGO,
        }
        assert [one.id for one in store.runs(RunQuery(**given))] == ["c"]
        others: dict[str, Any] = {**dict.fromkeys(given, "x"), "until": AGES_AGO - timedelta(1)}
        for name, other in others.items():
            assert not store.runs(RunQuery(**{**given, name: other}))

    def test_the_history_is_in_the_order_of_the_start(self, store: Store) -> None:
        for position in ("9", "10", "1.2", "x"):
            assert store.add_child(new_run(f"c{position}", RunKind.STEP, "r", position=position), token(store))
        assert [child.position for child in store.history("r")] == ["q", "9", "10", "1.2", "x"]

    def test_the_outline_has_the_runs_of_the_history(self, store: Store) -> None:
        assert store.add_child(new_run("x", RunKind.STEP, "r"), token(store))
        assert store.finish("x", DONE, token(store))
        assert [(one.id, one.status) for one in store.outline("r")] == [
            (one.id, one.status) for one in store.history("r")
        ]

    def test_runs_are_listed_by_their_ids(self, store: Store) -> None:
        assert {one.id for one in store.brief(["r", "q", "unknown"])} == {"r", "q"}
        assert not store.brief([])

    def test_prompts_are_listed_by_run(self, store: Store) -> None:
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), token(store), new_prompt("p2", "q2"))
        assert [one.id for one in store.prompts("q")] == ["p"]
        assert [one.id for one in store.prompts("q2")] == ["p2"]
        assert [one.id for one in store.open_prompts("r", "unknown")] == ["p2", "p"]
        assert not store.open_prompts()
        store.answer("p2", answering(b"{}"), "u")
        assert [one.id for one in store.open_prompts("r")] == ["p"]

    def test_the_root_run_that_has_been_due_longest_comes_first(self, empty: Store) -> None:
        before = now()
        for number in range(5):
            add_root(empty, f"r{number}")
        after = now() + timedelta(seconds=1)
        empty.begin("r1", 1)
        assert [one.id for one in empty.due(after, 9)] == ["r0", "r2", "r3", "r4"]
        assert [one.id for one in empty.due(after, 2)] == ["r0", "r2"]
        assert not empty.due(before, 9)
        empty.release("r1", token(empty, "r1"))
        assert [one.job_id for one in empty.due(after, 9)][-1] == "r1.2"

    def test_open_prompts_are_overdue_from_their_expiry_on(self, store: Store) -> None:
        def ask(name: str, seconds: int | None) -> None:
            expiry = None if seconds is None else AGES_AGO + timedelta(seconds=seconds)
            assert store.add_child(
                new_run(f"q{name}", RunKind.PROMPT, "r"), token(store), new_prompt(name, f"q{name}", expires_at=expiry)
            )

        ask("never", None)
        ask("late", 2)
        ask("later", 3)
        ask("earliest", 1)
        ask("answered", 0)
        store.answer("answered", answering(None), "me")
        assert list(store.overdue(AGES_AGO + timedelta(seconds=3), 9)) == ["earliest", "late"]
        assert list(store.overdue(AGES_AGO + timedelta(seconds=9), 2)) == ["earliest", "late"]
        late = store.answer("late", answering(None), None)
        assert (late.prompt.answered_by, late.prompt.is_open) == (None, False)

    def test_lists_are_newest_first_even_of_one_moment(self, empty: Store) -> None:
        for number in range(7):
            run_id = f"r{number}"
            moments: dict[str, Any] = {"created_at": AGES_AGO, "updated_at": AGES_AGO}
            session = Session(id=f"s{number}", run_id=run_id, runbook_id="ab"[number % 2], name="B", **moments)
            assert empty.add(new_run(run_id, env_slug="xy"[number % 2], session_id=session.id, **moments), session)

        def runs(**query: Any) -> list[str]:
            return [one.id[1:] for one in empty.runs(RunQuery(**query))]

        def sessions(**query: Any) -> list[str]:
            return [one.id[1:] for one in empty.sessions(SessionQuery(**query))]

        for list_of in (runs, sessions):
            assert list_of() == list("6543210")
            assert list_of(limit=3) == list("654")
            assert list_of(limit=3, page=2) == list("0")
            assert list_of(limit=50, page=1_000_000_000) == []
            assert list_of(since=AGES_AGO, until=AGES_AGO, limit=2) == list("65")
            assert list_of(since=AGES_AGO + timedelta(microseconds=1)) == []
            assert list_of(until=AGES_AGO - timedelta(microseconds=1)) == []
        assert sessions(runbook_id="b") == list("531")
        empty.begin("r3", 1)
        assert sessions(status=SessionStatus.ACTIVE) == list("3")
        assert sessions(status=SessionStatus.ACTIVE, runbook_id="b") == list("3")
        assert sessions(status=SessionStatus.PENDING, limit=2, page=1) == list("42")
        assert runs(env_slug="x", limit=2, page=1) == list("20")
        assert runs(env_slug="x", task_id="t", task_slug="a", session_id="s4") == list("4")
        assert runs(task_id="u") == runs(task_slug="b") == []

    def test_entries_of_sessions_are_read_from_a_place_on(self, empty: Store) -> None:
        values = [b'{"text":"%d"}' % number for number in range(6)] + [b'{"text":"%s"}' % (b"x" * LONGEST_SEARCHED)]
        for number, value in enumerate(values):
            run_id, moment = f"r{number}", AGES_AGO + timedelta(seconds=number)
            session = Session(
                id=f"s{number}",
                run_id=run_id,
                runbook_id="ab"[number % 2],
                name="B",
                created_by="u",
                created_at=moment,
                updated_at=moment,
                param_values=value,
            )
            assert empty.add(new_run(run_id, env_slug="xy"[number % 2], session_id=session.id), session)

        def read(**query: Any) -> str:
            return "".join(one.id[1:] for one in empty.session_entries(EntryQuery(**query)))

        entries = empty.session_entries(EntryQuery())
        assert [one.param_values for one in entries] == [NULL, *values[-2::-1]]
        assert entries[1][1:] == (
            "y",
            "s5",
            "B",
            "b",
            SessionStatus.PENDING,
            "u",
            AGES_AGO + timedelta(seconds=5),
            values[5],
        )
        assert read(limit=2) == "65"
        assert read(limit=2, before=entries[1].place) == "43"
        assert read(runbook_id="b", before=entries[1].place) == "31"
        assert not read(before=entries[-1].place)
        empty.begin("r3", 1)
        assert read(status=SessionStatus.ACTIVE) == "3"
        assert read(status=SessionStatus.PENDING, runbook_id="b", limit=1) == "5"

    def test_the_root_runs_that_ended_first_are_dropped_first(self, empty: Store) -> None:
        for number in range(5):
            add_root(empty, f"r{number}")
            assert empty.begin(f"r{number}", 1)
        for number in reversed(range(5)):
            time.sleep(0.001)  # apart by the clock, too
            assert empty.finish(f"r{number}", DONE, token(empty, f"r{number}"))
        add_root(empty, "unended")
        assert [one.id for one in empty.drop(3)] == ["r4", "r3"]
        assert not empty.drop(3)
        assert not empty.drop(3, load_run(empty, "r2").ended_at)
        (dropped,) = empty.drop(3, load_run(empty, "r1").ended_at)
        assert (dropped.id, dropped.job_id, dropped.output) == ("r2", "r2.1", b"null")
        assert [one.id for one in empty.drop(0)] == ["r1", "r0"]
        assert [one.id for one in empty.runs(RunQuery())] == ["unended"]

    def test_dropping_a_root_run_takes_all_of_it_and_nothing_else(self, store: Store) -> None:
        add_root(store, "other")
        store.begin("other", 1)
        store.add_child(new_run("oq", RunKind.PROMPT, "other"), token(store, "other"), new_prompt("op", "oq", "other"))
        store.finish("r", DONE, token(store))
        assert [one.id for one in store.drop(0)] == ["r"]
        assert [one.id for one in store.runs(RunQuery())] == ["oq", "other"]
        assert [one.id for one in store.sessions(SessionQuery())] == ["sother"]
        assert load_prompt(store, "op").is_open
