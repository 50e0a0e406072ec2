"""Servers on a Unix-domain socket, for transports that reach them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ...errors import ConnectError
from ...http import Transport
from ..hostile import HostileServer, Peer, after_request, always, reply
from ._support import ONE_WILL_DO, PLENTY, Case, request_to, times_out


class UnixSockets(Case):
    """Requests to `http+unix://` origins, whose host is the percent-encoded path of a socket."""

    @pytest.fixture
    def path(self) -> Iterator[str]:
        """Yield the path of a socket that does not exist yet. It is short, for there are limits."""
        with tempfile.TemporaryDirectory() as directory:
            yield f"{directory}/The socket: 100%"

    def test_a_socket_is_reached_by_its_path(self, transport: Transport, path: str) -> None:
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            while request := peer.read_request():
                seen.append(request)
                peer.send(reply(b"1"))

        with HostileServer(script, path=path) as server:
            for body in (b'{"a":1}', None, b"x" * 1_000_000):
                assert transport.send(request_to(server.origin, body), PLENTY).body == b"1"
            assert server.connections == 1
        lines = seen[0].lower().split(b"\r\n")
        assert lines[0] == b"post /v0/runbooks/execute http/1.1"
        assert b"host: localhost" in lines
        assert seen[2].endswith(b"\r\n\r\n" + b"x" * 1_000_000)

    def test_a_socket_is_reached_without_a_proxy(
        self, opened: Callable[..., Transport], path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with HostileServer(always(reply(b"1")), path=path) as server, HostileServer(always(reply(b"2"))) as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy", "http+unix_proxy"):
                monkeypatch.setenv(name, proxy.origin)
            assert opened().send(request_to(server.origin), PLENTY).body == b"1"
            assert proxy.connections == 0

    def test_a_missing_socket_is_named(self, transport: Transport, path: str) -> None:
        self._is_refused(transport, path)
        Path(path).touch()
        self._is_refused(transport, path)

    def _is_refused(self, transport: Transport, path: str) -> None:
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(HostileServer(always(reply()), path=path).origin), PLENTY)
        assert f"no connection to {path}: " in str(caught.value)
        assert not caught.value.maybe_processed
        assert caught.value.transient

    @pytest.mark.parametrize("name", ["", "run.sock", "%2Frun%00.sock", "%2F" + "x" * 200, "%2Frun.sock:80"])
    def test_a_path_that_no_socket_can_have_is_refused(self, transport: Transport, name: str) -> None:
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(f"http+unix://{name}"), PLENTY)
        assert not caught.value.transient

    def test_a_silent_server_on_a_socket_meets_the_timeout(self, transport: Transport, path: str) -> None:
        with HostileServer(after_request(Peer.stay_silent), path=path) as server:
            times_out(transport, request_to(server.origin), ONE_WILL_DO[0])

    def test_a_connection_to_a_socket_ages_and_is_replaced(self, opened: Callable[..., Transport], path: str) -> None:
        with HostileServer(always(reply(b"1")), path=path) as server:
            transport = opened(max_connection_idle=0.05)
            for _ in range(2):
                assert transport.send(request_to(server.origin), PLENTY).body == b"1"
                time.sleep(0.2)
            assert server.connections == 2

    def test_a_socket_whose_server_was_replaced_is_reached_anew(self, transport: Transport, path: str) -> None:
        for answer in (b"1", b"2"):
            with HostileServer(always(reply(answer)), path=path) as server:
                assert transport.send(request_to(server.origin), PLENTY).body == answer
            Path(path).unlink()
