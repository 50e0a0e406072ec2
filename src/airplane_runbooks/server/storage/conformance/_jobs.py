"""Segments, their fencing tokens, and the counting of failed starts."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from ....models import RunStatus, SessionStatus
from ..ids import now
from ..interface import Store
from ..records import Failure, Outcome, RunKind, Suspect
from ._support import DONE, Case, answering, begin, load_run, new_prompt, new_run, status


class Jobs(Case):
    """Segments that begin, are released and are begun again."""

    def test_a_dropped_session_is_gone_and_takes_no_writes(self, store: Store) -> None:
        store.finish("r", DONE, 1)
        assert not store.drop(1)
        assert [dropped.id for dropped in store.drop(0)] == ["r"]
        assert (store.session("s"), store.run("r"), store.run("q"), store.prompt("p")) == (None,) * 4
        assert store.begin("r", 1) is None
        assert not store.pause("r", 1)
        assert not store.finish("r", DONE, 1)
        assert not store.add_child(new_run("x", RunKind.STEP, "r"), 1)
        assert not store.history("r")
        assert not store.prompts("q")

    def test_writes_with_a_stale_fencing_token_are_refused(self, store: Store) -> None:
        assert store.add_child(new_run("x", RunKind.STEP, "r"), 1)
        again = new_run("x", attempt=2, param_values=b'{"a":2}', digests=b"2")
        assert begin(store, "r", 1).fencing_token == 2
        assert not store.add_child(new_run("y", RunKind.STEP, "r"), 1)
        assert not store.attempt(again, 1)
        assert not store.finish("x", DONE, 1)
        assert not store.finish("r", DONE, 1)
        assert not store.pause("r", 1)
        store.release("r", 1)
        assert status(store) is SessionStatus.ACTIVE
        assert (load_run(store, "r").segment, load_run(store, "r").due_at) == (1, None)
        assert store.attempt(again, 2)
        begun = load_run(store, "x")
        assert (begun.attempt, begun.param_values, begun.digests) == (2, b'{"a":2}', b"2")
        assert store.finish("x", DONE, 2)
        assert not store.attempt(again, 2)
        assert store.finish("r", DONE, 2)

    def test_a_call_may_be_repeated_if_its_answer_got_lost(self, store: Store) -> None:
        step, question = new_run("x", RunKind.STEP, "r"), new_run("q2", RunKind.PROMPT, "r")
        again = new_run("x", attempt=2)
        for _ in range(2):
            assert store.add_child(step, 1)
            assert store.add_child(question, 1, new_prompt("p2", "q2"))
            assert store.attempt(again, 1)
        assert [one.id for one in store.history("r")] == ["q", "x", "q2"]
        assert [one.id for one in store.prompts("q2")] == ["p2"]
        assert load_run(store, "x").attempt == 2
        assert store.finish("x", DONE, 1)
        assert store.finish("x", DONE, 1)
        assert not store.finish("x", Outcome.failed(Failure("E", "another")), 1)
        assert not store.pause("r", 1)
        assert not store.pause("r", 1)
        store.release("r", 1)
        store.answer("p", answering(b"{}"), "me")
        assert not store.pause("r", 1)
        assert status(store) is SessionStatus.ACTIVE
        store.release("r", 1)
        assert begin(store, "r", 2).fencing_token == 2
        for _ in range(2):
            store.release("r", 2)
        assert begin(store, "r", 3).fencing_token == 3
        assert store.finish("r", DONE, 3)
        assert store.finish("r", DONE, 3)
        assert not store.finish("r", DONE, 2)

    def test_a_released_segment_is_due_as_the_next_one(self, store: Store) -> None:
        assert not store.due(now() + timedelta(1), 9)
        store.release("r", 1)
        (due,) = store.due(now() + timedelta(1), 9)
        assert due.job_id == "r.2"
        assert store.begin("r", 1) is None
        assert begin(store, "r", 2).fencing_token == 2
        store.cancel("r", "me")
        store.release("r", 2)
        assert status(store) is SessionStatus.CANCELLED
        assert not store.due(now() + timedelta(1), 9)

    def test_failed_starts_count_begins_without_progress(self, store: Store) -> None:
        assert [begin(store, "r", 1).failed_starts for _ in range(3)] == [1, 2, 3]
        assert store.add_child(new_run("x", RunKind.STEP, "r"), 4)
        assert begin(store, "r", 1).failed_starts == 4
        assert store.finish("x", DONE, 5)
        assert begin(store, "r", 1).failed_starts == 1
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), 6, new_prompt("p2", "q2"))
        assert begin(store, "r", 1).failed_starts == 1
        store.answer("p2", answering(b"{}"), "me")
        assert begin(store, "r", 1).failed_starts == 1
        store.release("r", 8)
        assert begin(store, "r", 2).failed_starts == 1
        assert begin(store, "r", 2).failed_starts == 2
        assert not store.pause("r", 10)
        store.answer("p", answering(b"{}"), "me")
        assert begin(store, "r", 3).failed_starts == 1

    def test_a_root_run_that_failed_to_start_begins_only_alone(self, store: Store) -> None:
        fencing_token = begin(store, "r", 1, alone=False).fencing_token
        assert load_run(store, "r").failed_starts == 1
        assert store.begin("r", 1, alone=False) == Suspect()
        assert load_run(store, "r").fencing_token == fencing_token
        assert begin(store, "r", 1).failed_starts == 2
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token + 1)
        assert store.finish("x", DONE, fencing_token + 1)
        assert begin(store, "r", 1, alone=False).failed_starts == 1

    def test_an_excused_beginning_is_not_counted_as_a_failed_start(self, store: Store) -> None:
        begun = begin(store, "r", 1)
        for _ in range(2):
            store.excuse([begun])
            assert load_run(store, "r").failed_starts == 0
        again = begin(store, "r", 1, alone=False)
        assert again.failed_starts == 1
        store.excuse([begun])
        assert load_run(store, "r").failed_starts == 1
        store.excuse([])
        assert store.begin("r", 1, alone=False) == Suspect()

    def test_only_steps_of_a_released_root_run_can_be_finished(self, store: Store) -> None:
        fencing_token = begin(store, "r", 1).fencing_token
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)
        store.release("r", fencing_token)
        assert store.finish("x", DONE, fencing_token)
        assert not store.attempt(msgspec.structs.replace(load_run(store, "x"), attempt=2), fencing_token)
        assert not store.add_child(new_run("y", RunKind.STEP, "r"), fencing_token)
        assert not store.pause("r", fencing_token)
        assert not store.finish("r", DONE, fencing_token)
        assert begin(store, "r", 2, alone=False).status is RunStatus.ACTIVE

    def test_ended_and_overtaken_root_runs_are_gone(self, store: Store) -> None:
        assert set(store.gone({"r": 1, "unknown": 1})) == {"unknown"}
        assert begin(store, "r", 1).fencing_token == 2
        assert set(store.gone({"r": 1})) == {"r"}
        assert not store.gone({"r": 2})
        assert store.finish("r", DONE, 2)
        assert set(store.gone({"r": 2})) == {"r"}

    def test_the_time_that_a_root_run_has_spent_is_kept(self, store: Store) -> None:
        store.release("r", 1, 3)
        assert load_run(store, "r").spent == 3
        assert begin(store, "r", 2).spent == 3
        assert not store.pause("r", 2, 5)
        assert load_run(store, "r").spent == 5
