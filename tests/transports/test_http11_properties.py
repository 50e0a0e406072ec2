"""The reader of HTTP/1.1 against every way that bytes may arrive, and against bytes of no sense at all."""

from __future__ import annotations

import gzip
import http.client
import io
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.errors import TransportError
from airplane_runbooks.transports.http11 import StreamReader, decode_body, is_reusable, parse_head, render_head

LIMIT = 10_000

token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=12)
reserved = {"content-length", "transfer-encoding", "connection", "content-encoding"}
names = token.filter(lambda name: name.lower() not in reserved)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20).filter(
    lambda value: not any(0x80 <= ord(letter) < 0xA0 for letter in value)
)


class Pieces:
    """A stream whose peer has sent these pieces and closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        assert deadline is None
        if not self._pieces:
            return b""
        piece, self._pieces[0] = self._pieces[0][:size], self._pieces[0][size:]
        if not self._pieces[0]:
            del self._pieces[0]
        return piece


@st.composite
def responses(draw: st.DrawFn) -> tuple[int, dict[str, str], bytes, bytes]:
    """Draw a response: status, headers, body, and the bytes of one of its forms."""
    status = draw(st.integers(200, 599).filter(lambda status: status not in (204, 304)))
    headers = draw(st.dictionaries(names, values, max_size=6).filter(_no_two_alike))
    body = draw(st.binary(max_size=300))
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in headers.items())]
    framing = draw(st.sampled_from(["length", "chunked", "closed"]))
    tail = body
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        tail = _chunked(body, draw(st.integers(1, 50)))
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return status, {name.lower(): value.strip(" \t") for name, value in headers.items()}, body, head + tail


def _no_two_alike(headers: dict[str, str]) -> bool:
    return len({name.lower() for name in headers}) == len(headers)


def _chunked(body: bytes, size: int) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def read(pieces: list[bytes]) -> tuple[int, dict[str, str], bytes]:
    reader = StreamReader(Pieces(pieces), None, LIMIT)
    head = reader.head()
    return head.status, head.headers, reader.body(head)


@given(responses(), st.lists(st.integers(0, 10_000), max_size=20))
def test_a_response_is_the_same_however_it_is_cut_into_pieces(
    response: tuple[int, dict[str, str], bytes, bytes], cuts: list[int]
) -> None:
    status, headers, body, raw = response
    seen_status, seen_headers, seen_body = read(split(raw, cuts))
    assert (seen_status, seen_body) == (status, body)
    assert {name: value for name, value in seen_headers.items() if name not in reserved} == headers


@given(responses())
def test_the_standard_library_reads_the_same(response: tuple[int, dict[str, str], bytes, bytes]) -> None:
    raw = response[3]

    class Sock:
        def makefile(self, *_: Any) -> io.BytesIO:
            return io.BytesIO(raw)

    theirs = http.client.HTTPResponse(Sock())  # type: ignore[arg-type]
    theirs.begin()
    assert read([raw])[::2] == (theirs.status, theirs.read())


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(data: bytes, cuts: list[int]) -> None:
    _read_or_refuse(split(data, cuts))


@given(responses(), st.integers(0, 1_000), st.binary(max_size=8), st.integers(0, 8))
def test_damaged_responses_are_either_read_or_refused(
    response: tuple[int, dict[str, str], bytes, bytes], place: int, damage: bytes, lost: int
) -> None:
    raw = response[3]
    place %= len(raw)
    _read_or_refuse([raw[:place] + damage + raw[place + lost :]])


def _read_or_refuse(pieces: list[bytes]) -> None:
    try:
        status, headers, body = read(pieces)
    except TransportError:
        return
    assert 200 <= status <= 599
    assert len(body) <= LIMIT
    assert all(name == name.lower() for name in headers)


@given(st.binary(max_size=2_000), st.integers(0, 2_000))
def test_a_gzip_body_is_decoded_up_to_the_limit_and_not_beyond(body: bytes, limit: int) -> None:
    try:
        decoded = decode_body(gzip.compress(body), "gzip", limit)
    except TransportError:
        assert len(body) > limit
    else:
        assert decoded == body
        assert len(body) <= limit


@given(st.binary(max_size=100))
def test_broken_gzip_is_refused(data: bytes) -> None:
    try:
        decode_body(data, "gzip", LIMIT)
    except TransportError:
        return
    assert not data or gzip.decompress(data) is not None


@given(
    st.dictionaries(token.map(str.lower), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)), max_size=5)
)
def test_a_head_that_we_write_is_read_back(headers: dict[str, str]) -> None:
    raw = render_head("POST", "/v0/x", headers, None)
    line, _, rest = raw.partition(b"\r\n")
    assert line == b"POST /v0/x HTTP/1.1"
    head = parse_head((b"HTTP/1.1 200 OK\r\n" + rest).removesuffix(b"\r\n\r\n"))
    assert head is not None
    assert head.headers == headers
    assert is_reusable(head) is ("close" not in headers.get("connection", "").lower().split(","))


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4), st.text(max_size=8), st.text(max_size=12)
)
def test_a_head_has_the_lines_it_was_given_or_is_refused(headers: dict[str, str], method: str, target: str) -> None:
    try:
        raw = render_head(method, target, headers, None)
    except TransportError:
        return
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    assert raw.decode("ascii").split("\r\n") == lines
    assert raw.count(b"\n") == raw.count(b"\r") == len(lines) - 1


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(0, 10_000), max_size=20))
def test_trailers_and_extensions_change_nothing(chunks: list[bytes], cuts: list[int]) -> None:
    body = b"".join(b"%x ;a=b\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0;last\r\nx: y\r\nz: \xff\r\n\r\n"
    assert read(split(raw, cuts)) == (200, {"transfer-encoding": "chunked"}, b"".join(chunks))
