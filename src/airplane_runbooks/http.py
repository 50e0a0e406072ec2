"""What travels between the layers: requests, responses, headers, and the two transport protocols."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from .policy import RetryPolicy

T = TypeVar("T")

# RFC 9110, section 5: field names are tokens; values are visible ASCII, space and tab.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

API_KEY_HEADER = "x-airplane-api-key"

# What the API's clients send to say who they are, and what HTTP has for it; and whatever else is named like that.
_CREDENTIALS = re.compile(
    r"(?:proxy-)?authorization|(?:set-)?cookie2?|(?:.+-)?(?:api-?key|token|secret|password|credentials?|jwt)"
)

_SHOWN = frozenset(
    {"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "date", "host"}
    | {"idempotency-key", "retry-after", "server", "transfer-encoding", "user-agent", "x-airplane-retryable"}
)


def is_header_name(name: str) -> bool:
    """Whether `name` may name a header (RFC 9110, section 5.6.2)."""
    return _NAME.fullmatch(name) is not None


def is_header_value(value: str) -> bool:
    """Whether `value` holds only visible ASCII, spaces and tabs: nothing that could start another header."""
    return _VALUE.fullmatch(value) is not None


def is_credential_header(name: str) -> bool:
    """Whether a header, in whatever case and with hyphens or underscores, holds a key, token, password or cookie."""
    return _CREDENTIALS.fullmatch(name.lower().replace("_", "-")) is not None


IDEMPOTENCY_HEADER = "idempotency-key"


def is_echo(echo: str, key: str | None) -> bool:
    """Whether a reply's `Idempotency-Key` is that of the request; a proxy may have doubled it."""
    sent = None if key is None else key.strip()
    return echo == sent or all(part.strip() == sent for part in echo.split(","))


class Fields(dict[str, str]):
    """Headers on their way through frames that a traceback may show with all their local variables."""

    def copy(self) -> Fields:
        """Return a copy that is as discreet."""
        return Fields(self)

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class Headers(Mapping[str, str]):
    """Immutable headers with case-insensitive names. The repr shows the values of harmless ones only."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items: dict[str, str] = {name.lower(): value for name, value in items.items()} if items else {}

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def with_header(self, name: str, value: str) -> Headers:
        """Return a copy in which `name` has this one value."""
        return self.merged({name.lower(): value})

    def merged(self, other: Mapping[str, str]) -> Headers:
        """Return a copy with the headers of `other`, whose names must be in lower case, put over these."""
        return Headers.of({**self._items, **other})

    @classmethod
    def of(cls, items: dict[str, str]) -> Headers:
        """Take over a dict whose names are in lower case, without copying it."""
        headers = cls.__new__(cls)
        headers._items = items  # noqa: SLF001  # of our own class
        return headers

    def raw(self) -> dict[str, str]:
        """Return the dict itself, names in lower case. Not to be changed."""
        return self._items

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        return Headers, (self._items,)

    def __repr__(self) -> str:
        shown = (f"{name}: {value if name in _SHOWN else '***'}" for name, value in self._items.items())
        return f"<Headers {', '.join(shown)}>"


class CallState(msgspec.Struct, kw_only=True, eq=False):
    """What one call, with all its attempts, has come to. The only mutable thing in the chain.

    Times are readings of the client's monotonic clock, in seconds. `waits` counts the attempts that were answered with
    the word that an earlier one is still being carried out. `sent` has the headers of the attempts, with the
    credentials that a server may repeat.
    """

    operation: str
    started: float
    deadline: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    idempotency_key: str | None = None
    attempts: int = 0
    maybe_sent: bool = False
    waits: int = 0
    sent: tuple[Headers, ...] = ()

    def __repr__(self) -> str:
        return f"<CallState {self.operation} attempts={self.attempts}>"


class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP request. `origin` is scheme, host and port; `target` the path with its query.

    `attempt` counts from 1. `call` is shared by all attempts of a call.
    """

    method: str
    origin: str
    target: str
    headers: Headers
    body: bytes | None
    call: CallState
    attempt: int = 1

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self.origin + self.target

    @property
    def path(self) -> str:
        """The path without its query. It holds no values: those of a GET are in the query."""
        return self.target.partition("?")[0]

    @property
    def operation(self) -> str:
        """Name of the operation that the request belongs to."""
        return self.call.operation

    def with_header(self, name: str, value: str) -> Request:
        """Return a copy of the request in which header `name` has this value.

        Raises ValueError, without showing the value, if the header could break out of its line.
        """
        if not (is_header_name(name) and is_header_value(value)):
            del value
            raise ValueError(f"header {name!r} has a character that headers cannot carry")
        return self.with_headers(self.headers.with_header(name, value))

    def with_headers(self, headers: Headers) -> Request:
        """Return a copy of the request with these headers, which must have been checked."""
        return Request(
            method=self.method,
            origin=self.origin,
            target=self.target,
            headers=headers,
            body=self.body,
            call=self.call,
            attempt=self.attempt,
        )

    def next_attempt(self) -> Request:
        """Return the same request, counted as the next attempt."""
        return msgspec.structs.replace(self, attempt=self.attempt + 1)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url} attempt={self.attempt}>"


class Response(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP response, its body whole and decoded.

    `http_version` is such as "1.1"; None if the transport cannot tell.
    """

    status: int
    headers: Headers
    body: bytes
    http_version: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


class Reply(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A reply with everything around it.

    Attributes:
        data: The decoded body.
        response: The response as it came.
        request_id: The server's ID of the request, if it sent one.
        attempts: How many requests were made.
        elapsed: Seconds for the whole call.
        idempotency_key: The key that all attempts carried; None for reads.
    """

    data: T
    response: Response
    request_id: str | None
    attempts: int
    elapsed: float
    idempotency_key: str | None


class Transport(Protocol):
    """Carries one attempt: no retry, no redirect, no judgement of the status. Safe to share between threads.

    `send` returns or raises within `timeout` seconds of wall time, waiting for a connection, connecting and reading the
    body included; None means no limit. It raises only TransportError, or ClientClosed after `close`. The body comes
    back decoded, and never larger than the transport's limit. Whatever ends a send, its connection is given back.

    What answers another request is not returned: bytes that arrive before a request has gone out close its connection,
    and a reply with another `Idempotency-Key` than the request's is an InvalidResponse, and the end of its connection.

    A transport may have further methods. A client calls `prepare(origin)` once, when it is built, for what the first
    request would otherwise have to do, such as reading the trust store; and `close_idle(origin)` when a reply has
    turned out to answer another request, so that no connection is used again on which more of them may follow.
    """

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        ...

    def close(self) -> None:
        """Close all connections. Closing twice is fine."""
        ...


class AsyncTransport(Protocol):
    """The contract of `Transport`, for asyncio. Cancelling a send leaves nothing behind."""

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        ...

    async def aclose(self) -> None:
        """Close all connections. Closing twice is fine."""
        ...
