"""Verification of messages: the receiver's side."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping

import msgspec

from ..errors import ConfigurationError
from ..models.base import decoder_of
from .events import WebhookEvent
from .problems import InvalidWebhook, WebhookProblem
from .signing import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    VERSION,
    Secrets,
    SigningKeys,
)

DEFAULT_TOLERANCE = 300.0

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_LONGEST_ID = 256  # characters
_MOST_SIGNATURES = 20  # that are looked at


def verify(
    body: bytes, headers: Mapping[str, str], secret: Secrets, *, tolerance: float = DEFAULT_TOLERANCE
) -> WebhookEvent:
    """Return the event in a message, after having made sure that it comes from a server that has the secret.

    A message may arrive more than once, so ignore it if you have dealt with one of the same `id`.

    Args:
        body: The body of the request, as it came: bytes, and not what they were parsed to.
        headers: The headers of the request. The case of their names does not matter.
        secret: The secret, `whsec_...`, or several while one replaces another.
        tolerance: Seconds by which the clocks may differ. An older message is refused, as it may have been recorded.

    Raises:
        InvalidWebhook: The message must not be believed; its `problem` says why.
        ConfigurationError: A secret is malformed, or `tolerance` is not zero or more.
    """
    try:
        keys = SigningKeys(secret)
    finally:
        del secret  # a traceback that shows local variables must not show it
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"body is the body of the request in bytes, as it came, not {type(body).__name__}")
    if not tolerance >= 0:
        raise ConfigurationError(f"tolerance must be zero or more seconds, not {tolerance!r}")
    content = bytes(body)
    names = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = _message_id(names), _timestamp(names)
    _check_signature(keys, message_id, timestamp, content, _header(names, SIGNATURE_HEADER))
    _check_age(timestamp, time.time(), tolerance)
    try:
        event: WebhookEvent = decoder_of(WebhookEvent).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidWebhook(
            WebhookProblem.INVALID_BODY, f"the message is genuine, but it is not an event: {problem}"
        ) from None
    return msgspec.structs.replace(event, id=message_id)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise InvalidWebhook(WebhookProblem.MISSING_HEADER, f"the request has no header {name}")
    return value


def _message_id(headers: Mapping[str, str]) -> str:
    message_id = _header(headers, ID_HEADER)
    if len(message_id) > _LONGEST_ID or not (message_id.isascii() and message_id.isprintable()):
        text = f"the header {ID_HEADER} has more than {_LONGEST_ID} characters, or others than ASCII"
        raise InvalidWebhook(WebhookProblem.INVALID_HEADER, text)
    return message_id


def _timestamp(headers: Mapping[str, str]) -> int:
    text = _header(headers, TIMESTAMP_HEADER)
    if not _SECONDS.fullmatch(text):
        raise InvalidWebhook(
            WebhookProblem.INVALID_HEADER, f"the header {TIMESTAMP_HEADER} does not hold whole seconds since 1970"
        )
    return int(text)


def _check_signature(keys: SigningKeys, message_id: str, timestamp: int, body: bytes, given: str) -> None:
    """Raise InvalidWebhook unless one of the signatures is by one of the keys. All of them are compared."""
    pairs = [text.partition(",") for text in given.split(" ")[:_MOST_SIGNATURES]]
    candidates = [value.encode(errors="replace") for version, _, value in pairs if version == VERSION]
    matches = [
        hmac.compare_digest(expected, candidate)
        for expected in keys.signatures(message_id, timestamp, body)
        for candidate in candidates
    ]
    if not any(matches):
        why = (
            "no signature was made with this secret, or the body was changed on its way"
            if candidates
            else f"the header {SIGNATURE_HEADER} has no signature of version {VERSION}"
        )
        raise InvalidWebhook(WebhookProblem.WRONG_SIGNATURE, why)


def _check_age(timestamp: int, now: float, tolerance: float) -> None:
    age = now - timestamp
    if age > tolerance:
        raise InvalidWebhook(
            WebhookProblem.TOO_OLD, f"the message was sent {age:.0f} seconds ago, and {tolerance:g} are allowed"
        )
    if age < -tolerance:
        raise InvalidWebhook(
            WebhookProblem.TOO_NEW,
            f"the message was sent {-age:.0f} seconds in the future, and {tolerance:g} are allowed: compare the clocks",
        )
