"""Uploading: files of all kinds arrive whole, a chunk with each call, by either client."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from airplane_runbooks import ConfigurationError, InvalidResponse, NotSupported, Request, Response, Upload
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

Make = Callable[..., Either]
CHUNK = 4


class Files:
    """A server that keeps files, in chunks of four bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.chunk_bytes: int | None = CHUNK
        self.keys: list[str | None] = []
        self.failing: list[Response] = []

    @property
    def transport(self) -> FakeTransport:
        return FakeTransport(self.answer)

    def answer(self, request: Request) -> Response:
        self.keys.append(request.headers.get("idempotency-key"))
        path, body = urlsplit(request.target).path, msgspec.json.decode(request.body or b"null")
        if path == "/v0/uploads/create":
            self.files["upl1"] = bytearray()
            self.states["upl1"] = {"id": "upl1", "chunkBytes": self.chunk_bytes, **body}
        elif path == "/ext/v0/uploads/write":
            assert len(self.files["upl1"]) == body["offset"]
            if self.failing:
                return self.failing.pop()
            self.files["upl1"] += base64.b64decode(body["content"])
        return json_response({"upload": self.states["upl1"]})


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda server, **options: Either(request.param, server.transport, **options)


@pytest.fixture
def server() -> Files:
    return Files()


def path_of(folder: Path) -> Path:
    path = folder / "report.csv"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (path_of, "report.csv"),
        (lambda folder: str(path_of(folder)), "report.csv"),
        (lambda _: b"0123456789", "file"),
        (lambda _: bytearray(b"0123456789"), "file"),
        (lambda _: memoryview(b"0123456789"), "file"),
        (lambda _: io.BytesIO(b"0123456789"), "file"),
    ],
    ids=["path", "text", "bytes", "bytearray", "memoryview", "file"],
)
def test_a_file_of_each_kind_arrives_whole(
    make: Make, server: Files, tmp_path: Path, file: Callable[[Path], Any], name: str
) -> None:
    upload = make(server)(lambda airplane: airplane.uploads.create(file(tmp_path)))
    assert upload == Upload("upl1", None, name, 10)
    assert server.files["upl1"] == b"0123456789"


def test_an_open_file_is_read_from_its_position_and_left_open(make: Make, server: Files, tmp_path: Path) -> None:
    with path_of(tmp_path).open("rb") as file:
        file.seek(3)
        upload = make(server)(lambda airplane: airplane.uploads.create(file))
        assert (upload.name, upload.size) == ("report.csv", 7)
        assert server.files["upl1"] == b"3456789"
        assert file.tell() == 10


def test_an_empty_file_needs_no_chunk_and_a_name_can_be_given(make: Make, server: Files) -> None:
    upload = make(server)(lambda airplane: airplane.uploads.create(b"", name="none.txt"))
    assert upload == Upload("upl1", None, "none.txt", 0)
    assert len(server.keys) == 1


def test_a_chunk_that_fails_is_sent_again_with_its_key(make: Make, server: Files) -> None:
    server.failing = [json_response({}, status=503)]
    make(server)(lambda airplane: airplane.uploads.create(b"01234567"))
    assert server.files["upl1"] == b"01234567"
    created, first, again, second = server.keys
    assert first == again
    assert len({created, first, second}) == 3


class OneByOne(io.BytesIO):
    """A file that returns one byte at a time, as a raw one may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


def test_a_file_that_returns_less_than_asked_for_is_read_on(make: Make, server: Files) -> None:
    make(server)(lambda airplane: airplane.uploads.create(OneByOne(b"0123456789")))
    assert server.files["upl1"] == b"0123456789"


class Endless(io.BytesIO):
    """A file without an end, such as a pipe."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise OSError(f"cannot seek to {offset} from {whence}")


class Shrinking(io.BytesIO):
    """A file that is cut while it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        self.truncate(6)
        return super().read(size)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (lambda: Shrinking(b"0123456789"), "has become shorter"),
        (lambda: io.StringIO("text"), "binary mode"),
        (Endless, "can seek"),
        (object, "can seek"),
    ],
    ids=["shrinking", "text", "pipe", "other"],
)
def test_what_cannot_be_read_as_bytes_is_refused_in_words(make: Make, server: Files, file: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(server)(lambda airplane: airplane.uploads.create(file()))


def test_a_file_that_is_not_there_is_an_oserror(make: Make, server: Files, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(server)(lambda airplane: airplane.uploads.create(tmp_path / "none"))
    assert server.keys == []


@pytest.mark.parametrize("size", [0, -1, 1 << 30])
def test_a_server_cannot_ask_for_chunks_of_any_size(make: Make, server: Files, size: int) -> None:
    server.chunk_bytes = size
    with pytest.raises(InvalidResponse, match=f"chunks of {size} bytes"):
        make(server)(lambda airplane: airplane.uploads.create(b"0123456789"))


def test_a_server_without_uploads_is_told_from_a_missing_file(make: Make, server: Files) -> None:
    refusing = FakeTransport([json_response({}, status=404)])
    with pytest.raises(NotSupported):
        make(type("Bare", (), {"transport": refusing}))(lambda airplane: airplane.uploads.create(b""))


def test_a_file_that_was_sent_is_found_by_its_id(make: Make, server: Files) -> None:
    server.states["upl1"] = {"id": "upl1", "fileName": "a.csv", "sizeBytes": 3, "receivedBytes": 3}
    assert make(server)(lambda airplane: airplane.uploads.get("upl1")) == Upload("upl1", None, "a.csv", 3)


def test_a_client_does_not_open_uploads() -> None:
    with pytest.raises(ConfigurationError, match="in the runbook or task"):
        Upload("upl1").open()
