"""Headers: case-insensitive, immutable, discreet, and never able to break out of their line."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from airplane_runbooks import Airplane, CallOptions, ConfigurationError, Headers, Response, RetryPolicy
from airplane_runbooks.http import CallState, ClientRequest, Fields, Reply
from airplane_runbooks.models import GetRun
from airplane_runbooks.operations import GET_RUN
from airplane_runbooks.options import render
from airplane_runbooks.testing import FakeTransport

BREAKOUTS = [
    "a\r\nX-Evil: 1",
    "a\nb",
    "a\rb",
    "nul\0",
    "\x1b[31m",
    "del\x7f",
    "naïve",
    "smile \N{GRINNING FACE}",
    "\ud800",
    "\x85",
    "\u2028",
]
BAD_NAMES = ["", " ", "a b", "a:b", "a\n", "naïve", "a(b)", "X-\N{KELVIN SIGN}ey", "\ud800"]
RESERVED = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "X-Airplane-API-Key", "x-airplane-api-key"]


def request(**headers: str) -> ClientRequest:
    call = CallState(started=0.0, deadline=None, attempt_timeout=None, retry=RetryPolicy())
    return ClientRequest(
        method="GET",
        origin="https://h",
        target="/v0/runs/get?id=r",
        headers=Headers(headers),
        body=None,
        call=call,
        operation="runs.get",
    )


def test_names_are_found_in_any_case():
    headers = Headers({"Content-Type": "text/plain", "X-A": "1"})

    assert headers["content-type"] == headers["CONTENT-TYPE"] == "text/plain"
    assert "x-a" in headers
    assert "X-A" in headers
    assert 1 not in headers
    assert headers.get("x-b") is None
    assert list(headers) == ["content-type", "x-a"]
    assert len(headers) == 2
    with pytest.raises(KeyError):
        headers["x-b"]


def test_headers_that_differ_in_case_only_are_equal():
    assert Headers({"X-A": "1"}) == Headers({"x-a": "1"})
    assert hash(Headers({"X-A": "1"})) == hash(Headers({"x-a": "1"}))
    assert Headers({"X-A": "1"}) != Headers({"X-A": "2"})
    assert Headers() == Headers({}) == {}


def test_headers_cannot_be_changed():
    headers = Headers({"X-A": "1"})

    with pytest.raises(TypeError):
        headers["x-a"] = "2"
    with pytest.raises(TypeError):
        del headers["x-a"]
    with pytest.raises(AttributeError):
        headers.more = 1


def test_headers_do_not_follow_the_dict_they_were_made_from():
    items = {"X-A": "1"}
    headers = Headers(items)
    items["X-A"] = "2"

    assert headers["x-a"] == "1"


def test_a_copy_with_another_header_leaves_the_first_as_it_was():
    headers = Headers({"X-A": "1", "X-B": "2"})

    assert headers.with_header("x-a", "3") == {"x-a": "3", "x-b": "2"}
    assert headers.merged({"x-c": "4"}) == {"x-a": "1", "x-b": "2", "x-c": "4"}
    assert headers == {"x-a": "1", "x-b": "2"}


def test_headers_taken_over_from_a_dict_are_that_dict():
    items = {"x-a": "1"}

    assert Headers.of(items).raw() is items
    assert Headers.of(items) == Headers({"X-A": "1"})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_headers_pickle_and_copy(protocol):
    headers = Headers({"X-A": "1"})

    assert pickle.loads(pickle.dumps(headers, protocol)) == copy.copy(headers) == copy.deepcopy(headers) == headers


def test_a_copy_of_fields_hides_its_values_too():
    copied = Fields({"authorization": "Bearer secret"}).copy()
    assert repr(copied) == "<headers authorization>"
    assert copied == {"authorization": "Bearer secret"}


def test_the_repr_shows_harmless_values_only():
    shown = repr(
        Headers(
            {"Content-Type": "text/plain", "X-Airplane-API-Key": "tkn_secret", "Cookie": "c=1", "Authorization": "b"}
        )
    )

    assert shown == "<Headers content-type: text/plain, x-airplane-api-key: ***, cookie: ***, authorization: ***>"


def test_requests_and_responses_show_no_headers_and_no_bodies():
    response = Response(status=201, headers=Headers({"Set-Cookie": "secret"}), body=b"secret")

    assert repr(request(cookie="secret")) == "<Request GET https://h/v0/runs/get?id=r attempt=1>"
    assert repr(request().call) == "<CallState attempts=0>"
    assert repr(response) == "<Response 201, 6 bytes>"
    assert "secret" not in repr(
        Reply(data=None, response=response, request_id=None, attempts=1, elapsed=0.1, idempotency_key=None)
    )


@pytest.mark.parametrize(("status", "is_success"), [(199, False), (200, True), (299, True), (300, False)])
def test_a_response_is_a_success_from_200_to_299(status, is_success):
    assert Response(status=status, headers=Headers(), body=b"").is_success is is_success


def test_a_request_is_copied_with_its_next_header_or_attempt():
    first = request(a="1")

    assert first.with_header("X-B", "2\t~ !").headers == {"a": "1", "x-b": "2\t~ !"}
    assert first.next_attempt().attempt == 2
    assert (first.headers, first.attempt) == ({"a": "1"}, 1)
    for twin in (first.with_header("x", "y"), first.next_attempt(), first.with_headers(first.headers)):
        assert (twin.method, twin.url, twin.body, twin.operation) == ("GET", first.url, None, "runs.get")
        assert twin.call is first.call
    with pytest.raises(AttributeError, match="immutable"):
        first.method = "POST"


def test_a_later_attempt_keeps_its_number_when_it_gets_a_header():
    assert request().next_attempt().with_header("x", "y").attempt == 2


@pytest.mark.parametrize("value", BREAKOUTS)
def test_a_request_takes_no_value_that_could_break_out(value):
    with pytest.raises(ValueError, match="header 'x-a' has a character") as refused:
        request().with_header("x-a", value)

    shown = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    assert value not in shown.partition("with_header\n")[2]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_request_takes_no_name_that_is_no_token(name):
    with pytest.raises(ValueError, match="has a character that headers cannot carry"):
        request().with_header(name, "1")


@pytest.mark.parametrize("value", BREAKOUTS)
@pytest.mark.parametrize("option", ["headers", "env_slug", "env_id", "idempotency_key"])
def test_no_option_can_break_out_of_its_header(value, option):
    options = CallOptions(**{option: {"X-A": value} if option == "headers" else value})

    with pytest.raises(ConfigurationError, match="has a character that headers cannot carry") as refused:
        render(options, "agent")

    assert value not in str(refused.value)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_options_take_no_header_name_that_is_no_token(name):
    with pytest.raises(ConfigurationError, match="cannot name a header"):
        render(CallOptions(headers={name: "1"}), "agent")


@pytest.mark.parametrize("value", [1, None, b"1"])
def test_options_take_no_header_value_that_is_no_text(value):
    with pytest.raises(ConfigurationError, match="the value of header 'x-a'"):
        render(CallOptions(headers={"X-A": value}), "agent")


@pytest.mark.parametrize("name", RESERVED)
def test_framing_headers_and_credentials_are_reserved(name):
    with pytest.raises(ConfigurationError, match=f"'{name.lower()}' is set by the library"):
        render(CallOptions(headers={name: "1"}), "agent")


@pytest.mark.parametrize("options", [{"headers": {"Host": "evil"}}, {"headers": {"a": "b\n"}}, {"env_slug": "a\n"}])
def test_a_client_refuses_such_options_before_anything_is_sent(options):
    transport = FakeTransport([])

    with pytest.raises(ConfigurationError):
        Airplane("tkn_1", transport=transport, **options)
    with Airplane("tkn_1", transport=transport) as airplane, pytest.raises(ConfigurationError):
        airplane.call(GET_RUN, GetRun(id="run1"), options=CallOptions(**options))
    assert transport.requests == []
