"""A server that repeats the API key in any spelling and place: nothing but the data of a success shows it."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks import NO_RETRY, Airplane, AirplaneError, AsyncAirplane, SessionFailed
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.responses.test_redaction_properties import SPELLINGS, keys, shows
from tests.support.examples import examples
from tests.support.tracebacks import traceback_of

# What stands in a header must be visible, and one line.
LINES = sorted(set(SPELLINGS) - {"UTF-16"})


def body_of(status: str) -> Callable[[str], bytes]:
    return lambda text: reply(text.encode("latin-1"), status=status)


def chunked(first: bytes, end: bytes = b"0\r\n\r\n", status: bytes = b"400 Bad") -> bytes:
    return b"HTTP/1.1 %s\r\ntransfer-encoding: chunked\r\n\r\n%s" % (status, first + end)


def nested(text: str) -> bytes:
    inner = json.dumps({"error": {"message": text, "code": text}, text: [text]})
    return json.dumps({"error": f"upstream said {inner}", "code": text, "more": [{text: {"a": text}}]}).encode()


PLACES: dict[str, Callable[[str], bytes]] = {
    "plain text": body_of("502 Bad Gateway"),
    "plain text of a success": body_of("200 OK"),
    "a JSON string, as it is": lambda text: reply(b'{"error":"%s"}' % text.encode("latin-1"), status="400 Bad"),
    "an HTML page": lambda text: reply(f"<html><p title='{text}'>{text}</p>".encode("latin-1"), status="503 Down"),
    "nested JSON": lambda text: reply(nested(text), status="409 Conflict"),
    "nested JSON of a success": lambda text: reply(b'{"sessionID":7,"more":%s}' % nested(text)),
    "an ID of the wrong type": lambda text: reply(json.dumps({"sessionID": [text], text: text}).encode()),
    "gzip": lambda text: reply(gzip.compress(nested(text)), status="400 Bad", headers=b"content-encoding: gzip\r\n"),
    "gzip that does not say so": lambda text: reply(gzip.compress(nested(text)), status="400 Bad"),
    "a request ID": lambda text: reply(status="400 Bad", headers=b"x-request-id: %s\r\n" % text.encode()),
    "all headers": lambda text: reply(
        status="503 Down",
        headers=b"".join(
            b"%s: %s\r\n" % (name, text.encode()) for name in (b"server", b"retry-after", b"date", b"x-a")
        ),
    ),
    "a redirect": lambda text: reply(status="302 Found", headers=b"location: /%s\r\n" % text.encode()),
    "a content coding": lambda text: reply(headers=b"content-encoding: %s\r\n" % text.encode()),
    "a transfer coding": lambda text: reply(headers=b"transfer-encoding: %s\r\n" % text.encode()),
    "a length": lambda text: b"HTTP/1.1 200 OK\r\ncontent-length: %s\r\n\r\n" % text.encode(),
    "the name of a header": lambda text: reply(status="400 Bad", headers=b"%s: 1\r\n" % text.encode()),
    "a reason": lambda text: reply(status=f"400 {text}"),
    "a status": lambda text: reply(status=text),
    "a protocol": lambda text: text.encode() + b"\r\n\r\n",
    "the extension of a chunk": lambda text: chunked(b"2;%s\r\n{}\r\n" % text.encode()),
    "the size of a chunk": lambda text: chunked(text.encode() + b"\r\n"),
    "a trailer": lambda text: chunked(b"2\r\n{}\r\n", b"0\r\nx-a: %s\r\n\r\n" % text.encode()),
    "a body in two chunks": lambda text: chunked(b'1\r\n"\r\n%x\r\n%s\r\n' % (len(text), text.encode("latin-1"))),
    "the data of a success": lambda text: reply(json.dumps({"sessionID": text, "id": text, "name": text}).encode()),
}


class Observed:
    """A client on a transport of one kind, and all that can be seen of its calls.

    Attributes:
        server: What it talks to.
        answer: The next replies.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answer = b""
        self.spans = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.spans))

    def __enter__(self) -> Self:
        self.server = HostileServer(self._script).__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.__exit__(None, None, None)

    def _script(self, peer: Peer) -> None:
        while peer.read_request():
            peer.send(self.answer)
            if b"transfer-encoding" in self.answer or b"HTTP" not in self.answer:
                return

    def failure(self, key: str, method: str) -> AirplaneError | None:
        options: Any = {
            "base_url": f"{self.server.origin}/v0",
            "retry": NO_RETRY,
            "timeout": 5,
            "tracer_provider": self.provider,
            "opt_in_attributes": ["http.response.header.x-request-id", "http.response.header.x-a"],
        }
        try:
            if self.kind == "urllib3":
                with Airplane(key, **options) as airplane:
                    ACTS[method](airplane)
            else:
                asyncio.run(self._failing(key, method, options))
        except AirplaneError as error:
            return error
        return None

    async def _failing(self, key: str, method: str, options: Any) -> None:
        options["transport"] = ThreadedTransport(pool_size=1) if self.kind == "threads" else AsyncioTransport()
        async with AsyncAirplane(key, **options) as airplane:
            await ACTS[method](airplane)


ACTS: dict[str, Callable[[Any], Any]] = {
    "POST": lambda airplane: airplane.runbooks.execute("x"),
    "GET": lambda airplane: airplane.sessions.get("ses1"),
}


@pytest.fixture(params=["urllib3", "threads", "asyncio"])
def observed(request: pytest.FixtureRequest) -> Iterator[Observed]:
    with Observed(request.param) as observed:
        yield observed


# Marked, or words such as "deadline" would be tried as keys, and found in any traceback.
marked = keys.map("~^{}".format)


@given(marked, st.tuples(*map(st.sampled_from, (LINES, sorted(PLACES), sorted(ACTS)))))
@examples(1, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_reply_brings_the_key_into_sight(
    observed: Observed, caplog: pytest.LogCaptureFixture, key: str, case: tuple[str, str, str]
) -> None:
    spelling, place, method = case
    caplog.clear()
    caplog.set_level(logging.DEBUG, "airplane_runbooks")
    observed.spans.clear()
    observed.answer = PLACES[place](SPELLINGS[spelling](key))
    error = observed.failure(key, method)
    seen = {
        "spans": "".join(span.to_json() for span in observed.spans.get_finished_spans()),
        "logs": caplog.text,
    }
    if error is not None:
        seen |= {
            "error": str(error),
            "repr": repr(error),
            "attributes": str(vars(error)),
            "pickle": pickle.dumps(error).decode("latin-1"),
            "traceback": traceback_of(error),
        }
    assert [name for name, text in seen.items() if key in text or SPELLINGS[spelling](key) in text] == []


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "tkn_s3cr3t-key"])
def test_a_failed_session_that_repeats_the_key_does_not_show_it(observed: Observed, status: str) -> None:
    key = "tkn_s3cr3t-key"
    session = {"id": "ses1", "status": status, "name": key, "paramValues": {key: [key]}, "slug": key, "output": [key]}
    session["error"] = {"kind": key, "message": f"not {key}", "step": f"{key}."}
    observed.answer = reply(json.dumps(session).encode())
    patience = 60 if status != key else 0.5  # no status of that name ends a wait
    ACTS["wait"] = lambda airplane: airplane.sessions.wait("ses1", wait_timeout=patience)
    error = observed.failure(key, "wait")
    assert isinstance(error, SessionFailed) == (status != key)
    assert error is not None
    for text in (f"{error} {error!r} {vars(error)}", pickle.dumps(error).decode("latin-1"), traceback_of(error)):
        assert not shows(text, key)
