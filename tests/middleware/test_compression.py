"""Request bodies, compressed if a client's user has asked for that."""

from __future__ import annotations

import gzip
import json
import threading
from typing import Any

import pytest

from airplane_runbooks import Airplane, APIError, ConfigurationError, Request
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

STARTED = json_response({"sessionID": "ses1"})


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def sent_by(kind: str, size: int, answers: Any = (STARTED,), value: str = "x", **options: Any) -> list[Request]:
    transport = FakeTransport(answers)
    client = Either(kind, transport, **options)
    client(lambda airplane: airplane.runbooks.execute("a", {"text": value * size}))
    return transport.requests


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_a_large_body_is_sent_gzipped(kind: str, size: int) -> None:
    (request,) = sent_by(kind, size, compress_from=1_000)
    assert request.headers["content-encoding"] == "gzip"
    assert request.body is not None
    assert len(request.body) < size
    assert json.loads(gzip.decompress(request.body)) == {"slug": "a", "paramValues": {"text": "x" * size}}


def test_all_attempts_send_the_same_compressed_body(kind: str) -> None:
    unavailable = json_response({"error": "later"}, status=503)
    first, second = sent_by(kind, 2_000, [unavailable, STARTED], compress_from=1_000)
    assert first.body is second.body
    (again,) = sent_by(kind, 2_000, compress_from=1_000)
    assert again.body == first.body


def test_bodies_are_plain_unless_compression_is_asked_for(kind: str) -> None:
    for options in ({}, {"compress_from": None}, {"compress_from": 5_000}):
        (request,) = sent_by(kind, 2_000, **options)
        assert "content-encoding" not in request.headers
        assert json.loads(request.body or b"")["slug"] == "a"


def test_a_body_that_would_grow_is_sent_plain(kind: str) -> None:
    (request,) = sent_by(kind, 1, compress_from=1)
    assert "content-encoding" not in request.headers
    assert json.loads(request.body or b"")["paramValues"] == {"text": "x"}


def test_a_body_that_has_an_encoding_is_left_alone(kind: str) -> None:
    (request,) = sent_by(kind, 2_000, compress_from=1, headers={"Content-Encoding": "identity"})
    assert request.headers["content-encoding"] == "identity"
    assert json.loads(request.body or b"")["slug"] == "a"


def test_a_request_without_a_body_stays_without(kind: str) -> None:
    transport = FakeTransport([json_response({"id": "ses1", "status": "Active"})])
    Either(kind, transport, compress_from=1)(lambda airplane: airplane.sessions.get("ses1"))
    assert transport.requests[0].body is None
    assert "content-encoding" not in transport.requests[0].headers


def test_the_event_loop_does_not_compress_large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    from airplane_runbooks.middleware import compression

    threads: list[threading.Thread] = []
    compress = compression._gzip

    def noted(body: bytes) -> bytes:
        threads.append(threading.current_thread())
        return compress(body)

    monkeypatch.setattr(compression, "_gzip", noted)
    for size in (2_000, 200_000):
        sent_by("async", size, compress_from=1_000)
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


def test_a_refusal_of_compressed_bodies_names_the_option(kind: str) -> None:
    refusal = json_response({"error": "unknown encoding"}, status=415)
    with pytest.raises(APIError, match="unknown encoding") as caught:
        sent_by(kind, 2_000, [refusal], compress_from=1)
    assert "compress_from" in str(caught.value)
    with pytest.raises(APIError) as caught:
        sent_by(kind, 2_000, [refusal])
    assert "compress_from" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1.5, "16k"])
def test_a_size_that_cannot_work_is_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="compress_from must be a positive number of bytes or None"):
        Airplane("tkn_test", transport=FakeTransport(), compress_from=size)
