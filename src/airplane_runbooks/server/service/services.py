"""Everything that the use cases share: the store, the engine, the vault, and the code that is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ..authoring.decorators import Registry, Runbook, Task
from ..deliveries.deliverer import Deliverer
from ..engine.interface import Engine
from ..errors import Forbidden
from ..notifications import Notifications
from ..observers.emitter import Emitter
from ..secrets.vault import Vault
from ..storage.ids import API_USER, now
from ..storage.interface import Store
from ..storage.sign_outs import SqlSignOuts
from ..storage.states import States
from .config_variables import ConfigVariable
from .identity import User
from .workers import ReservedWorker

T = TypeVar("T")


class Caller(msgspec.Struct, frozen=True):
    """The user who makes a call, and the seed of all IDs that the call makes."""

    user: User
    seed: str

    @property
    def id(self) -> str:
        """The ID of the user."""
        return self.user.id


class StartRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request to start a runbook or task, which `names` names by `id`, `slug` or both. `resources` are a task's."""

    names: Mapping[str, str]
    values: Mapping[str, Any]
    env_slug: str | None = None
    resources: Mapping[str, str] = {}


class UploadLimits(msgspec.Struct, frozen=True):
    """Limits of the bytes of one uploaded file, of all files, and of those of one user."""

    max_size: int
    max_total: int
    max_of_user: int


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Dependencies of the use cases, which are functions in the modules of this package.

    Attributes:
        environments: Slugs of the environments served, any if None. The first of them, else `prod`, is the default.
        reserve: Keeps a worker of this server free for a root run; None if there is none.
        interrupt: Makes this server's execution of a root run end soon, if there is one.
        deliverer: Sends what is told outside, and has the outbox.
        notifications: Notifications of committed changes, of this server and those that share its database.
        states: Reads the states of many objects; None if no other server can change them.
        server_id: Tells this server's database from others.
        upload_limits: Limits of uploaded files.
        config_variables: Config variables by their names.
        since: Start of this server: the only date that runbooks and tasks have, being code.
    """

    runbooks: Registry[Runbook[..., Any]]
    tasks: Registry[Task[..., Any]]
    environments: Sequence[str] | None
    store: Store
    sign_outs: SqlSignOuts
    engine: Engine
    reserve: Callable[[str], ReservedWorker | None]
    interrupt: Callable[[str], None]
    vault: Vault
    emitter: Emitter
    deliverer: Deliverer
    notifications: Notifications
    states: States | None
    server_id: str
    upload_limits: UploadLimits
    config_variables: Mapping[str, ConfigVariable] = {}
    since: datetime = msgspec.field(default_factory=now)

    def transact(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in one transaction, of all that it does with the store of its unit, and return its result.

        `work` may be called again, so what it does elsewhere belongs into `after_commit`.
        """
        units: list[UnitOfWork] = []

        def attempt(store: Store) -> tuple[T, UnitOfWork]:
            _undo(units)
            members: dict[str, Any] = {**msgspec.structs.asdict(self), "store": store}
            units.append(UnitOfWork(**members))
            return work(units[-1]), units[-1]

        try:
            result, unit = self.store.transact(attempt)
        except BaseException:
            _undo(units)
            raise
        for effect in unit.effects:
            effect()
        return result


class UnitOfWork(Services, frozen=True, kw_only=True):
    """Services whose store is an open transaction, which all use cases join that are called with them."""

    effects: list[Callable[[], object]] = []
    undoing: list[Callable[[], object]] = []

    def transact(self, work: Callable[[UnitOfWork], T]) -> T:
        """Join the transaction."""
        return work(self)

    def after_commit(self, effect: Callable[[], object]) -> None:
        """Call this once the transaction has been committed, or not at all.

        A server that dies in between does not get to it, so the reconciler must find out by itself.
        """
        self.effects.append(effect)

    def unless_committed(self, effect: Callable[[], object]) -> None:
        """Call this if the transaction fails."""
        self.undoing.append(effect)


def check_operator(caller: Caller) -> None:
    """Raise Forbidden unless the caller is the server's operator, who has the server's own key."""
    if caller.id != API_USER:
        raise Forbidden("operators_only", "this takes the server's own key")


def _undo(units: list[UnitOfWork]) -> None:
    while units:
        for effect in units.pop().undoing:
            effect()
