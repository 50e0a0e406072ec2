"""Error bodies, request IDs and waits, by example."""

from __future__ import annotations

import json
import pickle
import time

import pytest

from airplane_runbooks import (
    AirplaneError,
    APIError,
    BadRequest,
    Conflict,
    Forbidden,
    Headers,
    Locked,
    NotFound,
    RateLimited,
    Response,
    ServerError,
    Unauthorized,
)
from airplane_runbooks._responses.reading import (
    applied_wait,
    read_error,
    request_id,
    retry_after,
    status_error,
)
from airplane_runbooks.errors import error_class

# The moment of RFC 9110's own example, which it writes in three ways.
EXAMPLE = 784111777.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("-5", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 10),
        ("Sun Nov  6 08:49:37 1994", 10),
        ("Sun, 06 Nov 1994 08:49:27 GMT", 0),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 10),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("9" * 5000, None),
        ("1_000", None),
        ("٣", None),
        ("0x10", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(Headers({"Retry-After": value}), wall=EXAMPLE - 10) == seconds


def test_without_the_header_there_is_no_wait():
    assert retry_after({}, wall=EXAMPLE) is None


def test_without_a_clock_the_systems_is_asked(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: EXAMPLE - 3)

    assert retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, wall=None) == 3


BY_STATUS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    423: Locked,
    429: RateLimited,
}


def test_every_status_has_its_class():
    for status in range(100, 1000):
        error = status_error(Response(status=status, headers=Headers(), body=b""))

        assert type(error) is error_class(status) is BY_STATUS.get(status, ServerError if status >= 500 else APIError)
        assert error.status == status
        assert error.maybe_processed is (status >= 500)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":"No such runbook","code":"not_found"}', "No such runbook", "not_found"),
        (b'{"error":"No such runbook","code":""}', "No such runbook", None),
        (b'{"error":"No such runbook"}', "No such runbook", None),
        (b'{"error":"","code":"busy"}', None, "busy"),
        (b'{"error":{"message":"nested"},"code":7}', "nested", None),
        (b'{"error":{"message":"nested","code":"deep"}}', "nested", "deep"),
        (b'{"error":true,"message":"from a gateway"}', "from a gateway", None),
        (b'{"message":"from a gateway","code":"down"}', "from a gateway", "down"),
        (b'{"type":"about:blank","title":"Down","detail":"for maintenance"}', "for maintenance", None),
        (b'{"detail":[{"loc":["body","slug"],"msg":"field required"}]}', "field required", None),
        (b'{"errors":[{},{"title":"Bad"}]}', "Bad", None),
        (b'["error"]', "error", None),
        (b'"error"', "error", None),
        (b'[[[[["too deep to be one"]]]]]', '[[[[["too deep to be one"]]]]]', None),
        (b'{"why": "unknown", "a": 1}', '{"why": "unknown", "a": 1}', None),
        (b'{"error":"","why":null}', None, None),
        (b"{}", None, None),
        (b"7", None, None),
        (b"null", None, None),
        (b"", None, None),
        (b"  \r\n", None, None),
        (b"upstream connect error\n or disconnect", "upstream connect error or disconnect", None),
        (b"1 < 2 > 1 <> 3", "1 < 2 > 1 <> 3", None),
        (b"caf\xc3\xa9", "caf\xe9", None),
        (b"<html>", None, None),
        (
            (
                b"<html><head><title>502</title><style>p > b {}</style><SCRIPT src='x'>if (1 < 2) {}</SCRIPT></head>"
                b"<body><!-- none --><center>Bad&nbsp;Gateway</center></body></html>"
            ),
            "502 Bad Gateway",
            None,
        ),
        (b"\xff\xfe", None, None),
        (b'{"error":"\\ud800"}', '{"error":"\\ud800"}', None),
        (b"[" * 100_000, None, None),
        (b'{"error":9' + b"9" * 10_000 + b"}", '{"error":' + "9" * 191 + "...", None),
        (b"long " * 100, ("long " * 40).strip() + "...", None),
        (b'{"error":"' + b"m" * 5000 + b'","code":"' + b"c" * 5000 + b'"}', "m" * 2000, "c" * 2000),
    ],
)
def test_an_error_body_is_read_as_far_as_it_goes(body, message, code):
    assert read_error(body) == (message, code)


def test_an_error_carries_what_the_response_said():
    headers = Headers({"X-Request-ID": "req1", "Retry-After": "3"})
    body = b'{"error":"Try later","code":"busy"}'

    error = status_error(Response(status=429, headers=headers, body=body))

    assert str(error) == "429: Try later [busy]"
    assert (error.message, error.code, error.request_id, error.retry_after) == ("Try later", "busy", "req1", 3)
    assert (error.headers, error.body) == (headers, body)


def test_control_characters_are_shown_escaped():
    text = "a\x1b[31m\nb\x9b\x7f\u202ec\u2028\u00e9"
    error = status_error(Response(status=500, headers=Headers(), body=json.dumps({"error": text}).encode()))

    assert str(error) == r"500: a\x1b[31m\nb\x9b\x7f\u202ec\u2028" + "\u00e9"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.message == text


def test_half_a_surrogate_pair_can_be_written_out():
    assert str(AirplaneError("a\ud800")).encode() == rb"a\ud800"


def test_an_error_without_a_message_gets_a_generic_one():
    assert str(status_error(Response(status=502, headers=Headers(), body=b""))) == "502: the server gave no reason"


@pytest.mark.parametrize("status", [300, 301, 399])
def test_a_redirect_says_that_it_is_not_followed(status):
    assert "never followed" in str(status_error(Response(status=status, headers=Headers(), body=b"")))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://sso.example.com/login?token=s3cret#there", ": https://sso.example.com/login"),
        ("https://user:s3cret@sso.example.com:8443/login", ": https://sso.example.com:8443/login"),
        ("/v1/runs/get?id=run1", ": /v1/runs/get"),
        ("/" + "x" * 500, ": /" + "x" * 199),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_a_redirect_says_where_it_leads_without_secrets(location, target):
    error = status_error(Response(status=302, headers=Headers({"Location": location}), body=b""))
    assert str(error) == f"302: the server answered with a redirect, which is never followed{target}"


def test_an_unchanged_object_is_not_called_a_redirect():
    assert "nothing has changed" in str(status_error(Response(status=304, headers=Headers(), body=b"")))


@pytest.mark.parametrize(
    ("applied", "asked", "expected"),
    [
        ("wait=20", 20, 20),
        ("wait=5", 20, 5),
        ("wait=100", 20, 20),
        ("wait", 7, 7),
        ('respond-async, Wait = "3" , x', 20, 3),
        ("wait=20", None, None),
        ("wait=-1", 20, None),
        ("wait=1.5", 20, None),
        ("waiting", 20, None),
        ("", 20, None),
    ],
)
def test_an_applied_wait_comes_from_its_header(applied, asked, expected):
    assert applied_wait(Headers({"Preference-Applied": applied}), asked) == expected


@pytest.mark.parametrize(
    ("headers", "expected"), [({"X-Request-Id": "r1"}, "r1"), ({"X-Request-ID": ""}, None), ({}, None)]
)
def test_the_request_id_comes_from_its_header(headers, expected):
    assert request_id(Headers(headers)) == expected
