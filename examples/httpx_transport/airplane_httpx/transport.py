"""The transport."""

from __future__ import annotations

import math
import ssl
import zlib
from typing import cast

import httpcore
import httpx

from airplane_runbooks import (
    AttemptTimeout,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    Headers,
    InvalidResponse,
    Request,
    Response,
    TransportError,
)

from .exchange import Exchange, current
from .streams import Backend

_KEY = "idempotency-key"


class _Http(httpx.HTTPTransport):
    """httpx's own transport, on a pool of our choice: it has no argument for the pool."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool


class HttpxTransport:
    """Carry requests over httpx, without its client, which would add cookies, headers and redirects.

    Args:
        pool_size: Connections, and requests in flight at most.
        max_response_bytes: Largest response body, before and after decompression.
        ssl_context: TLS settings; by default the system's trust store.
        max_connection_idle: Seconds after which an idle connection is closed instead of used; None keeps it.
        max_connection_age: Seconds after which a connection is closed between two requests; None keeps it.
    """

    def __init__(
        self,
        *,
        pool_size: int = 32,
        max_response_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        max_connection_idle: float | None = 55.0,
        max_connection_age: float | None = 600.0,
    ) -> None:
        self.pool_size = pool_size
        self._limit = max_response_bytes
        self._closed = False
        self._http = _Http(
            httpcore.ConnectionPool(
                ssl_context=ssl_context or ssl.create_default_context(),
                max_connections=pool_size,
                max_keepalive_connections=pool_size,
                keepalive_expiry=max_connection_idle,
                network_backend=Backend(math.inf if max_connection_age is None else max_connection_age),
            )
        )

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt. See `airplane_runbooks.Transport` for what it promises."""
        if self._closed:
            raise ClientClosed("the transport has been closed")
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        exchange = Exchange(timeout)
        token = current.set(exchange)
        try:
            return self._exchange(request, timeout, exchange)
        except TransportError as failure:
            error = failure
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            error = _error_of(problem, exchange)
        finally:
            current.reset(token)
        if self._closed:
            raise ClientClosed("the transport has been closed")
        error.status = exchange.status
        raise error

    def _exchange(self, request: Request, timeout: float | None, exchange: Exchange) -> Response:
        sent = httpx.Request(
            request.method,
            httpx.URL(request.origin).copy_with(raw_path=request.target.encode("ascii")),
            headers=dict(request.headers),
            content=request.body,
            extensions={"timeout": {"pool": timeout}},  # the streams take care of all others
        )
        received = self._http.handle_request(sent)
        exchange.status = received.status_code
        try:
            return self._read(request, received, exchange)
        finally:
            received.close()

    def _read(self, request: Request, received: httpx.Response, exchange: Exchange) -> Response:
        """Read and check the body of a response whose head is there."""
        status, headers = received.status_code, received.headers
        stream = exchange.stream
        stream.is_spent = True  # unless all turns out well
        if status == 101 or {"content-length", "transfer-encoding"} <= headers.keys():
            raise InvalidResponse("the response is not one to a request over HTTP/1.1")
        _check_key(request.headers.get(_KEY), headers.get(_KEY), is_expected=stream.echoes and received.is_success)
        stream.echoes = stream.echoes or _KEY in headers
        has_body = status not in (204, 304)
        if has_body and int(headers.get("content-length", 0)) > self._limit:
            raise self._too_large()
        body = bytearray()
        for part in cast("httpx.SyncByteStream", received.stream):  # `iter_raw` would close it too soon
            body += part
            if len(body) > self._limit:
                raise self._too_large()
        is_failed_post = request.body is not None and status >= 400
        stream.is_spent = is_failed_post or "transfer-encoding" in headers or not exchange.ends_after(len(body))
        return Response(
            status=status,
            headers=Headers(dict(headers)),
            body=self._decoded(bytes(body), headers.get("content-encoding", "identity") if has_body else "identity"),
            http_version=received.extensions["http_version"].decode().removeprefix("HTTP/"),
        )

    def _decoded(self, body: bytes, encoding: str) -> bytes:
        if encoding == "identity":
            return body
        if encoding != "gzip":
            raise InvalidResponse(f"the response has the encoding {encoding!r}, which was not asked for")
        unpacker = zlib.decompressobj(wbits=31)
        try:
            decoded = unpacker.decompress(body, self._limit + 1)
        except zlib.error as problem:
            raise InvalidResponse(f"the response cannot be decompressed: {problem}") from None
        if len(decoded) > self._limit:
            raise self._too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise InvalidResponse("the response cannot be decompressed: it is cut short, or something follows")
        return decoded

    def _too_large(self) -> InvalidResponse:
        return InvalidResponse(f"the response is larger than the limit of {self._limit} bytes")

    def close(self) -> None:
        """Close all connections. Closing twice is fine."""
        self._closed = True
        self._http.close()

    def __repr__(self) -> str:
        return f"HttpxTransport(pool_size={self.pool_size}, closed={self._closed})"


def _check_key(sent: str | None, echo: str | None, *, is_expected: bool) -> None:
    """Raise InvalidResponse if a reply belongs to another request."""
    if echo is None:
        is_another = is_expected and sent is not None
    else:
        is_another = any(part.strip() != sent for part in echo.split(","))
    if is_another:
        raise InvalidResponse("the server's reply answers another request", transient=True)


def _error_of(problem: Exception, exchange: Exchange) -> TransportError:
    """Return the error that stands for one of httpx."""
    sent = None if exchange.was_sent else False
    match problem:
        case httpx.PoolTimeout():
            return ConnectError("all connections stayed busy until the time was up")
        case httpx.TimeoutException():
            return AttemptTimeout("no time left", sent=sent)
        case httpx.ConnectError():
            is_final = "certificate verify failed" in str(problem)
            return ConnectError(f"no connection: {problem}", transient=not is_final)
        case httpx.NetworkError():
            return ConnectionLost(f"the connection broke: {problem}", sent=sent)
        case httpx.RemoteProtocolError() if exchange.saw_end:
            return ConnectionLost("the server has closed the connection before the end of its response", sent=sent)
        case httpx.RemoteProtocolError():
            return InvalidResponse(f"the response is not HTTP/1.1: {problem}")
        case httpx.InvalidURL() | UnicodeError() if not exchange.was_sent:
            return ConnectError("the request has a host or a header that cannot be sent", transient=False)
        case _ if not exchange.was_sent:
            return ConnectError("the request cannot be sent", transient=False)
        case _:
            return InvalidResponse("the response cannot be read")
