"""The reader of HTTP/1.1, step by step."""

from __future__ import annotations

import time

import pytest

from airplane_runbooks.errors import InvalidResponse
from airplane_runbooks.transports._http11 import MAX_HEAD, Head, Reader, body_length, is_reusable, parse_head


class Trickle:
    """A socket that gives so many bytes at a time, for ever."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.timeouts: list[float | None] = []

    def recv(self, size: int, /) -> bytes:
        return self.data

    def settimeout(self, seconds: float | None, /) -> None:
        self.timeouts.append(seconds)


def test_a_deadline_that_has_passed_ends_the_reading_without_a_system_call() -> None:
    sock = Trickle(b"HTTP/1.1 200 OK")
    with pytest.raises(TimeoutError):
        Reader(sock, time.monotonic() - 1, 100).head()
    assert sock.timeouts == []


def test_each_read_gets_the_time_that_is_left() -> None:
    sock = Trickle(b"HTTP/1.1 200 OK\r\n\r\n")
    Reader(sock, time.monotonic() + 5, 100).head()
    (timeout,) = sock.timeouts
    assert timeout is not None
    assert 4 < timeout <= 5


@pytest.mark.parametrize("data", [b"x", b"x: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_endless_head_is_refused_before_it_fills_the_memory(data: bytes) -> None:
    reader = Reader(Trickle(data), None, 100)
    reader._data += b"HTTP/1.1 100 Continue\r\n" + (b"\r\n" if data.startswith(b"HTTP") else b"")
    with pytest.raises(InvalidResponse, match=f"larger than {MAX_HEAD}|larger than \\d+ bytes"):
        reader.head()
    assert len(reader._data) < 2 * MAX_HEAD


def test_headers_that_repeat_are_joined() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nVary: a\r\nX: 1\r\nvary:b \r\n\r\n")
    assert head.headers == {"vary": "a, b", "x": "1"}


@pytest.mark.parametrize(
    ("version", "connection", "reusable"),
    [
        (b"1", None, True),
        (b"1", "close", False),
        (b"1", "Keep-Alive, Close", False),
        (b"0", None, False),
        (b"0", "keep-alive", True),
    ],
)
def test_a_connection_is_kept_as_the_version_has_it(version: bytes, connection: str | None, reusable: bool) -> None:
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
    assert body_length(Head(b"1", status, headers)) == length


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
        body_length(Head(b"1", 200, headers))
