"""Settings of a server, the same for `create_app`, `RunbookServer` and `serve`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from .bounds import Count, Number, Port, Seconds, check_bounds
from .deliveries.targets import Target, checked_targets
from .events import Observer
from .service.config_variables import ConfigVariable, complete_variables
from .service.identity import User, Users
from .web.limits import Limits
from .web.proxies import parse_proxies, parse_public_url

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
else:
    MeterProvider = Any
    TracerProvider = Any  # for readers of annotations; the real class is loaded with a server

MEMORY = "sqlite://"
FILE = "sqlite:///runbooks.db"


class Options(TypedDict, total=False):
    """Settings as keyword arguments, which `Settings` describes."""

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
    meter_provider: MeterProvider | None
    observers: Sequence[Observer]
    capture_logs: bool
    access_log: bool
    config_variables: Mapping[str, str | ConfigVariable]
    notify: Sequence[Target]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server.

    Attributes:
        database: URL of the database: `sqlite:///file` (three slashes before a relative path, four before an
            absolute one), `postgresql://user:password@host/name` for several servers, or `sqlite://`, which is memory
            and ends with the server.
        encryption_key: Fernet key that seals secret values in the database. Further keys, separated by commas, open
            values that were sealed before. By default `AIRPLANE_ENCRYPTION_KEY` of the environment, else a key in a
            file beside the database's.
        users: Users with keys of their own, and with e-mail addresses and groups for prompts that name reviewers.
        environments: Slugs to serve; the first is the default. Any if None, and `prod` is the default then.
        workers: Number of sessions and tasks that each server executes at a time.
        grace: Seconds that a stopping server waits for running steps.
        keep_ended: Number of sessions and task runs that stay readable after their end: those that ended last.
        keep_for: The longest time for which they stay readable.
        limits: Limits of what clients may send and keep open.
        allowed_hosts: Names that the Host header may have besides those of loopback. By default any name may be used,
            but on loopback none.
        public_url: URL by which browsers reach the server through proxies, with its path prefix:
            `https://runbooks.example.com/tools`.
        trusted_proxies: Addresses and networks of the proxies whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`,
            or `Forwarded`, are trusted.
        tracer_provider: Provider of the tracer for spans; by default the global one.
        meter_provider: Provider of the meter for metrics; by default the global one.
        observers: Observers of the server's events, see `airplane_runbooks.server.events`.
        capture_logs: Whether what steps and tasks write is kept with them: what they print, and their records of
            `logging`. It goes where it went before as well. `sys.stdout` and `sys.stderr` are replaced while the
            server runs. `serve` does it by default.
        access_log: Whether the log has a line for each request. `serve` writes them by default.
        config_variables: Values of config variables by their names. They are secret unless they are a `ConfigVariable`
            that says otherwise.
        notify: Webhooks and channels of Slack that are told when a prompt of any runbook opens and when a session ends.
            Their messages hold links if `public_url` is set.
    """

    database: str = MEMORY
    encryption_key: str | None = None
    users: Iterable[User] = ()
    environments: Sequence[str] | None = None
    workers: Count = 16
    grace: Seconds = 10.0
    keep_ended: Number = 10_000
    keep_for: timedelta | None = None
    limits: Limits = Limits()
    allowed_hosts: Sequence[str] | None = None
    public_url: str | None = None
    trusted_proxies: Sequence[str] = ()
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    observers: Sequence[Observer] = ()
    capture_logs: bool = False
    access_log: bool = False
    config_variables: Mapping[str, str | ConfigVariable] = {}
    notify: Sequence[Target] = ()

    def __post_init__(self) -> None:
        if isinstance(self.environments, str):
            raise TypeError("environments is a sequence of slugs")
        if self.keep_for is not None and self.keep_for < timedelta():
            raise ValueError("keep_for must not be negative")
        check_bounds(self)
        complete_variables(self.config_variables)
        parse_proxies(self.trusted_proxies)
        if self.public_url is not None:
            parse_public_url(self.public_url)
        checked_targets(self.notify)

    def __repr__(self) -> str:  # the database's URL may hold a password, and the key is one
        return "<Settings>"


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `serve` and `RunbookServer` besides those of `Settings`: the address and the server's own key.

    Attributes:
        host: Address to listen on. Any other than those of loopback requires keys of at least 16 characters.
        port: Port to listen on; 0 takes a free one.
        api_key: Key of the server itself. Several keys are all valid, so that one can replace another. By default a
            new one is made at each start, and `serve` shows it.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    api_key: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.api_key is not None:
            Users(self.api_key)

    def __repr__(self) -> str:  # it holds a key
        return "<Listener>"
