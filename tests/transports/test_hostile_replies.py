"""Replies made to be read for ever: no caller is held past its deadline by one, and no event loop for long."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from airplane_runbooks import (
    Airplane,
    AirplaneError,
    AsyncAirplane,
    DeadlineExceeded,
    DecodeError,
    Headers,
    NotFound,
    Response,
)
from airplane_runbooks.testing import FakeClock, FakeTransport
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from tests.support.timing import TIMED

MIB = 1024 * 1024
LONGEST_HOLD = 0.5  # seconds of work for which an event loop may be held: ten times what is meant

PARAMETER = b'{"slug":"a","type":"object","params":[%s]}'


class DeadlineMissed(AssertionError):
    """The machine may have been busy: it is worth another try."""


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = PARAMETER % inner
    return inner


# Large, so each is made by the first test that wants it.
BODIES: dict[str, Callable[[], bytes]] = {
    "a list of 40,001 runs": lambda: b'{"runs":[' + b"{}," * 40_000 + b"{}]}",
    "a list of 40,001 sessions": lambda: b'{"sessions":[' + b'{"status":""},' * 40_000 + b'{"status":""}]}',
    "a list of 40,001 sessions that fails at its end": lambda: b'{"sessions":[' + b'{"status":""},' * 40_000 + b"{}]}",
    "a list of 40,001 prompts": lambda: b'{"prompts":[' + b'{"id":""},' * 40_000 + b"{}]}",
    "a session with 500,000 parameters": lambda: b'{"status":"","params":[' + b"{}," * 500_000 + b"{}]}",
    "a session with a thousand parameters of a thousand": lambda: (
        b'{"status":"","params":[' + b",".join([PARAMETER % b",".join([b"{}"] * 900)] * 900) + b"]}"
    ),
    "a run with an unreadable member at its end": lambda: (
        b'{"id":"","status":"","params":[' + b'{"slug":"a"},' * 999 + b'{}],"timeout":"soon"}'
    ),
    "parameters in parameters": lambda: b'{"status":"","params":[' + nested(5_000) + b"]}",
    "arrays in arrays": lambda: b'{"output":' + b"[" * 2_000_000,
    "objects in objects": lambda: b'{"output":' + b'{"a":' * 1_000_000,
    "empty arrays": lambda: b'{"output":[' + b"[]," * 3_000_000 + b"0]}",
    "numbers that take long to read": lambda: b'{"output":[' + b"1e300," * 1_000_000 + b"0]}",
    "a few numbers that take long to read": lambda: b'{"output":[' + b"1e300," * 20_000 + b"0]}",
    "one number of ten million digits": lambda: b'{"output":' + b"1" * 10_000_000 + b"}",
    "numbers of four thousand digits": lambda: b'{"output":[' + (b"1" * 4_000 + b",") * 2_500 + b"0]}",
    "a million different keys": lambda: (
        b'{"status":"","paramValues":{' + b",".join(b'"%x":0' % n for n in range(10**6)) + b"}}"
    ),
    "one key a million times": lambda: b'{"status":"","status":' + b'"","status":' * 10**6 + b'""}',
    "blanks": lambda: b'{"output":' + b" " * (20 * MIB) + b"0}",
    "older names": lambda: b'{"status":"",' + b'"creatorID":"",' * 10**6 + b'"id":""}',
}

CALLS: list[Callable[[Any], Any]] = [
    lambda a: a.sessions.list_page(),
    lambda a: a.sessions.get("ses1"),
    lambda a: a.runs.list_page(limit=2),
    lambda a: a.runs.get("run1"),
    lambda a: a.runs.get_outputs("run1"),
    lambda a: a.prompts.list("run1"),
    lambda a: a.prompts.get("pmt1"),
    lambda a: a.runbooks.execute("hello"),
]


@cache
def packed_body(name: str) -> bytes:
    return gzip.compress(BODIES[name]())


VARYING = {"a list of 40,001 runs", "parameters in parameters", "empty arrays"}  # for each Python again
SIMILAR = {  # to others, so left to the night
    *("a list of 40,001 sessions", "a list of 40,001 prompts", "arrays in arrays", "older names"),
    *("a few numbers that take long to read", "numbers of four thousand digits", "one key a million times"),
}


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.nightly] if name in SIMILAR else [] if name in VARYING else [pytest.mark.once]


@pytest.fixture(params=[pytest.param(name, marks=marks_of(name)) for name in BODIES])
def packed(request: pytest.FixtureRequest) -> bytes:
    return packed_body(request.param)


def answer(packed_body: bytes, status: str = "200 OK") -> bytes:
    return reply(packed_body, status=status, headers=b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n")


@contextlib.contextmanager
def over_by_its_deadline() -> Iterator[None]:
    """Demand that a call ends soon after its deadline of one second.

    It is this process's own work that counts, as far as possible: other tests are busy on the same machine.
    """
    started, work = time.monotonic(), time.process_time()
    yield
    worked, elapsed = time.process_time() - work, time.monotonic() - started
    if worked > 1.0 + slowness() or elapsed > 100.0:
        raise DeadlineMissed(f"{elapsed:.1f} s, {worked:.1f} s of them at work")


@cache
def slowness() -> float:
    """Return how many times as long work takes here as on the machine for which the numbers were chosen, or 1."""
    began = time.process_time()
    json.loads(b"[" + b'{"a":[1,2,"b"]},' * 20_000 + b"0]")
    return max(1.0, (time.process_time() - began) / 0.03)


@TIMED
def test_a_sync_call_is_over_by_its_deadline_whatever_the_reply(packed: bytes) -> None:
    with HostileServer(always(answer(packed))) as server, client_of(server) as airplane:
        for call in CALLS:
            with over_by_its_deadline(), contextlib.suppress(AirplaneError):
                call(airplane)


@TIMED
def test_an_async_call_is_over_by_its_deadline_and_holds_no_loop(packed: bytes) -> None:
    async def scenario(origin: str) -> None:
        async with AsyncAirplane("tkn_test", base_url=f"{origin}/v0", timeout=1.0) as airplane:
            for call in CALLS:
                with over_by_its_deadline():
                    held = asyncio.create_task(longest_hold())
                    await asyncio.gather(call(airplane), return_exceptions=True)
                    held.cancel()
                    if await held > LONGEST_HOLD * slowness():
                        raise DeadlineMissed(f"{await held:.2f} s in one piece")

    with HostileServer(always(answer(packed))) as server:
        asyncio.run(scenario(server.origin))


async def longest_hold() -> float:
    """Return for how many seconds of work this loop was held in one piece, once cancelled.

    It is this process's own work that counts, as above.
    """
    longest, last = 0.0, time.process_time()
    try:
        while True:
            await asyncio.sleep(0.005)
            now = time.process_time()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return max(longest, time.process_time() - last)


def client_of(server: HostileServer) -> Airplane:
    return Airplane("tkn_test", base_url=f"{server.origin}/v0", timeout=1.0)


@TIMED
def test_the_body_of_an_error_holds_nobody_up_either(packed: bytes) -> None:
    with (
        HostileServer(always(answer(packed, "404 Not Found"))) as server,
        client_of(server) as airplane,
        over_by_its_deadline(),
        pytest.raises(NotFound),
    ):
        airplane.runs.get("run1")


def client(body: bytes, **options: Any) -> Airplane:
    return Airplane("tkn_test", transport=FakeTransport([Response(status=200, headers=HEADERS, body=body)]), **options)


HEADERS = Headers({"content-type": "application/json"})


@pytest.mark.parametrize(
    ("body", "call", "problem"),
    [
        (
            BODIES["a list of 40,001 runs"](),
            lambda a: a.runs.list_page(limit=2),
            r"`runs` has 40,001 items; at most 1,000",
        ),
        (
            b'{"status":"","params":[' + b",".join([PARAMETER % b",".join([b"{}"] * 900)] * 30) + b"]}",
            lambda a: a.sessions.get("ses1"),
            "more than 20,000 objects",
        ),
        (
            b'{"status":"","params":[' + b"{}," * 1_000 + b"{}]}",
            lambda a: a.sessions.get("s"),
            "`params` has 1,001 items",
        ),
        (
            b'{"sessions":[{"status":"","params":[' + b"{}," * 1_000 + b"{}]}]}",
            lambda a: a.sessions.list_page(),
            "`params` has 1,001 items",
        ),
        (b'{"output":[' + b"1e300," * 3_000 + b"1e400]}", lambda a: a.runs.get_outputs("run1"), "out of range"),
        (BODIES["empty arrays"](), lambda a: a.runs.get_outputs("run1"), "too many values"),
        (BODIES["blanks"](), lambda a: a.runs.get_outputs("run1"), "at most 16,777,216 are decoded"),
    ],
)
def test_a_part_that_is_too_large_is_refused_by_name(
    body: bytes, call: Callable[[Airplane], Any], problem: str
) -> None:
    with client(body) as airplane, pytest.raises(DecodeError, match=problem) as caught:
        call(airplane)

    assert caught.value.response.body in (body, b"")  # too large a one is not searched for the key, and so not kept
    assert caught.value.maybe_processed


def test_a_full_list_is_read() -> None:
    run = {"id": "run1", "status": "Active", "params": [{"slug": "a"}] * 10, "createdAt": "2022-01-11 22:32:45+00"}
    with client(json.dumps({"runs": [run] * 1_000}).encode()) as airplane:
        assert len(airplane.runs.list_page()) == 1_000


@pytest.mark.parametrize(
    "output",
    [
        "x" * (15 * MIB),
        "a,b,c\n" * MIB,
        json.dumps([{"a": 1, "b": ["c"]}] * 100_000),
        [{"id": n, "name": "ada", "at": "2022-01-11T22:32:45Z", "share": 0.5} for n in range(20_000)],
        [1e300] * 5_000 + [1.5e-7] * 5_000,
        [10**40] * 1_000,
        {f"key{n}": n for n in range(50_000)},
    ],
    ids=["a text", "a table as text", "JSON as text", "a table", "exponents", "long numbers", "many keys"],
)
def test_large_outputs_of_ordinary_kinds_are_read_whole(output: Any) -> None:
    with client(json.dumps({"output": output}).encode()) as airplane:
        assert airplane.runs.get_outputs("run1").output == output


def test_a_call_without_a_deadline_reads_large_replies_whole() -> None:
    with client(json.dumps({"output": "x" * MIB}).encode(), timeout=None) as airplane:
        assert airplane.runs.get_outputs("run1").output == "x" * MIB


def test_a_reply_too_large_for_the_time_meets_the_deadline() -> None:
    """The walk looks at the clock itself: a sync call has no timer."""
    run = (
        b'{"run":{"runID":"r","status":"","parameters":{"parameters":[' + b",".join([b'{"slug":"abc"}'] * 900) + b"]}}}"
    )

    clock = FakeClock()

    class Late(FakeTransport):
        def send(self, request: Any, timeout: float | None, /) -> Response:
            clock.advance(2)  # the deadline passes
            return super().send(request, timeout)

    body = b'{"runs":[' + b",".join([run] * 20) + b"]}"
    transport = Late([Response(status=200, headers=HEADERS, body=body)])
    problem = r"runs\.list succeeded, but its reply took too long"
    airplane = Airplane("tkn_test", transport=transport, clock=clock, timeout=1)
    with airplane, pytest.raises(DeadlineExceeded, match=problem) as caught:
        airplane.runs.list_page()

    assert caught.value.maybe_processed
    assert isinstance(caught.value, TimeoutError)


ANSWERS = [
    *(reply(body) for body in (b"", b"null", b"[]", b"<html>done</html>", b'{"id":7}', b"\xff", b"[" * 9_999)),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_call_that_returns_nothing_reads_nothing(answer: bytes) -> None:
    with HostileServer(always(answer)) as server, client_of(server) as airplane:
        airplane.runs.cancel("run1")
        assert airplane.prompts.submit("pmt1", values={"ok": True}).id == "pmt1"
        assert airplane.prompts.cancel("pmt1").id == "pmt1"


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_async_call_that_returns_nothing_reads_nothing(answer: bytes) -> None:
    async def scenario(origin: str) -> None:
        async with AsyncAirplane("tkn_test", base_url=f"{origin}/v0") as airplane:
            await airplane.runs.cancel("run1")
            assert (await airplane.prompts.submit("pmt1", values={"ok": True})).id == "pmt1"
            assert (await airplane.prompts.cancel("pmt1")).id == "pmt1"

    with HostileServer(always(answer)) as server:
        asyncio.run(scenario(server.origin))


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"sessionID":null}', b'{"sessionID":""}', b'{"sessionID":7}'])
def test_a_start_without_an_id_is_an_error_that_keeps_the_reply(body: bytes) -> None:
    with client(body) as airplane, pytest.raises(DecodeError, match=r"runbooks\.execute succeeded") as caught:
        airplane.runbooks.execute("hello")
    with client(body.replace(b"session", b"run")) as airplane, pytest.raises(DecodeError, match=r"tasks\.execute"):
        airplane.tasks.execute("hello")

    assert caught.value.response.body == body
    assert caught.value.idempotency_key is not None
    assert caught.value.maybe_processed
