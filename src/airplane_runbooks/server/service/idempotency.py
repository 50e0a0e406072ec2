"""Calls with an idempotency key: carried out once, and answered with the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from ..storage.idempotency import StoredReply
from .identity import User
from .services import Caller, Services, UnitOfWork

Handle = Callable[[UnitOfWork, Caller], StoredReply]


def answer_once(services: Services, key: str, fingerprint: bytes, caller: Caller, handle: Handle) -> StoredReply:
    """Return the reply of the first call with this key, which `handle` makes if this is the first.

    `fingerprint` tells the call from others. The claim of the key, all that `handle` does with its unit of work, and
    the reply are one transaction: a call that fails leaves nothing behind, and one that is repeated meanwhile waits for
    the end of the first. Raises what `handle` raises, Conflict if the key belongs to another call, and KeyBusy if a
    server of an older version may still be at it.
    """
    kept, *others = *services.vault.digests("call", fingerprint), fingerprint
    own_key, former_key = f"{caller.id}:{key}", f"{_former_owner(caller.user)}:{key}"

    def work(unit: UnitOfWork) -> StoredReply:
        claim = unit.store.keys.claim(own_key, kept, former_key=former_key, other_fingerprints=others)
        if claim.reply is not None:
            return claim.reply
        reply = handle(unit, replace(caller, seed=claim.seed))
        unit.store.keys.settle(own_key, reply)
        return reply

    return services.transact(work)


def _former_owner(user: User) -> str:
    """Return the beginning of a user's keys in databases of version 1: a weak API key could be guessed from it."""
    return user.digest.hex()[:16]
