"""Segments, their fencing tokens, and the counting of failed starts."""

from __future__ import annotations

import time
from datetime import timedelta

import msgspec
import pytest

from ....models import RunStatus, SessionStatus
from ...errors import Conflict
from ..ids import now
from ..interface import Store
from ..records import AttemptFailure, Failure, Outcome, Run, RunKind, Session, Suspect
from ._support import DONE, Case, answering, begin, load_run, new_prompt, new_run, status, token

EARLIER = (AttemptFailure(1, "KeyError", "\U0001f600"),)


class Jobs(Case):
    """Segments that begin, are released and are begun again."""

    def test_a_dropped_session_is_gone_and_takes_no_writes(self, store: Store) -> None:
        fencing_token = token(store)
        store.finish("r", DONE, fencing_token)
        assert not store.drop(1)
        assert [dropped.id for dropped in store.drop(0)] == ["r"]
        assert (store.session("s"), store.run("r"), store.run("q"), store.prompt("p")) == (None,) * 4
        assert store.begin("r", 1) is None
        assert not store.pause("r", fencing_token)
        assert not store.finish("r", DONE, fencing_token)
        assert not store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)
        assert not store.history("r")
        assert not store.prompts("q")

    def test_a_deleted_session_is_gone_once_it_has_ended(self, store: Store) -> None:
        with pytest.raises(Conflict, match="cancel it first"):
            store.delete("r")
        store.cancel("r", "me")
        assert status(store) is SessionStatus.CANCELLING
        with pytest.raises(Conflict, match="cancel it first"):
            store.delete("r")
        store.release("r", token(store))
        assert status(store) is SessionStatus.CANCELLED
        deleted = store.delete("r")
        assert deleted is not None
        assert deleted.id == "r"
        assert (store.session("s"), store.run("r"), store.run("q"), store.prompt("p")) == (None,) * 4
        assert store.delete("r") is None

    def test_writes_with_a_stale_fencing_token_are_refused(self, store: Store) -> None:
        stale = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), stale)
        again = new_run("x", attempt=2, param_values=b'{"a":2}', digests=b"2", earlier_failures=EARLIER)
        fencing_token = begin(store, "r", 1).fencing_token
        assert fencing_token > stale
        assert not store.add_child(new_run("y", RunKind.STEP, "r"), stale)
        assert not store.attempt(again, stale)
        assert not store.finish("x", DONE, stale)
        assert not store.finish("r", DONE, stale)
        assert not store.pause("r", stale)
        store.release("r", stale)
        assert status(store) is SessionStatus.ACTIVE
        assert (load_run(store, "r").segment, load_run(store, "r").is_due) == (1, False)
        assert store.attempt(again, fencing_token)
        begun = load_run(store, "x")
        assert (begun.attempt, begun.param_values, begun.digests) == (2, b'{"a":2}', b"2")
        assert begun.earlier_failures == EARLIER
        assert store.finish("x", DONE, fencing_token)
        assert not store.attempt(again, fencing_token)
        assert store.finish("r", DONE, fencing_token)

    def test_a_call_may_be_repeated_if_its_answer_got_lost(self, store: Store) -> None:
        first = token(store)
        step, question = new_run("x", RunKind.STEP, "r"), new_run("q2", RunKind.PROMPT, "r")
        again = new_run("x", attempt=2)
        for _ in range(2):
            assert store.add_child(step, first)
            assert store.add_child(question, first, new_prompt("p2", "q2"))
            assert store.attempt(again, first)
        assert [one.id for one in store.history("r")] == ["q", "x", "q2"]
        assert [one.id for one in store.prompts("q2")] == ["p2"]
        assert load_run(store, "x").attempt == 2
        assert store.finish("x", DONE, first)
        assert store.finish("x", DONE, first)
        assert not store.finish("x", Outcome.failed(Failure("E", "another")), first)
        assert not store.pause("r", first)
        assert not store.pause("r", first)
        store.release("r", first)
        store.answer("p", answering(b"{}"), "me")
        assert not store.pause("r", first)
        assert status(store) is SessionStatus.ACTIVE
        store.release("r", first)
        second = begin(store, "r", 2).fencing_token
        for _ in range(2):
            store.release("r", second)
        third = begin(store, "r", 3).fencing_token
        assert store.finish("r", DONE, third)
        assert store.finish("r", DONE, third)
        assert not store.finish("r", DONE, second)

    def test_a_released_segment_is_due_as_the_next_one(self, store: Store) -> None:
        assert not store.due(now(), 9)
        assert store.next_chore() == load_run(store, "r").due_at
        store.release("r", token(store))
        (due,) = store.due(now() + timedelta(seconds=1), 9)
        assert store.next_chore() == due.due_at
        assert due.job_id == "r.2"
        assert store.begin("r", 1) is None
        fencing_token = begin(store, "r", 2).fencing_token
        store.cancel("r", "me")
        store.release("r", fencing_token)
        assert status(store) is SessionStatus.CANCELLED
        assert not store.due(now() + timedelta(1), 9)

    def test_no_other_server_begins_a_segment_during_its_lease(self, store: Store) -> None:
        fencing_token = token(store)
        for alone in (True, False):
            assert store.begin("r", 1, alone=alone) is None
        assert token(store) == fencing_token
        assert not store.due(now(), 9)
        assert begin(store, "r", 1).fencing_token > fencing_token

    def test_a_lease_that_lapses_makes_its_segment_due(self, store: Store) -> None:
        (due,) = store.due(now() + timedelta(1), 9)
        assert (due.job_id, due.is_due) == ("r.1", False)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), due.fencing_token)

    def test_a_renewed_lease_lapses_later(self, store: Store) -> None:
        before = load_run(store, "r")
        time.sleep(0.001)
        store.renew({"r": before.fencing_token, "unknown": 1})
        after = load_run(store, "r")
        assert after == msgspec.structs.replace(before, due_at=after.due_at)
        assert before.due_at is not None
        assert after.due_at is not None
        assert after.due_at > before.due_at

    def test_a_lease_is_not_renewed_for_a_stale_token_or_a_due_run(self, store: Store) -> None:
        stale = token(store)
        fencing_token = begin(store, "r", 1).fencing_token
        before = store.run("r")
        store.renew({"r": stale})
        assert store.run("r") == before
        store.release("r", fencing_token)
        before = store.run("r")
        store.renew({"r": fencing_token})
        assert store.run("r") == before

    def test_what_was_leased_is_due_once_all_leases_have_ended(self, store: Store) -> None:
        store.end_leases()
        (due,) = store.due(now() + timedelta(seconds=1), 9)
        assert (due.job_id, due.is_due) == ("r.1", True)
        assert isinstance(store.begin("r", 1), Run)

    def test_sessions_that_wait_are_not_due_once_all_leases_have_ended(self, store: Store) -> None:
        assert not store.pause("r", token(store))
        store.end_leases()
        assert not store.due(now() + timedelta(1), 9)

    def test_a_cancelling_session_whose_server_is_gone_is_due(self, store: Store) -> None:
        store.cancel("r", "me")
        assert store.begin("r", 1) is None
        assert status(store) is SessionStatus.CANCELLING
        store.end_leases()
        assert [one.job_id for one in store.due(now() + timedelta(seconds=1), 9)] == ["r.1"]
        assert store.begin("r", 1) is None
        assert status(store) is SessionStatus.CANCELLED
        assert not store.due(now() + timedelta(1), 9)

    def test_a_root_run_added_as_begun_is_as_if_it_was_begun(self, empty: Store) -> None:
        session = Session(id="s", run_id="r", runbook_id="b", name="B")
        begun = empty.add_begun(new_run("r"), session)
        assert begun is not None
        assert begun == empty.run("r")
        assert begun.fencing_token > 0
        assert (begun.status, begun.failed_starts) == (RunStatus.ACTIVE, 1)
        assert status(empty) is SessionStatus.ACTIVE
        assert empty.begin("r", 1) is None
        assert empty.add_begun(new_run("r"), session) is None
        assert empty.run("r") == begun
        assert empty.finish("r", DONE, begun.fencing_token)

    def test_an_answer_may_begin_the_segment_that_follows(self, store: Store) -> None:
        former = token(store)
        assert not store.pause("r", former)
        answered = store.answer("p", answering(b"{}"), "me", begin=lambda root: root.job_id == "r.1")
        assert answered.begun is not None
        assert answered.begun == store.run("r")
        assert (answered.begun.job_id, answered.begun.failed_starts) == ("r.2", 1)
        assert answered.root.fencing_token == answered.begun.fencing_token > former
        assert status(store) is SessionStatus.ACTIVE
        assert store.begin("r", 2) is None
        assert store.finish("r", DONE, answered.begun.fencing_token)

    def test_an_answer_ahead_of_the_pause_begins_nothing(self, store: Store) -> None:
        answered = store.answer("p", answering(b"{}"), "me", begin=lambda _: True)
        assert answered.begun is None
        assert store.pause("r", token(store))

    def test_failed_starts_count_begins_without_progress(self, store: Store) -> None:
        assert [begin(store, "r", 1).failed_starts for _ in range(3)] == [1, 2, 3]
        assert store.add_child(new_run("x", RunKind.STEP, "r"), token(store))
        assert begin(store, "r", 1).failed_starts == 4
        assert store.finish("x", DONE, token(store))
        assert begin(store, "r", 1).failed_starts == 1
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), token(store), new_prompt("p2", "q2"))
        assert begin(store, "r", 1).failed_starts == 1
        store.answer("p2", answering(b"{}"), "me")
        assert begin(store, "r", 1).failed_starts == 1
        store.release("r", token(store))
        assert begin(store, "r", 2).failed_starts == 1
        assert begin(store, "r", 2).failed_starts == 2
        assert not store.pause("r", token(store))
        store.answer("p", answering(b"{}"), "me")
        assert begin(store, "r", 3).failed_starts == 1

    def test_a_root_run_that_failed_to_start_begins_only_alone(self, store: Store) -> None:
        fencing_token = begin(store, "r", 1, alone=False).fencing_token
        assert load_run(store, "r").failed_starts == 1
        assert store.begin("r", 1, alone=False, over=token(store)) == Suspect()
        assert token(store) == fencing_token
        assert begin(store, "r", 1).failed_starts == 2
        assert store.add_child(new_run("x", RunKind.STEP, "r"), token(store))
        assert store.finish("x", DONE, token(store))
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
        assert store.begin("r", 1, alone=False, over=token(store)) == Suspect()

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
        stale = token(store)
        assert set(store.gone({"r": stale, "unknown": 1})) == {"unknown"}
        fencing_token = begin(store, "r", 1).fencing_token
        assert set(store.gone({"r": stale})) == {"r"}
        assert not store.gone({"r": fencing_token})
        assert store.finish("r", DONE, fencing_token)
        assert set(store.gone({"r": fencing_token})) == {"r"}

    def test_the_time_that_a_root_run_has_spent_is_kept(self, store: Store) -> None:
        store.release("r", token(store), 3)
        assert load_run(store, "r").spent == 3
        assert begin(store, "r", 2).spent == 3
        assert not store.pause("r", token(store), 5)
        assert load_run(store, "r").spent == 5
