"""Requests, responses and headers, as the layers pass them on, and the two transport protocols."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Generic, Protocol, Self, TypeVar, overload

import msgspec

from .policy import RetryPolicy

T = TypeVar("T")

# RFC 9110, section 5: field names are tokens; values are visible ASCII, space and tab.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

API_KEY_HEADER = "x-airplane-api-key"

# Headers by which clients of the API and of HTTP identify themselves, and all others with such names.
_CREDENTIALS = re.compile(
    r"(?:proxy-)?authorization|(?:set-)?cookie2?|(?:.+-)?(?:api-?key|token|secret|password|credentials?|jwt)"
)

_SHOWN = frozenset(
    {"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "date", "host"}
    | {"idempotency-key", "retry-after", "server", "transfer-encoding", "user-agent", "x-airplane-retryable"}
)


def is_header_name(name: str) -> bool:
    """Tell whether `name` may name a header (RFC 9110, section 5.6.2)."""
    return _NAME.fullmatch(name) is not None


def is_header_value(value: str) -> bool:
    """Tell whether `value` holds only visible ASCII, spaces and tabs: nothing that could start another header."""
    return _VALUE.fullmatch(value) is not None


@lru_cache(maxsize=256)
def is_credential_header(name: str) -> bool:
    """Tell whether a header holds a key, token, password or cookie. Case, hyphens and underscores do not matter."""
    return _CREDENTIALS.fullmatch(name.lower().replace("_", "-")) is not None


IDEMPOTENCY_HEADER = "idempotency-key"


def is_echo(echo: str, key: str | None) -> bool:
    """Tell whether a reply's `Idempotency-Key` is that of the request; a proxy may have doubled it."""
    sent = None if key is None else key.strip()
    return echo == sent or all(part.strip() == sent for part in echo.split(","))


class Fields(dict[str, str]):
    """Mutable headers whose repr hides the values: a traceback may show the local variables of a frame."""

    def copy(self) -> Fields:
        """Return a copy that hides its values, too."""
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

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: T, /) -> str | T: ...
    def get(self, name: str, default: object = None, /) -> object:
        """Return the value of a header, or the default. Mapping's own way takes an exception to find out."""
        return self._items.get(name.lower(), default)

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
        headers = Headers.__new__(Headers)  # `of` would take half as much again, and each attempt needs two copies
        headers._items = {**self._items, **other}  # noqa: SLF001  # of our own class
        return headers

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
    """State that all attempts of one call share. Nothing else in the chain is mutable.

    Attributes:
        started: Start of the call, as a reading of the client's monotonic clock in seconds.
        deadline: Reading at which the time for the call is used up; None without a limit.
        attempt_timeout: Seconds for one attempt.
        retry: When to try again.
        idempotency_key: Key that all attempts carry.
        attempts: Number of attempts so far.
        maybe_sent: Whether the server may have acted on an attempt.
        waits: Number of attempts that the server answered by saying that an earlier one is still in progress.
        given_up: Why a failure that may pass was not repeated; None if it was not, or raised.
        long_poll: Seconds that the server may wait with its reply; None for a call that is not a long poll.
        sent: Headers of the attempts. They hold the credentials that a server may repeat.
    """

    started: float
    deadline: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    idempotency_key: str | None = None
    attempts: int = 0
    maybe_sent: bool = False
    waits: int = 0
    given_up: str | None = None
    long_poll: int | None = None
    sent: tuple[Headers, ...] = ()

    def __repr__(self) -> str:
        return f"<CallState attempts={self.attempts}>"


class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP request.

    A test of a transport or a middleware can build its own. A middleware changes the request that it was given, by
    `with_header` or `msgspec.structs.replace`: a new one does not belong to the call, and no further layer takes it.

    Attributes:
        method: GET or POST.
        origin: Scheme, host and port; `http+unix://` and the percent-encoded path of a Unix-domain socket.
        target: Path with its query.
        headers: Request headers.
        body: JSON body, compressed if the header `content-encoding` says so; None for a GET.
        operation: Name of the operation that the request belongs to, such as `runbooks.execute`.
        attempt: Number of the attempt, from 1.
    """

    method: str
    origin: str
    target: str
    headers: Headers
    body: bytes | None
    operation: str = ""
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
    def call(self) -> CallState:
        """State of the call that the request belongs to. Only requests that a client has made have one."""
        raise AttributeError(
            "this Request does not belong to a call: middleware must pass on the one given, or a copy of it"
        )

    def with_header(self, name: str, value: str) -> Self:
        """Return a copy of the request in which header `name` has this value.

        Raises ValueError, without showing the value, if the header could break out of its line.
        """
        if not (is_header_name(name) and is_header_value(value)):
            del value
            raise ValueError(f"header {name!r} has a character that headers cannot carry")
        return self.with_headers(self.headers.with_header(name, value))

    def with_headers(self, headers: Headers) -> Self:
        """Return a copy of the request with these headers, which must have been checked."""
        return msgspec.structs.replace(self, headers=headers)

    def next_attempt(self) -> Self:
        """Return the same request, counted as the next attempt."""
        return msgspec.structs.replace(self, attempt=self.attempt + 1)

    def add_credentials(self, headers: Headers) -> None:
        """Report further headers that are sent with credentials, such as a proxy's.

        The client removes these from errors, spans and logs, should the server repeat them.
        """

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url} attempt={self.attempt}>"


class ClientRequest(Request, frozen=True, kw_only=True, eq=False):
    """A request that a client has made. Its state is shared by all attempts of the call."""

    call: CallState  # pyright: ignore[reportIncompatibleMethodOverride]  # a field instead of the property that raises

    def add_credentials(self, headers: Headers) -> None:
        """Report further headers that are sent with credentials, such as a proxy's."""
        self.call.sent += (headers,)


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
        """True if the status is 2xx."""
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


class Reply(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Reply of one call: the decoded body with the response that it came in.

    Attributes:
        data: The decoded body.
        response: The response itself.
        request_id: The server's ID of the request, if it sent one.
        attempts: Number of requests.
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
    """Carries one attempt, without retries or redirects, and returns every status. Threads may share one.

    `send` returns or raises within `timeout` seconds of wall time, waiting for a connection, connecting and reading the
    body included; None means no limit. It raises only TransportError, or ClientClosed after `close`. The body comes
    back decoded, and never larger than the transport's limit; the headers come as `Headers`. However a send ends, its
    connection is given back.

    A reply to another request is never returned. Bytes that arrive before a request has gone out close the connection.
    A reply whose `Idempotency-Key` differs from the request's raises InvalidResponse and closes the connection. So does
    a success without the key, if the server has sent one before on this connection. A POST that is answered with
    another status than 2xx closes its connection. Interim responses are skipped and bounded; 101 and folded headers are
    refused. The guide "Writing a transport" lists these details, and `airplane_runbooks.testing.conformance` holds a
    transport to all of them.

    A connection that has been idle for long, or is old, is closed between two requests instead of used.

    A transport that sends credentials of its own, such as a proxy's, reports them by `request.add_credentials`.

    Further methods are optional. A client calls `prepare(origin)` once, when it is built, for work that would slow the
    first request down, such as reading the trust store. It calls `close_idle(origin)` after a reply to another request:
    more of these may follow on the connections that are idle. It calls `warm_up(origin, connections, timeout)`, which
    opens so many connections, when its user wants that.

    An attribute `pool_size`, also optional, tells the number of requests that are in flight at most. Half of them may
    be long polls, which servers answer late. Without it, 32 are assumed.
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
