"""HTTP server of an application, on a thread of this process."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self, Unpack

import uvicorn

from .._latch import Latch
from .app import create_lifecycle, create_proxy_headers
from .authoring.decorators import Runbook, Task
from .configuration import SERVED, read_settings
from .observers.logging import console
from .service.identity import Users, new_api_key
from .settings import Listener, Options, Settings
from .storage.forking import cut, keep_from_children
from .web.application import create_application
from .web.descriptors import make_room
from .web.edge import allowed_host_names
from .web.protocol import OutOfDescriptors, configure
from .web.proxies import ProxyHeaders

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds for which the date of replies may stay the same


class RunbookServer:
    """An HTTP server of runbooks and tasks, running between `start` and `close`, or inside a `with` statement.

    By default it listens on the loopback interface, on a free port, and makes its own API key. On any other interface,
    and with a `public_url`, an `api_key` of at least 16 characters is required. Several keys are all valid, so that one
    can replace another. The Host header of requests must name the server: on loopback by its address, as `localhost`
    or by one of `allowed_hosts`; on other interfaces, `allowed_hosts=None` accepts any name. `close` waits at most
    `grace` seconds for running steps; waiting sessions need no wait. A server that was not closed closes when the main
    thread has ended. The other arguments are those of `create_app`.

    Attributes:
        api_key: Key that clients must send, the first one of several.
    """

    def __init__(
        self,
        runbooks: Iterable[Runbook[..., Any]],
        tasks: Iterable[Task[..., Any]] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | Sequence[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        Listener(host=host, port=port, api_key=api_key)
        settings = Settings(**options)
        proxy_headers = create_proxy_headers(settings)
        reason = _why_reachable(host, proxy_headers)
        if api_key is None and reason:
            raise ValueError(f"{reason}: choose an api_key")
        keys = [new_api_key()] if api_key is None else api_key
        users = Users(keys, settings.users)
        if reason:
            users.refuse_weak_keys(reason)
        self.api_key = keys if isinstance(keys, str) else keys[0]
        self._host = host
        self._port = port
        self._public = proxy_headers.public
        hosts = _allowed_hosts(host, proxy_headers, settings.allowed_hosts)
        self._lifecycle = create_lifecycle(runbooks, tasks, settings)
        app = create_application(
            self._lifecycle,
            users,
            limits=settings.limits,
            proxy_headers=proxy_headers,
            hosts=hosts,
            grace=settings.grace,
            access_log=settings.access_log,
        )
        self._limits = settings.limits
        self._server = _UvicornServer(configure(app, settings.limits), self._lifecycle.stop)
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._ended = Latch()
        self._problem: BaseException | None = None
        self._forked = False
        keep_from_children(self)

    @property
    def base_url(self) -> str:
        """URL for clients, version path included. Raises RuntimeError before the start."""
        return f"{self._address()}/v0"

    @property
    def pages_url(self) -> str:
        """URL of the pages, as browsers reach them. Raises RuntimeError before the start, unless it is public."""
        return f"{self._address() if self._public is None else self._public.url}/"

    def start(self) -> Self:
        """Listen, and return once requests are answered.

        Raises OSError if the address cannot be used, and DatabaseUnavailable. A start that fails or is interrupted has
        closed the server.
        """
        if self._thread is not None:
            raise RuntimeError("a server starts only once")
        make_room(self._limits)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        except OSError as problem:
            self._lifecycle.close(0)
            raise _listening_error(problem, self._host, self._port) from None
        except BaseException:
            self._lifecycle.close(0)
            raise
        self._port = self._listener.getsockname()[1]
        # not a daemon: the interpreter waits until the server has closed, by itself if the caller has forgotten that
        self._thread = threading.Thread(target=self._serve, args=(self._listener,), name="runbook-server")
        try:
            self._thread.start()
            self._server.settled.wait()
        except BaseException:  # KeyboardInterrupt among them: outside of `start` no caller could close what has begun
            if self._thread.ident is None:
                self._thread = None
                self._listener.close()
            self.close()
            raise
        if self._problem is not None:
            self.close()
            raise self._problem
        return self

    def wait(self) -> None:
        """Block until another thread closes the server or an exception such as KeyboardInterrupt ends the wait."""
        if self._thread is not None:
            # not join: interrupted once, it takes the thread for dead (CPython 3.11 and 3.12), and close would not wait
            self._ended.wait()

    def close(self) -> None:
        """Stop listening, finish the requests being answered, stop every session at its next step. Idempotent."""
        if self._forked:
            return
        self._server.end()
        self._lifecycle.stop()  # at once, before the last request has been answered
        self.wait()
        if self._thread is None:
            self._lifecycle.close(0)
        else:
            self._thread.join()

    def in_child(self) -> None:
        """Leave the server to the parent process: in a forked child, `close` does nothing."""
        self._forked = True
        if self._listener is not None:
            cut([self._listener.fileno(), *self._server.descriptors()])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunbookServer {self._host}:{self._port}>"

    def _address(self) -> str:
        if self._thread is None:
            raise RuntimeError("the server has not been started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def _serve(self, listener: socket.socket) -> None:
        try:
            self._lifecycle.open()  # here, since a signal could interrupt the caller's thread half-way
            self._server.run(sockets=[listener])
        except BaseException as problem:  # noqa: BLE001 - raised by start, on the caller's thread
            self._problem = problem
            self._lifecycle.close(0)
        finally:
            listener.close()
            self._server.settled.set()
            self._ended.set()


def serve(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]] = (),
    *,
    host: str | None = None,
    port: int | None = None,
    api_key: str | Sequence[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Serve until SIGINT or SIGTERM, and return once the server has closed.

    The first signal closes the server as `RunbookServer.close` does. A second one ends the process at once, with 128
    plus the signal's number as its status. A setting that is not an argument is read from the environment, where its
    name is `AIRPLANE_` and that of the argument in capitals. The port is 8080 by default. Without a key, a new one is
    made and written to stderr. The other options are those of `RunbookServer`. Raises RuntimeError outside of the main
    thread, OSError if the address cannot be used, ValueError that names a variable with an invalid value, and the
    errors of `RunbookServer`.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve waits for signals, which only the main thread receives: use RunbookServer here")
    listener = {"host": host, "port": port, "api_key": api_key or None}
    given = {name: value for name, value in listener.items() if value is not None}
    settings: dict[str, Any] = {"port": Listener().port, **SERVED, **read_settings(os.environ), **given, **options}
    stopped = Latch()
    with (
        _handling(stopped),
        console(),
        RunbookServer(runbooks, tasks, **settings) as server,
    ):
        _announce(server, show_key="api_key" not in settings)
        stopped.wait()
    sys.stderr.write("Stopped\n")
    sys.stderr.flush()


@contextmanager
def _handling(stopped: Latch) -> Generator[None]:
    """Set the latch at the first signal to stop, and end the process at the second one."""
    signals, owner = itertools.count(), os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:  # in a forked child, which ends like any other process
            signal.signal(number, before[signal.Signals(number)])
            os.kill(os.getpid(), number)
            return
        if next(signals):
            os._exit(128 + number)
        stopped.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(server: RunbookServer, *, show_key: bool) -> None:
    lines = [f"Serving at {server.base_url} until Ctrl-C", f"Pages: {server.pages_url}"]
    if show_key:
        lines.append(f"Sign in with this key, new at each start unless AIRPLANE_API_KEY is set: {server.api_key}")
    sys.stderr.write("\n".join((*lines, "")))
    sys.stderr.flush()


def _listening_error(problem: OSError, host: str, port: int) -> OSError:
    """Return an error with the same number that names the address, and says what to do."""
    reason = (problem.strerror or str(problem)).partition(" (while")[0]
    advice = ""
    if problem.errno == errno.EADDRINUSE:
        advice = ": another program listens there; end it, or set another port (port=, or AIRPLANE_PORT)"
    return type(problem)(problem.errno, f"cannot listen on {host}:{port}: {reason}{advice}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why_reachable(host: str, proxy_headers: ProxyHeaders) -> str:
    """Return the reason why others can reach a server, empty if they cannot."""
    if not _is_loopback(host):
        return f"{host} can be reached by others"
    return "" if proxy_headers.public is None else "public_url says that others can reach the server"


def _allowed_hosts(host: str, proxy_headers: ProxyHeaders, names: Sequence[str] | None) -> frozenset[str] | None:
    if names is None and not _is_loopback(host):
        return None
    return (
        allowed_host_names(names)
        if isinstance(names, str)
        else allowed_host_names((host, *proxy_headers.hosts, *(names or ())))
    )


class _UvicornServer(uvicorn.Server):
    """Server that tells another thread when its start has succeeded or failed, and is told by another one to end.

    It ends by itself, and calls `stop`, once the main thread has ended.
    """

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self.settled = Latch()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending = False  # not `should_exit`: if that is set early, older versions of uvicorn skip the shutdown
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Let the server end. Thread-safe."""
        self._is_ending = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._ending.set)

    def descriptors(self) -> list[int]:
        """Return the file descriptors of the open connections."""
        transports = [connection.transport for connection in self.server_state.connections]
        return [transport.get_extra_info("socket").fileno() for transport in transports]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(OutOfDescriptors(self.config))
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self.settled.set()

    async def main_loop(self) -> None:
        """Do what is to be done once a second, until the end. Uvicorn itself would look for it ten times a second."""
        while not self._is_ending and not await self.on_tick(0):
            if not threading.main_thread().is_alive():  # its executors are shut down, so no step could run any more
                logger.warning("the main thread has ended without closing the server, which closes now")
                self._stop()
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets=sockets)
        for connection in list(self.server_state.connections):  # their clients do not read the rest of their replies
            connection.transport.abort()
        await asyncio.sleep(0)
