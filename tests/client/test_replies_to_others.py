"""Replies that answer another request: an intermediary has repeated one, or mixed two up."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airplane_runbooks import (
    NO_RETRY,
    Airplane,
    AsyncAirplane,
    DecodeError,
    InvalidResponse,
    Request,
    Response,
    RetryPolicy,
)
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.clients import Either

KINDS = ["sync", "async"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_a_post_with_a_foreign_reply_may_have_been_processed(kind: str, status: int) -> None:
    stale = json_response({"sessionID": "ses1"}, status=status, headers={"Idempotency-Key": "another"})
    either = Either(kind, FakeTransport([stale]), retry=NO_RETRY)
    with pytest.raises(InvalidResponse, match="answers another request") as caught:
        either(lambda airplane: airplane.runbooks.execute("x"))
    assert caught.value.maybe_processed


@pytest.mark.parametrize("kind", KINDS)
def test_such_a_post_is_made_again_with_its_key(kind: str) -> None:
    answers = itertools.count()

    def answer(request: Request) -> Response:
        key = request.headers["idempotency-key"] if next(answers) else "another"
        return json_response({"sessionID": "ses1"}, headers={"Idempotency-Key": key})

    either = Either(kind, FakeTransport(answer))
    assert either(lambda airplane: airplane.runbooks.execute("x")).session_id == "ses1"
    keys = {request.headers["idempotency-key"] for request in either.transport.requests}
    assert (len(either.transport.requests), len(keys)) == (2, 1)


GETS: dict[str, tuple[Callable[[Any], Any], Callable[[str], Any]]] = {
    "session": (lambda airplane: airplane.sessions.get("a1"), lambda found: {"id": found, "status": "Active"}),
    "run": (lambda airplane: airplane.runs.get("a1"), lambda found: {"id": found, "status": "Active"}),
    "prompt": (lambda airplane: airplane.prompts.get("a1"), lambda found: {"prompt": {"id": found, "runID": "r"}}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", GETS)
def test_a_get_of_one_thing_takes_no_reply_about_another(kind: str, what: str) -> None:
    act, form = GETS[what]
    either = Either(kind, FakeTransport([json_response(form("a2"))]))
    with pytest.raises(InvalidResponse, match=f"{what}s.get: the reply is about another object"):
        either(act)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", GETS)
@pytest.mark.parametrize("id", ["a1", ""])
def test_a_reply_may_leave_out_what_it_is_about(kind: str, what: str, id: str) -> None:
    act, form = GETS[what]
    either = Either(kind, FakeTransport([json_response(form(id))]))
    found = either(act)
    assert getattr(found, "prompt", found).id == id


def test_a_wait_goes_on_after_the_reply_to_another_request() -> None:
    sessions = [json_response({"id": one, "status": "Succeeded"}) for one in ("ses2", "ses1")]
    either = Either("sync", FakeTransport(sessions))
    assert either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60)).id == "ses1"


class Doubling:
    """The script of an intermediary that sends the reply to the first request of a connection twice, the copy late.

    The ID of each session is that of its request, and so is the key.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.carried_out: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        stale = b""
        while request := peer.read_request():
            with self.lock:
                self.carried_out.append(request)
            fresh = self.answer(request)
            peer.send(stale or fresh)  # from then on each reply belongs to the request before
            stale = fresh

    def answer(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        if request.startswith(b"GET"):
            asked = head.partition(b"id=")[2].partition(b" ")[0]
            return reply(b'{"id":"%s","status":"Active"}' % asked)
        key = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"idempotency-key"))
        return reply(b'{"sessionID":"ses-%s"}' % body.split(b'"')[3], headers=key + b"\r\n")


def is_right_or_refused(act: Callable[[], Any], expected: str) -> bool:
    """Tell whether a reply was right or refused, without the claim that nothing was done."""
    try:
        return bool(act() == expected)
    except (InvalidResponse, DecodeError) as error:
        return error.maybe_processed


def test_no_call_gets_the_reply_of_the_one_before() -> None:
    with (
        HostileServer(Doubling()) as server,
        Airplane("tkn_test", base_url=f"{server.origin}/v0", retry=RetryPolicy(initial_delay=0)) as airplane,
    ):
        for number in range(6):
            start = partial(airplane.runbooks.execute, slug=f"r{number}")
            assert is_right_or_refused(lambda start=start: start().session_id, f"ses-r{number}")  # type: ignore[misc]
            get = partial(airplane.sessions.get, f"ses{number}")
            assert is_right_or_refused(lambda get=get: get().id, f"ses{number}")  # type: ignore[misc]


@pytest.mark.parametrize("make", [ThreadedTransport, AsyncioTransport])
def test_no_async_call_gets_the_reply_of_the_one_before(make: Callable[[], Any]) -> None:
    async def scenario(base_url: str) -> list[bool]:
        found = []
        retry = RetryPolicy(initial_delay=0)
        async with AsyncAirplane("tkn_test", base_url=base_url, transport=make(), retry=retry) as airplane:
            for number in range(6):
                for act in (airplane.runbooks.execute(f"r{number}"), airplane.sessions.get(f"r{number}")):
                    seen: Any = (await asyncio.gather(act, return_exceptions=True))[0]
                    found.append(
                        seen.maybe_processed
                        if isinstance(seen, InvalidResponse | DecodeError)
                        else f"r{number}"
                        in (getattr(seen, "session_id", "").removeprefix("ses-"), getattr(seen, "id", ""))
                    )
        return found

    with HostileServer(Doubling()) as server:
        found = asyncio.run(scenario(f"{server.origin}/v0"))
    assert found == [True] * 12


def test_a_wrapping_transport_need_not_close_idle_connections() -> None:
    transport = ThreadedTransport(FakeTransport())
    transport.close_idle("http://localhost")
    asyncio.run(transport.aclose())
