"""Options: how they override one another, and their results."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from msgspec import UNSET

from airplane_runbooks import (
    NO_RETRY,
    Airplane,
    AsyncAirplane,
    CallOptions,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    Headers,
    Response,
    RetryPolicy,
)
from airplane_runbooks.options import DEFAULT_ATTEMPT_TIMEOUT, DEFAULT_TIMEOUT, render
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either

CLIENT = CallOptions(
    timeout=10,
    attempt_timeout=5,
    retry=NO_RETRY,
    headers={"x-a": "client", "x-b": "client"},
    idempotency_key="key-0",
    env_slug="prod",
)


def test_nothing_over_options_changes_nothing():
    assert CallOptions().over(CLIENT) is CLIENT
    assert render(CLIENT.over(CallOptions()), "agent") == render(CLIENT, "agent")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 1),
        ("timeout", None),
        ("attempt_timeout", 2),
        ("attempt_timeout", None),
        ("retry", RetryPolicy()),
        ("idempotency_key", "key-1"),
    ],
)
def test_set_options_take_precedence_and_others_are_inherited(name, value):
    merged = CallOptions(**{name: value}).over(CLIENT)

    assert getattr(merged, name) == value
    others = set(CallOptions.__struct_fields__) - {name, "env_slug", "env_id"}
    assert all(getattr(merged, other) == getattr(CLIENT, other) for other in others)
    assert render(merged, "agent").env_slug == "prod"


def test_headers_are_merged():
    merged = CallOptions(headers={"x-b": "call", "x-c": "call"}).over(CLIENT)

    assert merged.headers == {"x-a": "client", "x-b": "call", "x-c": "call"}
    assert CallOptions(headers={"x-c": "call"}).over(CallOptions()).headers == {"x-c": "call"}


@pytest.mark.parametrize(
    ("over", "slug", "id"),
    [
        (CallOptions(env_slug="stage"), "stage", None),
        (CallOptions(env_id="env2"), None, "env2"),
        (CallOptions(env_slug="stage", env_id="env2"), "stage", "env2"),
        (CallOptions(env_slug=None), None, None),
        (CallOptions(env_id=None), None, None),
        (CallOptions(timeout=1), "prod", "env1"),
    ],
)
def test_naming_an_environment_drops_both_names_of_the_one_below(over, slug, id):
    merged = render(over.over(CallOptions(env_slug="prod", env_id="env1")), "agent")

    assert merged.env_slug == slug
    for headers in (merged.get_headers, merged.post_headers):
        assert headers.get("x-airplane-env-slug") == slug
        assert headers.get("x-airplane-env-id") == id


def test_defaults_are_filled_in():
    rendered = render(CallOptions(), "agent/1")

    assert (rendered.timeout, rendered.attempt_timeout) == (DEFAULT_TIMEOUT, DEFAULT_ATTEMPT_TIMEOUT) == (60, 30)
    assert rendered.retry == RetryPolicy()
    assert rendered.idempotency_key is rendered.env_slug is None
    assert rendered.get_headers == {"user-agent": "agent/1", "accept": "application/json", "accept-encoding": "gzip"}
    assert rendered.post_headers == {**rendered.get_headers, "content-type": "application/json"}


def test_the_retry_policy_of_the_options_is_used():
    assert render(CallOptions(retry=NO_RETRY), "agent").retry is NO_RETRY


def test_a_caller_may_replace_the_headers_that_describe_it():
    rendered = render(CallOptions(headers={"User-Agent": "mine", "Accept-Encoding": "identity"}), "agent")

    assert rendered.get_headers["user-agent"] == "mine"
    assert rendered.post_headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (CallOptions(idempotency_key="a"), "a"),
        (CallOptions(headers={"Idempotency-Key": "b"}), "b"),
        (CallOptions(idempotency_key="a", headers={"Idempotency-Key": "b"}), "a"),
        (CallOptions(), None),
    ],
)
def test_an_idempotency_key_is_an_option_or_a_header(options, key):
    assert render(options, "agent").idempotency_key == key


@pytest.mark.parametrize("name", ["timeout", "attempt_timeout"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(1, 1.0), (0.001, 0.001), (None, None), (math.inf, None), (10**400, None), (1e300, None), (86400, 86400.0)],
)
def test_a_time_is_a_number_of_seconds_or_none(name, value, seconds):
    assert getattr(render(CallOptions(**{name: value}), "agent"), name) == seconds


@pytest.mark.parametrize("name", ["timeout", "attempt_timeout"])
@pytest.mark.parametrize("value", [0, -1, -0.0, math.nan, -math.inf, True, "5", b"5", [5], 1j])
def test_a_time_that_cannot_work_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"^{name} must be a positive number of seconds or None, not "):
        render(CallOptions(**{name: value}), "agent")


def test_options_without_headers_can_key_a_cache():
    assert hash(CallOptions(timeout=1, env_slug="a")) == hash(CallOptions(timeout=1, env_slug="a"))
    assert CallOptions(timeout=1) != CallOptions(timeout=2)


def test_options_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        CLIENT.timeout = 3
    assert CallOptions().timeout is UNSET


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry": 3}, "retry must be a RetryPolicy, such as NO_RETRY, not int"),
        ({"retry": None}, "retry must be a RetryPolicy, such as NO_RETRY, not NoneType"),
        ({"retry_budget": 3}, "retry_budget must be a RetryBudget or None, not int"),
        ({"headers": ["x-team"]}, "headers must be a mapping of names to values, not list"),
        ({"base_url": b"https://runbooks.example.com/v0"}, "base_url must be a string, not bytes"),
        ({"base_url": ""}, "base_url must be an absolute http or https URL"),
        ({"headers": {"Idempotency-Key": "one"}}, "an idempotency key cannot be that of all calls"),
    ],
    ids=str,
)
def test_options_of_a_wrong_type_are_refused_by_name(kind: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Either(kind, FakeTransport([]), **options)


@pytest.mark.parametrize("key", ["", " ", "\t"])
def test_an_idempotency_key_that_protects_nothing_is_refused(key):
    with pytest.raises(ConfigurationError, match="idempotency_key is empty"):
        render(CallOptions(idempotency_key=key), "agent")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("more", [{}, {"env_slug": "prod"}], ids=["alone", "with an environment"])
def test_options_of_a_call_are_call_options(kind: str, more: dict[str, Any]) -> None:
    client = Either(kind, FakeTransport([]))
    options: Any = {"timeout": 3}
    with pytest.raises(ConfigurationError, match="options must be CallOptions, not dict"):
        client(lambda airplane: airplane.runbooks.execute("refund", options=options, **more))


@pytest.mark.parametrize("make", [Airplane, AsyncAirplane])
def test_the_class_of_a_transport_is_not_a_transport(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"transport must be an object: FakeTransport\(\), not FakeTransport"):
        make("tkn_test", transport=FakeTransport)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_idempotency_key_is_not_an_option_of_a_clone(kind: str) -> None:
    client = Either(kind, FakeTransport([])).client
    with pytest.raises(ConfigurationError, match="pass idempotency_key in the options of each call"):
        client.with_options(headers={"idempotency-key": "one"})


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_retries_to_the_hosted_api_end_with_the_same_advice(kind: str) -> None:
    client = Either(kind, FakeTransport([ConnectError("no connection")] * 9), timeout=0.01, base_url=None)
    with pytest.raises(DeadlineExceeded, match="no connection; the hosted API is gone: pass base_url"):
        client(lambda airplane: airplane.runs.get("run1"))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("content_type", "hint"),
    [
        ("text/html; charset=utf-8", "; the server says that it is text/html"),
        ("application/problem+json", ""),
        ("", ""),
    ],
)
def test_a_reply_that_is_no_json_is_told_by_its_type(kind: str, content_type: str, hint: str) -> None:
    headers = Headers({"Content-Type": content_type} if content_type else {})
    page = Response(status=200, headers=headers, body=b"<html>Sign in</html>")
    with pytest.raises(DecodeError, match=rf"invalid character \(byte 0\){hint}$"):
        Either(kind, FakeTransport([page]))(lambda airplane: airplane.runs.get("run1"))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("base_url", [None, "https://runbooks.example.com/v0"])
def test_no_connection_to_the_hosted_api_says_that_it_is_gone(kind: str, base_url: str | None) -> None:
    client = Either(kind, FakeTransport([ConnectError("no connection")]), base_url=base_url, retry=NO_RETRY)
    with pytest.raises(ConnectError) as caught:
        client(lambda airplane: airplane.runs.get("run1"))
    assert ("the hosted API is gone: pass base_url" in str(caught.value)) is (base_url is None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
