"""Servers that are slow, or lie."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import pytest

from ...errors import AttemptTimeout, ConnectError, ConnectionLost, InvalidResponse
from ...http import Transport
from ..hostile import HostileServer, Peer, Script, after_request, always, reply
from ._support import ONE_WILL_DO, PLENTY, SOON, Case, finishes_within, request_to, times_out


def _read_on(peer: Peer) -> None:
    while peer.sock.recv(65_536):
        pass


class Hostility(Case):
    """Servers that try to hang, fill or fool their client."""

    @pytest.mark.parametrize(
        "script",
        [
            after_request(lambda peer: peer.drip(reply(b"x" * 10))),
            after_request(lambda peer: peer.send(reply(b"x" * 50)[:-50]), lambda peer: peer.drip(b"x" * 50)),
            after_request(
                lambda peer: peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
                lambda peer: peer.drip(b"1\r\nx\r\n" * 8),
            ),
            after_request(lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\n"), lambda peer: peer.drip(b"x" * 50)),
            after_request(Peer.stay_silent),
            Peer.stay_silent,
        ],
        ids=["head drips", "body drips", "chunks drip", "endless body drips", "no answer", "nothing read"],
    )
    def test_a_slow_server_does_not_outlast_the_timeout(self, transport: Transport, script: Script) -> None:
        with HostileServer(script) as server:
            times_out(transport, request_to(server.origin), 0.5)

    def test_a_server_that_does_not_read_meets_the_timeout(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server:
            request = request_to(server.origin, b"x" * 20_000_000)
            assert any(times_out(transport, request, timeout).sent is None for timeout in ONE_WILL_DO)

    def test_an_endless_handshake_meets_the_timeout(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server:
            request = request_to(server.origin.replace("http:", "https:"))
            assert times_out(transport, request, 0.5).sent is False

    def test_no_time_at_all_is_not_enough(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            for timeout in (0, -1.0):
                with pytest.raises(AttemptTimeout) as caught:
                    transport.send(request_to(server.origin), timeout)
                assert caught.value.sent is False

    def test_a_head_that_is_hard_to_read_is_read_in_linear_time(self, transport: Transport) -> None:
        raw = reply(b"1", headers=b"x: a" + b" " * 60_000 + b"b\r\n")
        with finishes_within(0):
            assert self.exchange(transport, always(raw)).body == b"1"

    @pytest.mark.parametrize(
        "script",
        [after_request(Peer.reset), after_request(Peer.half_close, Peer.read_request)],
        ids=["reset", "half closed"],
    )
    def test_a_connection_lost_after_sending_leaves_the_outcome_open(
        self, transport: Transport, script: Script
    ) -> None:
        with pytest.raises(ConnectionLost) as caught:
            self.exchange(transport, script)
        assert caught.value.sent is None
        assert caught.value.maybe_processed

    def test_a_connection_that_is_reset_at_once_is_an_error(self, transport: Transport) -> None:
        """The error depends on timing: the reset may arrive before or after the request has left."""
        with pytest.raises((ConnectError, ConnectionLost)):
            self.exchange(transport, Peer.reset)

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\nshort",
            b"HTTP/1.1 200 OK\r\ncontent-le",
            b"",
        ],
        ids=["length", "chunk", "head", "nothing"],
    )
    def test_a_response_that_is_cut_short_is_an_error(self, transport: Transport, raw: bytes) -> None:
        with pytest.raises(ConnectionLost) as caught:
            self.exchange(transport, after_request(lambda peer: peer.send(raw)))
        assert caught.value.status == (200 if b"\r\n\r\n" in raw else None)

    @pytest.mark.parametrize(
        "raw",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx : 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
            reply(gzip.compress(b"cut short", mtime=0)[:-1], headers=b"content-encoding: gzip\r\n"),
            reply(gzip.compress(b"followed by", mtime=0) + b"more", headers=b"content-encoding: gzip\r\n"),
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
            b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        ],
    )
    def test_what_is_not_proper_http_is_refused(self, transport: Transport, raw: bytes) -> None:
        with finishes_within(5), pytest.raises(InvalidResponse) as caught:
            self.exchange(transport, after_request(lambda peer: peer.send(raw), Peer.stay_silent), SOON)
        assert not caught.value.transient

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\nx",
            b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000,
            reply(gzip.compress(b"x" * 2000, mtime=0), headers=b"content-encoding: gzip\r\n"),
        ],
        ids=["length", "chunks", "until closed", "gzip"],
    )
    def test_a_body_over_the_limit_is_refused(self, opened: Callable[..., Transport], raw: bytes) -> None:
        lie = after_request(lambda peer: peer.send(raw), Peer.stay_silent)
        with finishes_within(5), pytest.raises(InvalidResponse) as caught:
            self.exchange(opened(max_response_bytes=1024), lie, SOON)
        assert not caught.value.transient

    def test_a_gzip_bomb_does_not_fill_the_memory(self, opened: Callable[..., Transport]) -> None:
        bomb = reply(gzip.compress(bytes(50_000_000), 9), headers=b"content-encoding: gzip\r\n")
        transport = opened(max_response_bytes=1_000_000)
        with HostileServer(always(bomb)) as server:
            tracemalloc.start()
            try:
                with pytest.raises(InvalidResponse):
                    transport.send(request_to(server.origin), PLENTY)
                assert tracemalloc.get_traced_memory()[1] < 10_000_000
            finally:
                tracemalloc.stop()

    @pytest.mark.parametrize("then", [_read_on, Peer.stay_silent], ids=["reads on", "reads no further"])
    def test_an_answer_before_the_end_of_the_request_is_taken(self, transport: Transport, then: Script) -> None:
        def script(peer: Peer) -> None:
            peer.sock.recv(100)
            peer.send(reply(b"too large", status="413 Too Large", headers=b"connection: close\r\n"))
            then(peer)

        assert self.exchange(transport, script, body=b"x" * 20_000_000).status == 413
