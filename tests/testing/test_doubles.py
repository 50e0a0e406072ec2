"""The doubles that the package ships for its users' tests."""

from __future__ import annotations

import pytest

from airplane_runbooks import Airplane, ClientClosed, ConnectError, Request, Response
from airplane_runbooks._call.pipeline import run_blocking
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response, long_polled
from airplane_runbooks.testing.conformance import request_to


def client(transport: FakeTransport) -> Airplane:
    return Airplane("tkn_test", transport=transport, clock=FakeClock())


def test_a_script_is_used_up_in_its_order() -> None:
    transport = FakeTransport([ConnectError("refused"), json_response({"sessionID": "ses1"})])
    assert client(transport).runbooks.execute("x").session_id == "ses1"
    assert len(transport.requests) == len(transport.timeouts) == 2
    assert repr(transport) == "<FakeTransport, 2 requests>"


def test_a_request_beyond_the_script_fails_the_test_and_is_named() -> None:
    with pytest.raises(AssertionError, match=r"no answer left for <Request POST .*/runbooks/execute attempt=1>"):
        client(FakeTransport()).runbooks.execute("x")


def test_a_response_that_is_not_in_a_list_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"an iterable of answers, such as \[response\], not Response"):
        FakeTransport(json_response({}))  # type: ignore[arg-type]


def test_an_answer_that_is_not_a_response_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="an answer is a Response or an exception, not dict"):
        client(FakeTransport([{"sessionID": "ses1"}])).runbooks.execute("x")  # type: ignore[list-item]


def test_a_handler_sees_each_request() -> None:
    transport = FakeTransport(lambda request: json_response({"sessionID": request.operation}))
    assert client(transport).runbooks.execute("x").session_id == "runbooks.execute"


def test_a_closed_transport_refuses() -> None:
    transport = FakeTransport([json_response({})])
    transport.close()
    assert transport.closed
    with pytest.raises(ClientClosed):
        client(transport).runbooks.execute("x")


def test_a_transport_has_an_async_face_that_shares_everything() -> None:
    transport = FakeTransport([json_response({}, status=202)])
    face = transport.as_async()
    assert run_blocking(face.send(request_to("http://localhost"), 5)).status == 202
    assert repr(face) == "<FakeTransport, 1 requests>.as_async()"
    run_blocking(face.aclose())
    assert transport.closed
    assert transport.timeouts == [5]


def test_a_clock_moves_only_when_it_is_told_to() -> None:
    clock = FakeClock(now=10, wall=1000)
    assert (clock.now(), clock.wall()) == (10, 1000)
    clock.advance(5)
    assert (clock.now(), clock.wall()) == (15, 1005)
    clock.close()
    assert clock.sleeps == []


def test_a_long_poll_is_answered_when_something_changes() -> None:
    clock = FakeClock(now=0)

    def handler(request: Request) -> Response:
        return json_response({"id": "ses1", "status": "Active" if clock.now() < 5 else "Waiting"})

    answer = long_polled(handler, clock)
    first = answer(poll({"prefer": "wait=10"}))
    assert isinstance(first, Response)
    assert (first.status, first.headers["preference-applied"], clock.now()) == (200, "wait=10", 5)
    second = answer(poll({"prefer": "wait=10", "if-none-match": first.headers["etag"]}))
    assert isinstance(second, Response)
    assert (second.status, second.headers["etag"], second.body) == (304, first.headers["etag"], b"")
    assert clock.now() == 15


def test_a_long_poll_is_answered_with_the_state_when_time_is_up() -> None:
    clock = FakeClock(now=0)
    answer = long_polled(lambda _: json_response({"id": "run1", "status": "Active"}), clock)
    late = answer(poll({"prefer": "respond-async, wait=3"}))
    assert isinstance(late, Response)
    assert (late.status, clock.now()) == (200, 3)


@pytest.mark.parametrize(
    "found",
    [
        {"prompt": {"id": "pmt1"}},
        {"id": "run1", "status": "Active", "isWaitingForUser": True},
        {"id": "ses1", "status": "Waiting"},
        {"id": "run1", "status": "Failed"},
    ],
)
def test_an_object_at_rest_is_answered_at_once(found: dict[str, object]) -> None:
    clock = FakeClock(now=0)
    answer = long_polled(lambda _: json_response(found), clock)
    assert isinstance(answer(poll({"prefer": "wait=10"})), Response)
    assert clock.now() == 0


def test_a_double_answers_other_requests_at_once() -> None:
    clock = FakeClock(now=0)
    failure = ConnectError("refused")
    answers = iter([failure, json_response({}, status=503), json_response({"id": "ses1", "status": "Active"})])
    answer = long_polled(lambda _: next(answers), clock)
    assert answer(poll({"prefer": "wait=3"})) is failure
    busy = answer(poll({"prefer": "wait=3"}))
    assert isinstance(busy, Response)
    assert "preference-applied" not in busy.headers
    ordinary = answer(poll({}))
    assert isinstance(ordinary, Response)
    assert "preference-applied" not in ordinary.headers
    assert "etag" in ordinary.headers
    assert clock.now() == 0
    started = long_polled(lambda _: json_response({"sessionID": "ses1"}), clock)(request_to("http://localhost"))
    assert isinstance(started, Response)
    assert "etag" not in started.headers


def poll(headers: dict[str, str]) -> Request:
    return request_to("http://localhost", None, "/v0/sessions/get?id=ses1", headers)
