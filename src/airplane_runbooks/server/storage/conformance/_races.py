"""Threads that use one store at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from ....models import RunStatus, SessionStatus
from ..ids import now
from ..interface import Answered, RunQuery, Store
from ..records import Run, RunKind, Session
from ._support import (
    DONE,
    Case,
    add_root,
    answering,
    begin,
    load_prompt,
    load_run,
    new_run,
    status,
    together,
    token,
)


class Races(Case):
    """Changes that threads race for, of which one wins."""

    def test_exactly_one_of_many_answers_at_once_counts(self, store: Store) -> None:
        store.pause("r", token(store))
        answers = together(
            *(partial(store.answer, "p", answering(b"%d" % number), str(number)) for number in range(12))
        )
        (winner,) = [one.prompt for one in answers if isinstance(one, Answered)]
        assert answers.count("prompt_already_answered") == 11
        assert winner == store.prompt("p")
        assert load_run(store, "q").output == winner.values
        assert (load_run(store, "r").segment, status(store)) == (2, SessionStatus.ACTIVE)

    def test_an_answer_and_a_cancellation_agree_on_the_first(self, store: Store) -> None:
        store.pause("r", token(store))
        results = together(*[lambda: store.answer("p", answering(b"{}"), "me"), lambda: store.cancel("r", "me")] * 4)
        assert sum(isinstance(one, Run) for one in results) == 1
        answers = sum(isinstance(one, Answered) for one in results)
        assert answers == (load_prompt(store, "p").submitted_at is not None)
        assert status(store) is (SessionStatus.CANCELLING if answers else SessionStatus.CANCELLED)

    def test_one_of_many_who_begin_again_at_once_may_write(self, store: Store) -> None:
        over = token(store)
        begun = together(*[partial(store.begin, "r", 1, over=over)] * 8)
        (one,) = (one for one in begun if isinstance(one, Run))
        assert token(store) == one.fencing_token != over
        assert not store.finish("r", DONE, over)
        assert store.finish("r", DONE, one.fencing_token)

    def test_one_of_many_who_begin_at_once_gets_the_lease(self, empty: Store) -> None:
        add_root(empty, "r")
        begun = together(*[partial(empty.begin, "r", 1)] * 8)
        assert sum(isinstance(one, Run) for one in begun) == 1
        assert begun.count(None) == 7

    def test_a_root_run_added_by_many_at_once_is_added_once(self, empty: Store) -> None:
        session = Session(id="s", run_id="r", runbook_id="b", name="B")
        added = together(*[partial(empty.add, new_run("r"), session)] * 8)
        assert sorted(added) == [False] * 7 + [True]

    def test_many_sessions_at_once_do_not_disturb_each_other(self, empty: Store) -> None:
        def live(number: int) -> bool:
            run_id = f"r{number}"
            add_root(empty, run_id)
            fencing_token = begin(empty, run_id, 1).fencing_token
            for step in range(3):
                child = f"{run_id}.{step}"
                assert empty.add_child(new_run(child, RunKind.STEP, run_id, session_id=f"s{run_id}"), fencing_token)
                assert empty.finish(child, DONE, fencing_token)
            assert empty.runs(RunQuery(session_id=f"s{run_id}"))
            empty.drop(1000)
            return empty.finish(run_id, DONE, fencing_token)

        with ThreadPoolExecutor(12) as threads:
            assert all(threads.map(live, range(24)))
        assert len(empty.due(now() + timedelta(1), 99)) == 0
        assert {one.status for one in empty.runs(RunQuery())} == {RunStatus.SUCCEEDED}
