"""Verification of messages by their receivers."""

from __future__ import annotations

import base64
import copy
import pickle
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from airplane_runbooks import AirplaneError, ConfigurationError
from airplane_runbooks.models import Failure, SessionStatus
from airplane_runbooks.webhooks import EventType, InvalidWebhook, WebhookProblem, sign, verify
from airplane_runbooks.webhooks.signing import SigningKeys
from tests.support.tracebacks import traceback_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = (
    b'{"type":"prompt.opened","timestamp":"2026-11-28T07:00:00Z","data":{"session":{"id":"ses1",'
    b'"url":"https://runbooks.example/sessions/ses1","status":"Active","createdAt":"2026-11-28T08:00:00+02:00"},'
    b'"runbook":{"id":"rbk1","slug":"refund","name":"Refund"},'
    b'"prompt":{"id":"pmt1","description":"Refund it?","later":[1]}}}'
)


def signed(body: bytes = BODY, secret: str | list[str] = SECRET, age: float = 0) -> dict[str, str]:
    return dict(sign(body, secret, message_id="msg1", timestamp=int(time.time() - age)))


def refusal(body: bytes, headers: Mapping[str, str], secret: str | list[str] = SECRET) -> InvalidWebhook:
    with pytest.raises(InvalidWebhook) as caught:
        verify(body, headers, secret)
    return caught.value


def test_the_example_of_the_specification_has_the_same_signature():
    headers = sign(b'{"test": 2432232314}', SECRET, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1_614_265_330)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_genuine_message_is_an_event_with_its_objects():
    event = verify(BODY, {name.title(): value for name, value in signed().items()}, SECRET)

    assert (event.id, event.type) == ("msg1", EventType.PROMPT_OPENED)
    assert event.timestamp == datetime(2026, 11, 28, 7, tzinfo=UTC)
    assert event.data.session.status is SessionStatus.ACTIVE
    assert event.data.session.created_at == datetime(2026, 11, 28, 6, tzinfo=UTC)
    assert event.data.session.created_at.tzinfo is UTC
    assert (event.data.runbook.slug, event.data.error) == ("refund", None)
    assert event.data.prompt is not None
    assert event.data.prompt.description == "Refund it?"


def test_events_of_types_yet_unknown_can_be_read():
    body = (
        b'{"type":"session.renamed","timestamp":"2026-11-28T07:00:00Z",'
        b'"data":{"session":{"id":"ses1","status":"Failed"},"error":{"kind":"KeyError","message":"id"}}}'
    )
    event = verify(body, signed(body), SECRET)

    assert (str(event.type), event.type.is_known) == ("session.renamed", False)
    assert event.data.error == Failure(kind="KeyError", message="id")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_body_may_be_anything_that_holds_bytes(kind):
    assert verify(kind(BODY), signed(), SECRET).id == "msg1"


@pytest.mark.parametrize("body", [BODY.decode(), {}, None])
def test_a_body_that_was_parsed_or_decoded_is_refused_by_type(body):
    with pytest.raises(TypeError, match=type(body).__name__):
        verify(body, signed(), SECRET)


@pytest.mark.parametrize("secrets", [[SECRET, OTHER], [OTHER, SECRET], [OTHER]])
def test_secrets_rotate_without_a_message_being_refused(secrets):
    assert verify(BODY, signed(secret=[SECRET, OTHER]), secrets).id == "msg1"


def test_signatures_of_other_versions_are_passed_over():
    headers = signed()
    headers["webhook-signature"] = f"v1a,abc= {headers['webhook-signature']} v2"

    assert verify(BODY, headers, SECRET).id == "msg1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_named(name, value):
    headers = {**signed(), name: value}
    error = refusal(BODY, {key: text for key, text in headers.items() if text is not None})

    assert error.problem is WebhookProblem.MISSING_HEADER
    assert name in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "m" * 257),
        ("webhook-id", "msg\n1"),
        ("webhook-id", "msg\xe9"),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "\u0661"),
        ("webhook-timestamp", "1" * 13),
    ],
)
def test_a_malformed_header_is_named(name, value):
    error = refusal(BODY, {**signed(), name: value})

    assert error.problem is WebhookProblem.INVALID_HEADER
    assert name in str(error)
    assert value not in str(error)


@pytest.mark.parametrize("secret", [OTHER, [OTHER]])
def test_a_message_signed_by_another_secret_is_refused(secret):
    assert refusal(BODY, signed(), secret).problem is WebhookProblem.WRONG_SIGNATURE


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp"])
def test_a_message_that_was_changed_is_refused(part):
    headers = signed()
    body = BODY if part != "body" else BODY + b" "
    if part != "body":
        headers[part] = "msg2" if part == "webhook-id" else str(int(headers[part]) + 1)

    assert refusal(body, headers).problem is WebhookProblem.WRONG_SIGNATURE


@pytest.mark.parametrize("signature", ["v1", "v1,", "v2,abc=", "v1,\u20ac", ",", "abc", "v1,a b"])
def test_a_malformed_signature_is_refused(signature):
    assert refusal(BODY, {**signed(), "webhook-signature": signature}).problem is WebhookProblem.WRONG_SIGNATURE


@pytest.mark.parametrize(("age", "problem"), [(3600, WebhookProblem.TOO_OLD), (-3600, WebhookProblem.TOO_NEW)])
def test_a_message_of_another_time_is_refused_unless_tolerated(age, problem):
    headers = signed(age=age)

    assert refusal(BODY, headers).problem is problem
    assert verify(BODY, headers, SECRET, tolerance=7200).id == "msg1"


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"type":1}', b"[" * 100_000])
def test_a_genuine_message_that_holds_no_event_is_refused(body):
    assert refusal(body, signed(body)).problem is WebhookProblem.INVALID_BODY


@pytest.mark.parametrize("tolerance", [-1, float("nan")])
def test_a_tolerance_below_zero_is_refused(tolerance):
    with pytest.raises(ConfigurationError, match="tolerance"):
        verify(BODY, signed(), SECRET, tolerance=tolerance)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_abc", "whsec_AAAA", "whsec_\u20ac", "whsec_" + "A" * 88, None, [None], [], ["x", SECRET]],
)
def test_a_malformed_secret_is_refused(secret):
    with pytest.raises(ConfigurationError, match="secret"):
        verify(BODY, signed(), secret)


def test_a_secret_does_not_show_in_tracebacks_and_reprs():
    secret = "whsec_" + "c2VjcmV0" * 30
    with pytest.raises(ConfigurationError) as caught:
        verify(BODY, signed(), [secret])

    assert "c2VjcmV0" not in traceback_of(caught.value)
    assert repr(SigningKeys([SECRET, OTHER])) == "<SigningKeys>"


@pytest.mark.parametrize("journey", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_refusal_survives_copies_and_pickles(journey):
    error = refusal(BODY, {})
    twin = journey(error)

    assert isinstance(error, AirplaneError)
    assert (type(twin), twin.problem, str(twin)) == (InvalidWebhook, error.problem, str(error))
