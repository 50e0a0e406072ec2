"""The life of a session: its pauses, its answers, its cancellation and its end."""

from __future__ import annotations

import pytest

from ....models import RunStatus, SessionStatus
from ...errors import Conflict, NotFound
from ..interface import SessionQuery, Store
from ..records import RunKind, Session
from ._support import (
    DONE,
    Case,
    add_root,
    answering,
    begin,
    load_prompt,
    load_run,
    new_prompt,
    new_run,
    status,
    token,
)


class Sessions(Case):
    """Sessions that wait, are answered, are cancelled and end."""

    def test_a_session_waits_until_its_open_prompt_is_answered(self, store: Store) -> None:
        assert not store.pause("r", token(store))
        assert status(store) is SessionStatus.WAITING
        assert store.begin("r", 1) is None
        store.answer("p", answering(b"{}"), "me")
        assert status(store) is SessionStatus.ACTIVE
        assert store.begin("r", 1) is None
        assert begin(store, "r", 2).id == "r"

    @pytest.mark.parametrize("values", [b"{}", None])
    def test_an_answer_ahead_of_the_pause_is_not_lost(self, store: Store, values: bytes | None) -> None:
        store.answer("p", answering(values), "me")
        assert load_run(store, "r").answered_meanwhile
        assert store.pause("r", token(store))
        assert status(store) is SessionStatus.ACTIVE
        assert not begin(store, "r", 1).answered_meanwhile

    def test_an_early_answer_is_not_lost_if_another_prompt_is_open(self, store: Store) -> None:
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), token(store), new_prompt("p2", "q2"))
        store.answer("p2", answering(b"{}"), "me")
        assert store.pause("r", token(store))
        assert status(store) is SessionStatus.ACTIVE
        begin(store, "r", 1)
        assert not store.pause("r", token(store))
        assert status(store) is SessionStatus.WAITING

    def test_a_cancellation_ahead_of_the_pause_is_not_lost(self, store: Store) -> None:
        store.cancel("q", "me")
        assert status(store) is SessionStatus.CANCELLING
        assert store.pause("r", token(store))
        assert store.begin("r", 1, over=token(store)) is None
        assert status(store) is SessionStatus.CANCELLED

    def test_a_cancelled_session_takes_no_steps_and_no_result(self, store: Store) -> None:
        store.cancel("r", "me")
        assert not store.add_child(new_run("x", RunKind.STEP, "r"), token(store))
        assert not store.finish("r", DONE, token(store))
        assert status(store) is SessionStatus.CANCELLED
        assert load_run(store, "r").output == b"null"

    def test_the_end_of_a_session_cancels_what_is_still_open(self, store: Store) -> None:
        assert store.finish("r", DONE, token(store))
        assert status(store) is SessionStatus.SUCCEEDED
        assert load_run(store, "q").status is RunStatus.CANCELLED
        assert load_prompt(store, "p").cancelled_at is not None
        with pytest.raises(Conflict):
            store.answer("p", answering(b"{}"), "me")
        with pytest.raises(Conflict):
            store.cancel("r", "me")

    def test_the_end_of_one_session_leaves_the_others_alone(self, store: Store) -> None:
        add_root(store, "other")
        store.begin("other", 1)
        store.add_child(new_run("step", RunKind.STEP, "other"), token(store, "other"))
        assert store.finish("r", DONE, token(store))
        assert status(store, "sother") is SessionStatus.ACTIVE
        assert load_run(store, "step").status is RunStatus.ACTIVE

    def test_a_root_run_added_twice_is_there_once(self, empty: Store) -> None:
        add_root(empty, "r")
        first = empty.run("r")
        assert not empty.add(new_run("r", source="else"), Session(id="other", run_id="r", runbook_id="b", name="B"))
        assert empty.run("r") == first
        assert empty.session("other") is None

    def test_an_answer_repeated_with_its_seed_changes_nothing(self, store: Store) -> None:
        first = store.answer("p", answering(b'{"a":1}', b"sealed"), "me", "seed")
        assert load_run(store, "q").sealed_output == b"sealed"
        assert first.prompt == store.prompt("p")
        assert store.answer("p", answering(b'{"a":2}'), "you", "seed") == first
        for seed in ("", "another"):
            with pytest.raises(Conflict, match="submitted already"):
                store.answer("p", answering(b"{}"), "me", seed)

    def test_a_cancellation_repeated_with_its_seed_changes_nothing(self, store: Store) -> None:
        assert not store.pause("r", token(store))
        first = store.cancel("q", "me", "seed")
        assert (first.id, first.status, first.cancelled_by, first.due_at) == ("r", RunStatus.CANCELLED, "me", None)
        assert store.cancel("q", "you", "seed") == store.cancel("r", "you", "seed") == first == store.run("r")
        assert status(store) is SessionStatus.CANCELLED
        for seed in ("", "another"):
            with pytest.raises(Conflict, match="Cancelled"):
                store.cancel("q", "me", seed)

    def test_unknown_runs_and_prompts_cannot_be_changed(self, empty: Store) -> None:
        with pytest.raises(NotFound, match="no prompt nope"):
            empty.answer("nope", answering(b"{}"), "me")
        with pytest.raises(NotFound, match="no run nope"):
            empty.cancel("nope", "me")
        assert empty.begin("nope", 1) is None
        assert not empty.attempt(new_run("nope"), 0)

    def test_a_task_s_run_has_no_session(self, empty: Store) -> None:
        assert empty.add(new_run("t", RunKind.TASK, session_id=None))
        assert begin(empty, "t", 1).status is RunStatus.ACTIVE
        assert empty.finish("t", DONE, token(empty, "t"))
        assert empty.add(new_run("u", RunKind.TASK, session_id=None))
        assert empty.cancel("u", "me").status is RunStatus.CANCELLED
        assert not empty.sessions(SessionQuery())
