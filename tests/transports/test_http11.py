"""The reader of HTTP/1.1, step by step."""

from __future__ import annotations

import traceback

import pytest

from airplane_runbooks.errors import InvalidResponse, TransportError
from airplane_runbooks.transports.http11 import (
    MAX_HEAD,
    Head,
    StreamReader,
    body_length,
    is_reusable,
    parse_head,
    render_head,
)

SECRET = "tkn_secret"


class Trickle:
    """A stream that gives so many bytes at a time, for ever."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.deadlines: list[float | None] = []

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        self.deadlines.append(deadline)
        return self.data


def test_each_read_gets_the_same_deadline() -> None:
    stream = Trickle(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    with pytest.raises(InvalidResponse):
        StreamReader(stream, 1005.0, 100).head()
    assert set(stream.deadlines) == {1005.0}


@pytest.mark.parametrize("data", [b"x", b"x: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_endless_head_is_refused_before_it_fills_the_memory(data: bytes) -> None:
    reader = StreamReader(Trickle(data), None, 100)
    reader._data += b"HTTP/1.1 100 Continue\r\n" + (b"\r\n" if data.startswith(b"HTTP") else b"")
    with pytest.raises(InvalidResponse, match=f"larger than {MAX_HEAD}|larger than \\d+ bytes"):
        reader.head()
    assert len(reader._data) < 2 * MAX_HEAD


def test_headers_that_repeat_are_joined() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nVary: a\r\nX: 1\r\nvary:b ")
    assert head is not None
    assert head.headers == {"vary": "a, b", "x": "1"}


@pytest.mark.parametrize(
    ("version", "connection", "reusable"),
    [
        ("1", None, True),
        ("1", "close", False),
        ("1", "Keep-Alive, Close", False),
        ("0", None, False),
        ("0", "keep-alive", True),
        ("0", "not-keep-alive", False),
        ("0", "keep-alive, close", False),
        ("1", "closed", True),
    ],
)
def test_a_connection_is_kept_as_the_version_has_it(version: str, connection: str | None, reusable: bool) -> None:
    headers = {} if connection is None else {"connection": connection}
    assert is_reusable(Head(version, 200, headers)) is reusable


@pytest.mark.parametrize(
    ("status", "headers", "length"),
    [
        (204, {"content-length": "5"}, 0),
        (304, {"transfer-encoding": "chunked"}, 0),
        (200, {"content-length": "5"}, 5),
        (200, {"transfer-encoding": "Chunked"}, -1),
        (200, {}, None),
    ],
)
def test_the_length_of_a_body_is_told_by_the_head(status: int, headers: dict[str, str], length: int | None) -> None:
    assert body_length(Head("1", status, headers)) == length


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "5, 5"},
        {"content-length": "+5"},
        {"content-length": ""},
        {"content-length": "\u0665"},
        {"content-length": "9" * 16},
        {"transfer-encoding": "chunked", "content-length": "5"},
        {"transfer-encoding": "gzip, chunked"},
        {"transfer-encoding": "identity"},
    ],
)
def test_a_length_that_could_be_read_in_two_ways_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidResponse):
        body_length(Head("1", 200, headers))


@pytest.mark.parametrize(
    ("status", "headers", "reusable"),
    [
        (204, {}, True),
        (204, {"content-length": "5"}, False),
        (304, {"transfer-encoding": "chunked"}, False),
        (200, {"content-length": "5"}, True),
    ],
)
def test_a_body_where_none_may_be_costs_the_connection(status: int, headers: dict[str, str], reusable: bool) -> None:
    assert is_reusable(Head("1", status, headers)) is reusable


class Once(Trickle):
    """A stream that gives its bytes one by one, and then the end of the stream."""

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        first, self.data = self.data[:1], self.data[1:]
        return first


def body_of(raw: bytes, limit: int = 1_000_000) -> bytes:
    reader = StreamReader(Once(raw), None, limit)
    return reader.body(reader.head())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_few_long_extensions_of_chunks_are_borne() -> None:
    chunk = b"2;signature=" + b"f" * 900 + b"\r\nab\r\n"
    assert body_of(CHUNKED + chunk * 5 + b"0\r\n\r\n") == b"ab" * 5


def test_a_body_that_is_mostly_extensions_of_chunks_is_refused() -> None:
    chunk = b"1;" + b"f" * 1000 + b"\r\na\r\n"
    with pytest.raises(InvalidResponse, match="mostly extensions") as caught:
        body_of(CHUNKED + chunk * 100 + b"0\r\n\r\n")
    assert caught.value.status == 200


def test_trailers_have_the_same_limit_as_a_head() -> None:
    with pytest.raises(InvalidResponse, match="trailers of the response is larger"):
        body_of(CHUNKED + b"0\r\n" + b"x-trailer: 1\r\n" * 6000 + b"\r\n")


def test_a_reader_goes_on_from_what_was_read_before() -> None:
    reader = StreamReader(Once(b" OK\r\nContent-Length: 2\r\n\r\nab"), None, 10, b"HTTP/1.1 200")
    assert reader.body(reader.head()) == b"ab"
    assert reader.is_in_step


@pytest.mark.parametrize("excess", [b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_follows_a_response_puts_the_reader_out_of_step(excess: bytes) -> None:
    reader = StreamReader(Trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na" + excess), None, 10)
    assert reader.body(reader.head()) == b"a"
    assert not reader.is_in_step


def test_a_body_until_the_end_of_the_stream_leaves_no_stream() -> None:
    reader = StreamReader(Once(b"HTTP/1.1 200 OK\r\n\r\nabc"), None, 10)
    assert reader.body(reader.head()) == b"abc"
    assert not reader.is_in_step


@pytest.mark.parametrize("data", [b"S", b"HTTP/2", b"\r\nHTTP/1.1 200 OK", b"http/1.1"])
def test_another_protocol_is_noticed_at_its_first_bytes(data: bytes) -> None:
    reader = StreamReader(Once(data), None, 10)
    with pytest.raises(InvalidResponse, match="status line"):
        reader.head()


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("POST", "/", "x", "a\r\nb: c"),
        ("POST", "/", "x", "a\n"),
        ("POST", "/", "x", "a\0"),
        ("POST", "/", "x", "\xe9"),
        ("POST", "/", "x", "\ud800"),
        ("POST", "/", "x: y\r\nb", "c"),
        ("POST", "/", "x ", "y"),
        ("POST", "/", "", "y"),
        ("POST", "/", "content-length", "5"),
        ("POST", "/", "Transfer-Encoding", "chunked"),
        ("POST", "/ HTTP/1.1", "x", "y"),
        ("POST", "/\r\nb: c", "x", "y"),
        ("GET / HTTP/1.1\r\nb: c", "/", "x", "y"),
        ("GET /", "/", "x", "y"),
        ("", "/", "x", "y"),
    ],
)
def test_a_request_that_could_be_read_as_another_is_not_written(
    method: str, target: str, name: str, value: str
) -> None:
    with pytest.raises(TransportError) as caught:
        render_head(method, target, Hidden({"key": SECRET, name: value}), 5)
    assert caught.value.sent is False
    assert not caught.value.transient
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(shown.format())


class Hidden(dict[str, str]):
    def __repr__(self) -> str:
        return "<headers>"


def test_a_request_is_written_in_one_piece() -> None:
    assert render_head("GET", "/v0/x?a=b", {"host": "h", "x-tab": "a\tb"}, None) == (
        b"GET /v0/x?a=b HTTP/1.1\r\nhost: h\r\nx-tab: a\tb\r\n\r\n"
    )
    assert render_head("POST", "/", {}, 0) == b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
