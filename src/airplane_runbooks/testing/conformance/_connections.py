"""Connections: made, kept, shared and given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from ...errors import ClientClosed, ConnectError, InvalidResponse, TransportError
from ...http import Transport
from ..hostile import HostileServer, Peer, always, reply
from ._support import KEY, PLENTY, Case, finishes_within, request_to, send_and_forget, tls


class Connections(Case):
    """Connections, and those that do not come about."""

    def test_a_connection_is_used_again(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            for _ in range(20):
                transport.send(request_to(server.origin), PLENTY)
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
                assert transport.send(request_to(server.origin), PLENTY).status == 200
                closed.acquire()
            assert server.connections == 3

    def test_a_server_that_announces_the_end_is_believed(self, transport: Transport) -> None:
        with HostileServer(always(reply(headers=b"connection: close\r\n"))) as server:
            for _ in range(3):
                transport.send(request_to(server.origin), PLENTY)
            assert server.connections == 3

    def test_what_follows_a_response_does_not_become_the_next_one(self, transport: Transport) -> None:
        with HostileServer(always(reply(b"good") + reply(b"evil"))) as server:
            for _ in range(3):
                assert transport.send(request_to(server.origin), PLENTY).body == b"good"

    def test_bytes_between_two_requests_close_the_connection(self, transport: Transport) -> None:
        answered, late = threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(reply(b"good"))
            answered.wait(PLENTY)
            peer.send(reply(b"evil"))
            late.set()
            peer.read_request()

        with HostileServer(script) as server:
            assert transport.send(request_to(server.origin), PLENTY).body == b"good"
            answered.set()
            late.wait(PLENTY)
            time.sleep(0.2)  # what has been sent on loopback has arrived by then
            assert transport.send(request_to(server.origin), PLENTY).body == b"good"
            assert server.connections == 2

    @pytest.mark.parametrize(
        ("body", "key", "echo"),
        [
            (b"{}", "key-2", b"key-1"),
            (b"{}", None, b"key-1"),
            (None, None, b"key-1"),
            (b"{}", "key-2", b"key-2, key-1"),
        ],
    )
    @pytest.mark.parametrize("status", ["200 OK", "429 Slow", "503 Down"])
    def test_a_reply_to_another_request_closes_the_connection(
        self, transport: Transport, body: bytes | None, key: str | None, echo: bytes, status: str
    ) -> None:
        headers = {} if key is None else {"idempotency-key": key}
        with HostileServer(always(reply(b"1", status=status, headers=b"Idempotency-Key: %s\r\n" % echo))) as server:
            for _ in range(2):
                with pytest.raises(InvalidResponse) as caught:
                    transport.send(request_to(server.origin, body, headers=headers), PLENTY)
                assert caught.value.maybe_processed
                assert caught.value.transient
                assert caught.value.status == int(status[:3])
            assert server.connections == 2

    @pytest.mark.parametrize("echo", [b"key-1", b"key-1, key-1", b""])
    def test_a_reply_to_the_same_request_is_taken(self, transport: Transport, echo: bytes) -> None:
        headers = b"Idempotency-Key: %s\r\n" % echo if echo else b""
        with HostileServer(always(reply(b"1", headers=headers))) as server:
            for _ in range(3):
                request = request_to(server.origin, headers={"idempotency-key": "key-1"})
                assert transport.send(request, PLENTY).body == b"1"
            assert server.connections == 1

    def test_a_success_without_the_expected_key_is_refused(self, transport: Transport) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(reply(b"1", headers=b"Idempotency-Key: key-1\r\n"))
            peer.read_request()
            peer.send(reply(b"another's"))

        with HostileServer(script) as server:
            request = request_to(server.origin, headers={"idempotency-key": "key-1"})
            assert transport.send(request, PLENTY).body == b"1"
            with pytest.raises(InvalidResponse) as caught:
                transport.send(request, PLENTY)
            assert caught.value.maybe_processed
            assert transport.send(request, PLENTY).body == b"1"
            assert server.connections == 2

    @pytest.mark.parametrize(("body", "connections"), [(b"{}", 2), (None, 1)], ids=["POST", "GET"])
    def test_nothing_follows_a_failed_post_on_its_connection(
        self, transport: Transport, body: bytes | None, connections: int
    ) -> None:
        """A second copy of the failure, come late, would say of the next request that it was not carried out."""
        with HostileServer(always(reply(b"1", status="429 Slow"))) as server:
            for _ in range(2):
                assert transport.send(request_to(server.origin, body), PLENTY).status == 429
            assert server.connections == connections

    def test_threads_get_their_own_answers(self, transport: Transport) -> None:
        def script(peer: Peer) -> None:
            while request := peer.read_request():
                peer.send(reply(request.partition(b"\r\n\r\n")[2]))

        answers: list[tuple[bytes, bytes]] = []

        def work(number: int, origin: str) -> None:
            for turn in range(40):
                body = b'"%d/%d"' % (number, turn)
                answers.append((body, transport.send(request_to(origin, body), PLENTY).body))

        with HostileServer(script) as server:
            threads = [threading.Thread(target=work, args=(number, server.origin)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(answers) == 8 * 40
        assert all(asked == answered for asked, answered in answers)

    def test_a_full_pool_is_waited_for_within_the_timeout(self, opened: Callable[..., Transport]) -> None:
        transport = opened(pool_size=1)
        asked = threading.Semaphore(0)

        def script(peer: Peer) -> None:
            peer.read_request()
            asked.release()
            peer.stay_silent()

        with HostileServer(script) as server:
            origin = server.origin
            holder = threading.Thread(target=send_and_forget, args=(transport, request_to(origin), PLENTY))
            holder.start()
            asked.acquire()
            with finishes_within(0.5), pytest.raises(ConnectError) as caught:
                transport.send(request_to(origin), 0.5)
            assert caught.value.sent is False
        holder.join()  # the server has closed its connection

    @pytest.mark.parametrize("misfortune", ["reset", "timeout", "garbage"])
    def test_a_connection_is_given_back_after_any_misfortune(
        self, opened: Callable[..., Transport], misfortune: str
    ) -> None:
        transport = opened(pool_size=1)
        over = threading.Event()

        def script(peer: Peer) -> None:
            bad = not over.is_set()
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
            with pytest.raises(TransportError):
                transport.send(request_to(server.origin), 0.3)
            over.set()
            assert transport.send(request_to(server.origin), PLENTY).status == 200

    def test_a_connection_is_given_back_after_an_interrupt(self, opened: Callable[..., Transport]) -> None:
        transport = opened(pool_size=1)
        over = threading.Event()

        def script(peer: Peer) -> None:
            while peer.read_request():
                if over.is_set():
                    peer.send(reply())
                else:
                    interrupt()
                    peer.stay_silent()

        with self.interrupting(transport) as interrupt, HostileServer(script) as server:
            with pytest.raises(KeyboardInterrupt):
                transport.send(request_to(server.origin), PLENTY)
            over.set()
            assert transport.send(request_to(server.origin), PLENTY).status == 200

    def test_a_refused_connection_was_not_sent(self, transport: Transport) -> None:
        with HostileServer(Peer.stay_silent) as server:
            origin = server.origin
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(origin), PLENTY)
        assert caught.value.sent is False
        assert not caught.value.maybe_processed

    @pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "a" * 64 + ".test"])
    def test_a_name_that_does_not_exist_was_not_sent(self, transport: Transport, host: str) -> None:
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(f"http://{host}"), PLENTY)
        assert caught.value.sent is False

    def test_tls_works_with_a_trusted_certificate(self, opened: Callable[..., Transport]) -> None:
        server_side, client_side = tls("localhost")
        with HostileServer(always(reply(b"1")), ssl_context=server_side) as server:
            transport = opened(ssl_context=client_side)
            assert transport.send(request_to(server.origin), PLENTY).body == b"1"
            assert transport.send(request_to(server.origin, b"x" * 200_000), PLENTY).body == b"1"
            assert server.connections == 1

    @pytest.mark.parametrize("name", ["elsewhere.test", None], ids=["wrong name", "unknown issuer"])
    def test_tls_without_a_certificate_to_trust_was_not_sent(
        self, opened: Callable[..., Transport], name: str | None
    ) -> None:
        server_side, client_side = tls(name or "localhost")
        trusting = client_side if name else tls("localhost")[1]
        with (
            HostileServer(always(reply()), ssl_context=server_side) as server,
            pytest.raises(ConnectError) as caught,
        ):
            opened(ssl_context=trusting).send(request_to(server.origin), PLENTY)
        assert caught.value.sent is False
        assert not caught.value.transient

    def test_closing_twice_is_fine_and_nothing_is_sent_afterwards(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            transport.send(request_to(server.origin), PLENTY)
            transport.close()
            transport.close()
            with pytest.raises(ClientClosed):
                transport.send(request_to(server.origin), PLENTY)
            assert server.connections == 1

    def test_the_repr_shows_no_key(self, transport: Transport) -> None:
        with HostileServer(always(reply())) as server:
            transport.send(request_to(server.origin), PLENTY)
            assert KEY not in repr(transport)
