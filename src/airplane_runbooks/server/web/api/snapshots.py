"""Snapshots of sessions, runs and prompts: the reply that shows one, and the entity tag of its state.

An entity tag covers what a caller waits for, and not all that is shown: the time of the last update moves without it.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

import msgspec

from ...storage.idempotency import StoredReply
from ...storage.states import State
from .generated_clients import with_string_values
from .schemas import Json


class Snapshot:
    """One object at one moment.

    Attributes:
        state: State, which the entity tag covers.
        at_rest: True if the object has ended or waits for a human.
        run_ids: IDs of the runs that are noted as changed when it changes.
    """

    __slots__ = ("_forms", "_tag", "at_rest", "run_ids", "state")

    def __init__(self, json: Json | None, state: State, *, at_rest: bool, run_ids: Collection[str]) -> None:
        self.state = state
        self.at_rest = at_rest
        self.run_ids = run_ids
        self._tag = sha256(msgspec.json.encode(state)).hexdigest()[:20]
        self._forms = {} if json is None else {False: StoredReply(200, msgspec.json.encode(json))}

    def etag(self, *, as_strings: bool) -> str:
        """Return the entity tag of the reply for generated clients, which get values `as_strings`, or for others."""
        return f'W/"{self._tag}{"-strings" if as_strings else ""}"'

    def without_reply(self) -> Snapshot:
        """Return what is needed to tell a caller that it knows this state."""
        return Snapshot(None, self.state, at_rest=self.at_rest, run_ids=self.run_ids)

    def reply(self, *, as_strings: bool) -> StoredReply:
        """Return the reply, which all callers share."""
        if as_strings not in self._forms:
            self._forms[as_strings] = with_string_values(self._forms[False])
        return self._forms[as_strings]
