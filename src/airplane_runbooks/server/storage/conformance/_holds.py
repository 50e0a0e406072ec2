"""Root runs that are held until they are let go."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ....models import SessionStatus
from ...errors import Held
from ..ids import now
from ..interface import Store
from ..records import RunKind
from ._support import (
    AGES_AGO,
    DONE,
    Case,
    answering,
    load_prompt,
    load_run,
    new_prompt,
    new_run,
    status,
    token,
)


class Holds(Case):
    """Root runs of which nothing is executed, answered or expired for now."""

    def test_a_held_root_run_is_pending_and_not_executed(self, store: Store) -> None:
        store.hold("r", token(store), "code")
        assert (load_run(store, "r").held, status(store)) == ("code", SessionStatus.PENDING)
        assert store.begin("r", 1) is None
        assert not store.due(now() + timedelta(1), 9)

    def test_a_prompt_of_a_held_root_run_is_not_answered(self, store: Store) -> None:
        store.hold("r", token(store), "code")
        with pytest.raises(Held):
            store.answer("p", answering(b"{}"), "me")
        assert load_prompt(store, "p").is_open

    def test_a_prompt_of_a_held_root_run_is_not_overdue(self, store: Store) -> None:
        late = new_prompt("late", "q2", expires_at=AGES_AGO)
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), token(store), late)
        assert list(store.overdue(now(), 9)) == ["late"]
        assert store.next_chore() == AGES_AGO
        store.hold("r", token(store), "code")
        assert not store.overdue(now(), 9)
        assert store.next_chore() != AGES_AGO

    def test_a_held_root_run_is_due_once_it_is_let_go(self, store: Store) -> None:
        store.hold("r", token(store), "restored")
        assert [run.id for run in store.held("restored", 9)] == ["r"]
        assert [run.id for run in store.held(None, 9)] == ["r"]
        assert not store.held("code", 9)
        assert store.let_go("r", "code") is None
        released = store.let_go("r", "restored")
        assert released is not None
        assert released.held == "restored"
        assert not store.held("restored", 9)
        assert not store.held(None, 9)
        assert store.let_go("r", "restored") is None
        assert [run.id for run in store.due(now() + timedelta(1), 9)] == ["r"]
        assert store.begin("r", released.segment) is None
        assert store.begin("r", released.segment + 1) is not None

    def test_a_prompt_is_given_the_time_for_which_it_was_held(self, store: Store) -> None:
        held = new_prompt("held", "q2", expires_at=now() + timedelta(1))
        assert store.add_child(new_run("q2", RunKind.PROMPT, "r"), token(store), held)
        store.hold("r", token(store), "restored")
        assert store.let_go("r", "restored") is not None
        expires_at = load_prompt(store, "held").expires_at
        assert expires_at is not None
        assert held.expires_at is not None
        assert expires_at >= held.expires_at
        assert load_prompt(store, "p").expires_at is None

    def test_a_hold_with_a_stale_fencing_token_changes_nothing(self, store: Store) -> None:
        store.hold("r", token(store) - 1, "code")
        assert (load_run(store, "r").held, status(store)) == (None, SessionStatus.ACTIVE)

    def test_a_held_root_run_can_be_cancelled(self, store: Store) -> None:
        store.hold("r", token(store), "code")
        assert store.cancel("r", "me").held is None
        assert status(store) is SessionStatus.CANCELLED
        assert not store.finish("r", DONE, token(store))
