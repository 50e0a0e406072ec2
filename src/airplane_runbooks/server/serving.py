"""Serves the application over HTTP from a thread of this process."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from .api import error_reply
from .app import application, create_backend
from .authoring import Runbook, Task
from .limits import Limits

_DRAIN = 5  # whole seconds for calls that are being answered when the server closes


class RunbookServer:
    """An HTTP server of runbooks and tasks, running between `start` and `close`, or inside a `with` statement.

    By default it listens on the loopback interface, on a free port, with a key of its own making. Any other interface
    demands an `api_key` of yours. Closing waits at most `grace` seconds for running steps; waiting sessions hold
    nothing. The other arguments are those of `create_app`.

    Attributes:
        api_key: The key that clients must send.
    """

    def __init__(
        self,
        runbooks: Iterable[Runbook[..., Any]],
        tasks: Iterable[Task[..., Any]] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        environments: Sequence[str] | None = None,
        workers: int = 16,
        grace: float = 10.0,
        keep_ended: int = 10_000,
        limits: Limits | None = None,
    ) -> None:
        if api_key is None and not _is_loopback(host):
            raise ValueError(f"{host} can be reached by others: choose an api_key")
        limits = limits or Limits()
        self.api_key = f"tkn_{secrets.token_hex(18)}" if api_key is None else api_key
        self._host = host
        self._port = port
        self._backend = create_backend(
            runbooks, tasks, environments=environments, workers=workers, keep_ended=keep_ended
        )
        app = application(self._backend, api_key=self.api_key, grace=grace, limits=limits)
        self._server = _Server(_config(app, limits))
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._problem: BaseException | None = None

    @property
    def base_url(self) -> str:
        """The URL that clients take, version path included. Raises RuntimeError before the start."""
        if self._thread is None:
            raise RuntimeError("the server has not been started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v0"

    def start(self) -> Self:
        """Listen, and return once requests are answered. Raises OSError if the address is not to be had."""
        if self._thread is not None:
            raise RuntimeError("a server starts only once")
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        self._port = listener.getsockname()[1]
        # no daemon: whoever starts a server closes it, and the interpreter waits for that
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="runbook-server")
        self._thread.start()
        self._server.settled.wait()
        if self._problem is not None:
            self._thread.join()
            raise RuntimeError("the server did not start") from self._problem
        return self

    def wait(self) -> None:
        """Block until another thread closes the server or an exception such as KeyboardInterrupt ends the wait."""
        if self._thread is not None:
            # not join: interrupted once, it takes the thread for dead (CPython 3.11 and 3.12), and close would not wait
            self._ended.wait()

    def close(self) -> None:
        """Stop listening, finish the calls being answered, end every session at its next step. Idempotent."""
        self._server.should_exit = True
        self._backend.stop()  # now, not only when the last call has been answered
        self.wait()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunbookServer {self._host}:{self._port}>"

    def _serve(self, listener: socket.socket) -> None:
        try:
            self._server.run(sockets=[listener])
        except BaseException as problem:  # noqa: BLE001 - raised by start, on the caller's thread
            self._problem = problem
        finally:
            listener.close()
            self._server.settled.set()
            self._ended.set()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """Tells another thread when the start is over, well or badly."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.settled.set()


def _config(app: Any, limits: Limits) -> uvicorn.Config:
    class Protocol(_GuardedProtocol):
        head_timeout = limits.head_timeout

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,  # the application's logging is not a library's to configure
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.max_connections,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=_DRAIN,
    )


class _GuardedProtocol(H11Protocol):
    """Closes connections on which a request has begun but its headers do not arrive, and refuses in JSON."""

    head_timeout: float
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio does this only for sockets that name their protocol, and those of our listener do not; without it,
        # each reply's body would wait behind its head for the client's delayed acknowledgement
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._guard()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._guard()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        if self._is_idle() and not self.transport.is_closing():
            body = error_reply(400, "invalid_http", msg).body
            head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _is_idle(self) -> bool:
        cycle = cast(
            "RequestResponseCycle | None", self.cycle
        )  # None before the first request, whatever uvicorn declares
        return cycle is None or cycle.response_complete

    def _guard(self) -> None:
        if not self._is_idle():
            self._relax()
        elif self._watch is None:
            self._watch = self.loop.call_later(self.head_timeout, self.transport.close)

    def _relax(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
