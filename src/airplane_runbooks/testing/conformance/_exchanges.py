"""Exchanges with a well-behaved server."""

from __future__ import annotations

import gzip

import pytest

from ...errors import TransportError
from ...http import Headers, Transport
from ..hostile import HostileServer, Peer, after_request, always, reply
from ._support import KEY, PLENTY, Case, request_to


class Exchanges(Case):
    """Requests and responses that are in order."""

    def test_a_request_arrives_as_it_was_given(self, transport: Transport) -> None:
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request())
            peer.send(reply(b'{"ok":true}', headers=b"X-Request-ID: req1\r\n"))

        with HostileServer(script) as server:
            response = transport.send(request_to(server.origin), PLENTY)
        head, _, body = seen[0].partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post /v0/runbooks/execute http/1.1"
        assert body == b'{"a":1}'
        assert b"x-airplane-api-key: " + KEY.encode() in lines
        assert b"host: localhost:%d" % server.port in lines
        assert isinstance(response.headers, Headers), "a response must have Headers, in which case does not matter"
        assert (response.status, response.body, response.headers["X-Request-Id"]) == (200, b'{"ok":true}', "req1")

    @pytest.mark.parametrize(
        "status",
        ["204 No Content", "304 Not Modified", "301 Moved", "404 Not Found", "429 Slow", "503 Down", "599 Odd"],
    )
    def test_every_status_is_a_response(self, transport: Transport, status: str) -> None:
        body = b"" if status.startswith(("204", "304")) else b"{}"
        headers = b"Location: /elsewhere\r\n"
        response = self.exchange(transport, always(reply(body, status=status, headers=headers)))
        assert response.status == int(status[:3])

    @pytest.mark.parametrize("length", [None, 1000], ids=["no length", "length of the object"])
    def test_the_reply_to_a_conditional_request_has_no_body(self, transport: Transport, length: int | None) -> None:
        """A length, which RFC 9110, section 8.6, allows, is that of the object: no byte of it follows."""
        seen: list[bytes] = []
        headers = b'ETag: "1"\r\nPreference-Applied: wait=20\r\n'
        if length is not None:
            headers += b"content-length: %d\r\n" % length

        def script(peer: Peer) -> None:
            while request := peer.read_request():
                seen.append(request.lower())
                peer.send(b"HTTP/1.1 304 Not Modified\r\n" + headers + b"\r\n")

        with HostileServer(script) as server:
            conditions = {"prefer": "wait=20", "if-none-match": '"1"'}
            for _ in range(3):
                response = transport.send(request_to(server.origin, None, headers=conditions), 30)
                assert (response.status, response.body) == (304, b"")
                assert (response.headers["etag"], response.headers["preference-applied"]) == ('"1"', "wait=20")
        assert all(b'if-none-match: "1"' in request and b"prefer: wait=20" in request for request in seen)
        if length is None:
            assert server.connections == 1

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
            transport.send(request, PLENTY)
            assert (dict(request.headers), request.body, request.url) == before

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("x-note", "a\r\nx-evil: 1"),
            ("x-note", "a\nx-evil: 1"),
            ("x-note: a\r\nx-evil", "1"),
            ("x-n\xf6te", "x-evil"),
        ],
    )
    def test_a_header_that_would_break_out_of_its_line_is_not_sent(
        self, transport: Transport, name: str, value: str
    ) -> None:
        seen: list[bytes] = []
        with (
            HostileServer(lambda peer: seen.append(peer.read_request())) as server,
            pytest.raises(TransportError) as caught,
        ):
            transport.send(request_to(server.origin, headers={name: value}), PLENTY)
        assert b"x-evil" not in b"".join(seen)
        assert caught.value.sent is False
        assert not caught.value.transient
        assert "x-evil" not in str(caught.value)
