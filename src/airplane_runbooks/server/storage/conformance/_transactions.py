"""Transactions, and the idempotency keys that share them."""

from __future__ import annotations

from functools import partial

import pytest

from ....models import RunStatus, SessionStatus
from ...errors import Conflict, KeyBusy
from ..idempotency import Claim, StoredReply
from ..interface import Store
from ..records import RunKind
from ._support import DONE, Case, add_root, load_prompt, load_run, new_run, status, together, token

REPLY = StoredReply(200, b"\x00first")


class Transactions(Case):
    """Keys, alone and together with what else a transaction changes."""

    def test_a_failed_transaction_leaves_nothing_behind(self, empty: Store) -> None:
        def add_and_fail(store: Store) -> None:
            add_root(store, "r")
            store.keys.claim("k", b"a")
            raise LookupError

        with pytest.raises(LookupError):
            empty.transact(add_and_fail)
        assert (empty.run("r"), empty.session("sr")) == (None, None)
        assert empty.keys.claim("k", b"b").reply is None

    def test_a_transaction_keeps_a_reply_with_what_it_changed(self, empty: Store) -> None:
        def add_and_reply(store: Store) -> str:
            seed = store.keys.claim("k", b"a").seed
            add_root(store, "r")
            store.keys.settle("k", REPLY)
            return seed

        seed = empty.transact(add_and_reply)
        assert empty.run("r") is not None
        assert empty.keys.claim("k", b"a") == Claim(seed, REPLY)

    def test_a_server_writes_several_changes_in_one_transaction(self, store: Store) -> None:
        fencing_token = token(store)

        def write(joined: Store) -> list[bool]:
            return [
                joined.add_child(new_run("x", RunKind.STEP, "r"), fencing_token),
                joined.finish("x", DONE, fencing_token),
                joined.add_child(new_run("y", RunKind.STEP, "r"), fencing_token),
                joined.pause("r", fencing_token),
                joined.finish("y", DONE, fencing_token - 1),
            ]

        for _ in range(2):  # its answer may have got lost
            assert store.transact(write) == [True, True, True, False, False]
        assert status(store) is SessionStatus.WAITING
        assert [run.status for run in store.history("r")] == [RunStatus.ACTIVE, RunStatus.SUCCEEDED, RunStatus.ACTIVE]
        assert load_run(store, "r").failed_starts == 0

    def test_a_step_whose_begin_was_written_before_ends_with_a_repetition(self, store: Store) -> None:
        fencing_token = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)

        def write(joined: Store) -> list[bool]:
            return [
                joined.add_child(new_run("x", RunKind.STEP, "r"), fencing_token),
                joined.finish("x", DONE, fencing_token),
            ]

        assert store.transact(write) == [True, True]
        assert load_run(store, "x").status is RunStatus.SUCCEEDED

    def test_the_end_of_a_session_is_written_with_its_last_step(self, store: Store) -> None:
        fencing_token = token(store)

        def write(joined: Store) -> list[bool]:
            return [
                joined.add_child(new_run("x", RunKind.STEP, "r"), fencing_token),
                joined.finish("x", DONE, fencing_token),
                joined.finish("r", DONE, fencing_token),
                joined.add_child(new_run("y", RunKind.STEP, "r"), fencing_token),
            ]

        assert store.transact(write) == [True, True, True, False]
        assert status(store) is SessionStatus.SUCCEEDED
        assert [run.status for run in store.history("r")] == [RunStatus.CANCELLED, RunStatus.SUCCEEDED]
        assert not load_prompt(store, "p").is_open

    def test_a_key_without_a_reply_is_busy_for_its_own_call(self, empty: Store) -> None:
        empty.keys.claim("k", b"a")
        with pytest.raises(Conflict):
            empty.keys.claim("k", b"b")
        with pytest.raises(KeyBusy):
            empty.keys.claim("k", b"a")
        assert empty.keys.claim("other", b"b").reply is None

    def test_a_settled_key_belongs_to_one_request(self, empty: Store) -> None:
        first = empty.keys.claim("k", b"a")
        empty.keys.settle("k", REPLY)
        with pytest.raises(Conflict):
            empty.keys.claim("k", b"b")
        assert empty.keys.claim("k", b"b", other_fingerprints=[b"a"]) == Claim(first.seed, REPLY)

    def test_a_key_is_found_under_its_former_name(self, empty: Store) -> None:
        first = empty.keys.claim("former", b"a")
        empty.keys.settle("former", REPLY)
        assert empty.keys.claim("k", b"a", former_key="former") == Claim(first.seed, REPLY)

    def test_a_key_claimed_by_many_at_once_is_claimed_once(self, empty: Store) -> None:
        claims = together(*[partial(empty.keys.claim, "k", b"a")] * 8)
        assert sum(isinstance(claim, Claim) for claim in claims) == 1
        assert claims.count("idempotency_key_in_use") == 7
