"""Lines of heads that are remembered from message to message."""

from __future__ import annotations

import pytest

from airplane_runbooks.transports.http11.lines import (
    BadLine,
    RequestFields,
    RequestLines,
    ResponseFields,
    StatusLines,
)


def test_a_line_means_the_same_again() -> None:
    fields = ResponseFields()
    assert fields[b"Vary:\tAccept \t"] == fields[b"Vary:\tAccept \t"] == ("vary", "Accept")
    assert list(fields) == [b"Vary:\tAccept \t"]


@pytest.mark.parametrize("name", ["X-Airplane-API-Key", "authorization", "Cookie", "Idempotency-Key"])
def test_lines_with_credentials_or_keys_are_not_kept(name: str) -> None:
    sent, read = RequestFields(), ResponseFields()
    assert sent[name, "secret"] == f"{name}: secret\r\n".encode()
    assert read[f"{name}: secret".encode()] == (name.lower(), "secret")
    assert not sent
    assert not read


def test_long_lines_are_not_kept() -> None:
    fields, statuses = ResponseFields(), StatusLines()
    assert fields[b"x: " + b"a" * 1000] == ("x", "a" * 1000)
    assert statuses[b"HTTP/1.1 200 " + b"a" * 1000] == ("1", 200)
    assert not fields
    assert not statuses


def test_only_a_few_lines_are_kept() -> None:
    fields = ResponseFields()
    for number in range(2000):
        assert fields[f"x: {number}".encode()] == ("x", str(number))
    assert 0 < len(fields) <= 256


def test_first_lines_with_a_query_are_not_kept() -> None:
    lines = RequestLines()
    assert lines["GET", "/v0/x?id=1", None] == b"GET /v0/x?id=1 HTTP/1.1\r\n"
    assert not lines
    assert lines["POST", "/v0/x", "h"] == lines["POST", "/v0/x", "h"] == b"POST /v0/x HTTP/1.1\r\nhost: h\r\n"
    assert list(lines) == [("POST", "/v0/x", "h")]


@pytest.mark.parametrize("line", [b"", b"x", b": x", b"x : y", b" x: y", b"x: \0", b"x: \n", b"x: \r", b"\xe9: y"])
def test_a_line_that_is_no_header_is_refused_each_time(line: bytes) -> None:
    fields = ResponseFields()
    for _ in range(2):
        with pytest.raises(BadLine):
            fields[line]


def test_what_is_kept_is_not_shown() -> None:
    fields = ResponseFields()
    assert fields[b"x: private"]
    assert repr(fields) == "<1 lines>"
