"""What can be chosen of a server, in one place, whichever way it is served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from .events import Observer
from .service.identity import User
from .web.limits import Limits

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
else:
    TracerProvider = Any  # for those who read annotations; loaded with a server

MEMORY = "sqlite://"
FILE = "sqlite:///runbooks.db"


class Options(TypedDict, total=False):
    """The settings as keyword arguments; `Settings` says what each is."""

    database: str
    encryption_key: str | None
    users: Iterable[User]
    environments: Sequence[str] | None
    workers: int
    grace: float
    keep_ended: int
    keep_for: timedelta | None
    limits: Limits
    allowed_hosts: Sequence[str] | None
    public_url: str | None
    trusted_proxies: Sequence[str]
    tracer_provider: TracerProvider | None
    observers: Sequence[Observer]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server.

    Attributes:
        database: Where everything is kept: `sqlite:///file` (three slashes before a relative path, four before an
            absolute one), `postgresql://user:password@host/name` for several servers, or `sqlite://`, which is memory
            and ends with the server.
        encryption_key: Fernet key that seals secret values in the database; more of them, with commas between, open
            what was sealed before. By default that of the environment's `AIRPLANE_ENCRYPTION_KEY`, else one in a file
            beside the database's.
        users: Who has a key besides the server's own, with names and groups for prompts that name reviewers.
        environments: Slugs to serve; the first is the default. Any if None, and `prod` is the default then.
        workers: How many sessions and tasks are executed at a time, by each server.
        grace: Seconds that the end of the server waits for running steps.
        keep_ended: How many sessions and task runs stay readable after their end: those that ended last.
        keep_for: For how long at most.
        limits: What the server accepts of its clients.
        allowed_hosts: Names in the Host header that are answered besides those of loopback; by default any, but none
            on loopback.
        public_url: Where browsers find the server, path prefix included, if proxies are in between:
            `https://runbooks.example.com/tools`.
        trusted_proxies: Addresses and networks of the proxies whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`,
            or `Forwarded`, are believed.
        tracer_provider: Where spans go; by default to the global provider.
        observers: Observers of the server's events, see `airplane_runbooks.server.events`.
    """

    database: str = MEMORY
    encryption_key: str | None = None
    users: Iterable[User] = ()
    environments: Sequence[str] | None = None
    workers: int = 16
    grace: float = 10.0
    keep_ended: int = 10_000
    keep_for: timedelta | None = None
    limits: Limits = Limits()
    allowed_hosts: Sequence[str] | None = None
    public_url: str | None = None
    trusted_proxies: Sequence[str] = ()
    tracer_provider: TracerProvider | None = None
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        if isinstance(self.environments, str):
            raise TypeError("environments is a sequence of slugs")
        if self.keep_ended < 0 or self.grace < 0 or self.workers < 1:
            raise ValueError("keep_ended and grace must not be negative, and workers at least 1")

    def __repr__(self) -> str:  # the database's URL may hold a password, and the key is one
        return "<Settings>"
