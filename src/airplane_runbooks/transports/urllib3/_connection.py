"""Connection that carries one request at a time."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from urllib3.util.ssltransport import SSLTransport

from ...errors import AttemptTimeout, ConnectionLost, TransportError
from ...http import IDEMPOTENCY_HEADER, Headers
from .._deadline import Deadline
from ..http11 import FIRST_READ, Head, StreamReader, as_response, is_reusable, render_head, whole_response
from ._streams import AnswerStart, BlockingStream, Stream

_NOT_LISTENING = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)


class Connection:
    """A connection to a server, or to a proxy that forwards requests to it.

    Attributes:
        opened: When it was made, as a reading of the monotonic clock in seconds.
        used: When the last response on it came to its end.
        is_open: Whether another request may follow.
    """

    __slots__ = (
        "_echoes",
        "_host",
        "_max_response_bytes",
        "_on_close",
        "_sock",
        "_stream",
        "is_open",
        "opened",
        "used",
    )

    as_response = staticmethod(as_response)

    def __init__(self, sock: Any, host: str, max_response_bytes: int, on_close: Callable[[Any], object]) -> None:
        self._sock = sock
        self._host = host
        self._stream = BlockingStream(sock) if isinstance(sock, SSLTransport) else Stream(sock)
        self._max_response_bytes = max_response_bytes
        self._on_close = on_close
        self._echoes = False  # whether the server has repeated an idempotency key
        self.is_open = True
        self.opened = self.used = monotonic()

    def is_quiet(self) -> bool:
        """Return True if the server has neither closed the connection nor sent anything that was not asked for."""
        return self._stream.is_quiet()

    def carry(
        self, method: str, target: str, headers: Headers, body: bytes | None, deadline: Deadline
    ) -> tuple[Head, bytes]:
        """Send a request, and read the whole response, its body still encoded.

        Another request may follow only if it is certain that the connection is in step.
        """
        self.is_open = False
        key = headers.raw().get(IDEMPOTENCY_HEADER)
        start = self._send(method, target, headers, body, deadline)
        if start is None:
            start = AnswerStart(self._receive(deadline), is_whole=True)
        answer = whole_response(start.received, self._max_response_bytes, key, self._echoes)
        is_in_step = start.is_whole
        if answer is None:
            reader = StreamReader(
                self._stream, deadline.at, self._max_response_bytes, start.received, method, key, self._echoes
            )
            answer = _read(reader)
            is_in_step = is_in_step and reader.is_in_step
        deadline.release()
        head = answer[0]
        if not self._echoes and IDEMPOTENCY_HEADER in head.headers:
            self._echoes = True
        self.is_open = is_in_step and is_reusable(head, method)
        self.used = monotonic()
        return answer

    def _receive(self, deadline: Deadline) -> bytes:
        """Read the beginning of the response, which mostly is all of it."""
        try:
            return self._stream.receive(FIRST_READ, deadline.at)
        except OSError as failure:
            _raise_broken(failure, "waiting for the response")

    def _send(
        self, method: str, target: str, headers: Headers, body: bytes | None, deadline: Deadline
    ) -> AnswerStart | None:
        try:
            deadline.hold(self._sock)
            if body is None:
                return self._stream.send(render_head(method, target, headers.raw(), None, self._host), deadline.at)
            return self._stream.send(
                render_head(method, target, headers.raw(), len(body), self._host) + body, deadline.at
            )
        except _NOT_LISTENING:
            return AnswerStart(b"", is_whole=False)  # the server may have answered before it stopped listening
        except OSError as failure:
            _raise_broken(failure, "sending the request")

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._on_close(self._sock)
        self._sock.close()


def _read(reader: StreamReader) -> tuple[Head, bytes]:
    head: Head | None = None
    try:
        head = reader.head()
        return head, reader.body(head)
    except OSError as failure:
        _raise_broken(failure, "waiting for the response", head)


def _raise_broken(failure: OSError, doing: str, head: Head | None = None) -> NoReturn:
    error: TransportError
    if head is not None:
        doing = "reading the body of the response"
    if isinstance(failure, TimeoutError) and failure.errno is None:  # the system's own timeouts have a number
        error = AttemptTimeout(f"no time left while {doing}")
    else:
        error = ConnectionLost(f"the connection broke while {doing}: {failure.strerror or type(failure).__name__}")
    error.status = None if head is None else head.status
    try:
        raise error from failure
    finally:
        del error  # its traceback holds this frame
