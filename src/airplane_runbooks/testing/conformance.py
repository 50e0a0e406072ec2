"""The contract of a transport, as a test class over real sockets.

Subclass it in a test module, where pytest finds it:

    class TestMyTransport(TransportConformance):
        def make(self, **options):
            return MyTransport(**options)

`options` are any of `ssl_context`, `max_response_bytes` and `pool_size`. Needs pytest and trustme.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from ..errors import (
    AttemptTimeout,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    InvalidResponse,
    TransportError,
)
from ..http import CallState, Headers, Request, Response, Transport
from ..policy import RetryPolicy
from .hostile import HostileServer, Peer, Script, after_request, always, reply

# How much later than its timeout a send may end, in seconds: what a busy machine takes to notice.
GRACE = 0.2
KEY = "tkn_conformance"


def request_to(origin: str, body: bytes | None = b'{"a":1}', target: str = "/v0/runbooks/execute") -> Request:
    """Return a request as a client would hand it to a transport."""
    call = CallState(operation="test", started=0.0, deadline=None, attempt_timeout=None, retry=RetryPolicy())
    method = "GET" if body is None else "POST"
    headers = Headers({"content-type": "application/json", "x-airplane-api-key": KEY})
    return Request(method=method, origin=origin, target=target, headers=headers, body=body, call=call)


class TransportConformance:
    """Every promise of `airplane_runbooks.http.Transport`, tried on a server that keeps none."""

    def make(self, **options: Any) -> Transport:
        """Return a new transport; the tests close it."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self) -> Iterator[Callable[..., Transport]]:
        """Yield `make`, and close in the end what it made."""
        made: list[Transport] = []

        def make(**options: Any) -> Transport:
            made.append(self.make(**options))
            return made[-1]

        yield make
        for transport in made:
            transport.close()

    @pytest.fixture
    def transport(self, opened: Callable[..., Transport]) -> Transport:
        """Return a transport with its defaults."""
        return opened()

    @staticmethod
    def exchange(transport: Transport, script: Script, timeout: float | None = 10.0, **options: Any) -> Response:
        """Send one request to a server that follows `script`."""
        with HostileServer(script) as server:
            return transport.send(request_to(server.origin, **options), timeout)

    # What a well-behaved server gets and gives.

    def test_a_request_arrives_as_it_was_given(self, transport: Transport) -> None:
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request())
            peer.send(reply(b'{"ok":true}', headers=b"X-Request-ID: req1\r\n"))

        with HostileServer(script) as server:
            response = transport.send(request_to(server.origin), 10)
        head, _, body = seen[0].partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post /v0/runbooks/execute http/1.1"
        assert body == b'{"a":1}'
        assert b"x-airplane-api-key: " + KEY.encode() in lines
        assert b"host: localhost:%d" % server.port in lines
        assert (response.status, response.body, response.headers["x-request-id"]) == (200, b'{"ok":true}', "req1")

    @pytest.mark.parametrize("status", ["204 No Content", "301 Moved", "404 Not Found", "429 Slow", "503 Down", "599 Odd"])
    def test_every_status_is_a_response(self, transport: Transport, status: str) -> None:
        body = b"" if status.startswith("204") else b"{}"
        headers = b"Location: /elsewhere\r\n"
        response = self.exchange(transport, always(reply(body, status=status, headers=headers)))
        assert response.status == int(status[:3])

    def test_a_body_may_come_in_chunks_with_extensions_and_trailers(self, transport: Transport) -> None:
        raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n"
        assert self.exchange(transport, always(raw)).body == b"abcde"

    def test_a_body_may_last_until_the_connection_closes(self, transport: Transport) -> None:
        raw = b"HTTP/1.0 200 OK\r\n\r\nabc"
        assert self.exchange(transport, after_request(lambda peer: peer.send(raw))).body == b"abc"

    def test_interim_responses_are_skipped(self, transport: Transport) -> None:
        assert self.exchange(transport, always(b"HTTP/1.1 103 Early\r\n\r\n" + reply(b"1"))).body == b"1"

    def test_a_gzip_body_is_decoded(self, transport: Transport) -> None:
        raw = reply(gzip.compress(b"[1,2]"), headers=b"content-encoding: gzip\r\n")
        assert self.exchange(transport, always(raw)).body == b"[1,2]"

    def test_a_large_body_goes_both_ways(self, transport: Transport) -> None:
        seen: list[int] = []

        def script(peer: Peer) -> None:
            seen.append(len(peer.read_request()))
            peer.send(reply(b"x" * 3_000_000))

        response = self.exchange(transport, script, body=b"y" * 3_000_000)
        assert len(response.body) == 3_000_000
        assert seen[0] > 3_000_000

    def test_a_request_is_not_changed(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            request = request_to(server.origin)
            before = (dict(request.headers), request.body, request.url)
            transport.send(request, 10)
            assert (dict(request.headers), request.body, request.url) == before

    # Connections.

    def test_a_connection_is_used_again(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            for _ in range(20):
                transport.send(request_to(server.origin), 10)
            assert server.connections == 1

    def test_a_connection_that_the_server_has_closed_is_replaced(self, transport: Transport) -> None:
        closed = threading.Semaphore(0)

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(reply())
            peer.sock.close()
            closed.release()

        with HostileServer(script) as server:
            for _ in range(3):
                assert transport.send(request_to(server.origin), 10).status == 200
                closed.acquire()
            assert server.connections == 3

    def test_a_server_that_announces_the_end_is_believed(self, transport: Transport) -> None:
        with HostileServer(always(reply(headers=b"connection: close\r\n"))) as server:
            for _ in range(3):
                transport.send(request_to(server.origin), 10)
            assert server.connections == 3

    def test_what_follows_a_response_does_not_become_the_next_one(self, transport: Transport) -> None:
        with HostileServer(always(reply(b"good") + reply(b"evil"))) as server:
            for _ in range(3):
                assert transport.send(request_to(server.origin), 10).body == b"good"

    def test_threads_get_their_own_answers(self, transport: Transport) -> None:
        def script(peer: Peer) -> None:
            while request := peer.read_request():
                peer.send(reply(request.partition(b"\r\n\r\n")[2]))

        wrong: list[bytes] = []

        def work(number: int, origin: str) -> None:
            for turn in range(40):
                body = b'"%d/%d"' % (number, turn)
                if transport.send(request_to(origin, body), 10).body != body:
                    wrong.append(body)

        with HostileServer(script) as server:
            threads = [threading.Thread(target=work, args=(number, server.origin)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []

    def test_a_full_pool_is_waited_for_within_the_timeout(self, opened: Callable[..., Transport]) -> None:
        transport = opened(pool_size=1)
        asked = threading.Semaphore(0)

        def script(peer: Peer) -> None:
            peer.read_request()
            asked.release()
            peer.stay_silent()

        with HostileServer(script) as server:
            origin = server.origin
            holder = threading.Thread(target=_ignoring_failure, args=(transport, request_to(origin), 3.0))
            holder.start()
            asked.acquire()
            with _within(0.5), pytest.raises(ConnectError) as caught:
                transport.send(request_to(origin), 0.5)
            assert caught.value.sent is False
        holder.join()

    @pytest.mark.parametrize("misfortune", ["reset", "timeout", "garbage", "interrupt"])
    def test_a_connection_is_given_back_after_any_misfortune(
        self, opened: Callable[..., Transport], misfortune: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        transport = opened(pool_size=1)
        turns = iter([True, False, False])

        def script(peer: Peer) -> None:
            bad = next(turns)
            while peer.read_request():
                if not bad:
                    peer.send(reply())
                elif misfortune == "reset":
                    peer.reset()
                elif misfortune == "garbage":
                    peer.send(b"garbage\r\n\r\n")
                else:
                    peer.stay_silent()

        with HostileServer(script) as server:
            if misfortune == "interrupt":
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    patch.setattr(socket.socket, "recv", _interrupt)
                    patch.setattr(socket.socket, "recv_into", _interrupt)
                    transport.send(request_to(server.origin), 0.3)
            else:
                with pytest.raises(TransportError):
                    transport.send(request_to(server.origin), 0.3)
            assert transport.send(request_to(server.origin), 10).status == 200

    # Time.

    @pytest.mark.parametrize(
        "script",
        [
            after_request(lambda peer: peer.drip(reply(b"x" * 100))),
            after_request(lambda peer: peer.send(reply(b"x" * 50)[:-50]), lambda peer: peer.drip(b"x" * 50)),
            after_request(
                lambda peer: peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
                lambda peer: peer.drip(b"1\r\nx\r\n" * 20),
            ),
            after_request(lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\n"), lambda peer: peer.drip(b"x" * 50)),
            after_request(Peer.stay_silent),
            Peer.stay_silent,
        ],
        ids=["head drips", "body drips", "chunks drip", "endless body drips", "no answer", "nothing read"],
    )
    def test_a_slow_server_does_not_outlast_the_timeout(self, transport: Transport, script: Script) -> None:
        with HostileServer(script) as server, _within(1.0), pytest.raises(AttemptTimeout):
            transport.send(request_to(server.origin), 1.0)

    def test_a_server_that_does_not_read_does_not_outlast_the_timeout(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server, _within(1.0), pytest.raises(AttemptTimeout) as caught:
            transport.send(request_to(server.origin, b"x" * 50_000_000), 1.0)
        assert caught.value.sent is None

    def test_a_handshake_that_does_not_end_does_not_outlast_the_timeout(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server, _within(1.0), pytest.raises(AttemptTimeout) as caught:
            transport.send(request_to(server.origin.replace("http:", "https:")), 1.0)
        assert caught.value.sent is False

    # Lies.

    def test_a_reset_before_or_after_the_request_was_read_leaves_open_whether_it_was_processed(
        self, transport: Transport
    ) -> None:
        for script in (Peer.reset, after_request(Peer.reset), after_request(Peer.half_close, Peer.read_request)):
            with HostileServer(script) as server, pytest.raises(ConnectionLost) as caught:
                transport.send(request_to(server.origin), 10)
            assert caught.value.sent is None
            assert caught.value.maybe_processed

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
            b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        ],
    )
    def test_what_is_not_proper_http_is_refused(self, transport: Transport, raw: bytes) -> None:
        with _within(5), pytest.raises(InvalidResponse) as caught:
            self.exchange(transport, after_request(lambda peer: peer.send(raw), Peer.stay_silent))
        assert not caught.value.transient

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000,
            reply(gzip.compress(b"x" * 2000), headers=b"content-encoding: gzip\r\n"),
        ],
        ids=["length", "chunks", "until closed", "gzip"],
    )
    def test_a_body_over_the_limit_is_refused(self, opened: Callable[..., Transport], raw: bytes) -> None:
        with _within(5), pytest.raises(InvalidResponse, match="larger than the limit of 1024"):
            self.exchange(opened(max_response_bytes=1024), after_request(lambda peer: peer.send(raw), Peer.stay_silent))

    def test_a_gzip_bomb_does_not_fill_the_memory(self, opened: Callable[..., Transport]) -> None:
        bomb = reply(gzip.compress(bytes(200_000_000), 9), headers=b"content-encoding: gzip\r\n")
        transport = opened(max_response_bytes=1_000_000)
        with HostileServer(always(bomb)) as server:
            tracemalloc.start()
            try:
                with pytest.raises(InvalidResponse, match="larger than the limit"):
                    transport.send(request_to(server.origin), 10)
                assert tracemalloc.get_traced_memory()[1] < 10_000_000
            finally:
                tracemalloc.stop()

    def test_an_answer_that_comes_before_the_request_has_been_read_is_taken(self, transport: Transport) -> None:
        def script(peer: Peer) -> None:
            peer.sock.recv(100)
            peer.send(reply(b"too large", status="413 Too Large", headers=b"connection: close\r\n"))
            peer.half_close()
            while peer.sock.recv(1_000_000):
                pass

        assert self.exchange(transport, script, body=b"x" * 5_000_000).status == 413

    # No connection.

    def test_a_refused_connection_was_not_sent(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server:
            origin = server.origin
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(origin), 10)
        assert caught.value.sent is False
        assert not caught.value.maybe_processed

    def test_a_name_that_does_not_exist_was_not_sent(self, transport: Transport) -> None:
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to("http://nowhere.invalid"), 10)
        assert caught.value.sent is False

    def test_tls_works_with_a_trusted_certificate(self, opened: Callable[..., Transport]) -> None:
        server_side, client_side = _tls("localhost")
        with HostileServer(always(reply(b"1")), ssl_context=server_side) as server:
            transport = opened(ssl_context=client_side)
            assert transport.send(request_to(server.origin), 10).body == b"1"
            assert transport.send(request_to(server.origin, b"x" * 200_000), 10).body == b"1"
            assert server.connections == 1

    @pytest.mark.parametrize("name", ["elsewhere.test", None], ids=["wrong name", "unknown issuer"])
    def test_tls_without_a_certificate_to_trust_was_not_sent(
        self, opened: Callable[..., Transport], name: str | None
    ) -> None:
        server_side, client_side = _tls(name or "localhost")
        trusting = client_side if name else _tls("localhost")[1]
        with (
            HostileServer(always(reply()), ssl_context=server_side) as server,
            pytest.raises(ConnectError) as caught,
        ):
            opened(ssl_context=trusting).send(request_to(server.origin), 10)
        assert caught.value.sent is False
        assert not caught.value.transient

    # The end.

    def test_closing_twice_is_fine_and_nothing_is_sent_afterwards(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            transport.send(request_to(server.origin), 10)
            transport.close()
            transport.close()
            with pytest.raises(ClientClosed):
                transport.send(request_to(server.origin), 10)
            assert server.connections == 1

    def test_the_repr_shows_no_key(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            transport.send(request_to(server.origin), 10)
            assert KEY not in repr(transport)


class _within:  # noqa: N801 - reads as a statement
    """Demand that a block ends within so many seconds and a little grace."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, kind: object, failure: object, trace: object) -> None:
        elapsed = time.monotonic() - self._started
        assert elapsed < self._seconds + GRACE, f"took {elapsed:.3f} s"


def _ignoring_failure(transport: Transport, request: Request, timeout: float) -> None:
    try:
        transport.send(request, timeout)
    except TransportError:
        pass


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _tls(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the server's and the client's settings for a certificate of a new authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client
