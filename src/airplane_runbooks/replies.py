"""Reading what a response says about itself: errors, waits, IDs. Never raises, whatever a server sends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

import msgspec

from .errors import APIError, error_class
from .http import Headers, Response

_MAX_MESSAGE = 2000


def status_error(response: Response) -> APIError:
    """Build the typed error of a response that is not 2xx. Bodies of any shape are read as far as they go."""
    message, code = read_error(response.body)
    return error_class(response.status)(
        response.status,
        message or _generic_message(response),
        code=code,
        request_id=request_id(response.headers),
        retry_after=retry_after(response.headers, wall=None),
        headers=response.headers,
        body=response.body,
    )


def read_error(body: bytes) -> tuple[str | None, str | None]:
    """Return the message and the code of an error body `{"error": ..., "code": ...}`; empty ones count as none."""
    try:
        content: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None, None
    if not isinstance(content, dict):
        return None, None
    return _text(content.get("error")), _text(content.get("code"))


def _text(value: Any) -> str | None:
    return value[:_MAX_MESSAGE] if isinstance(value, str) and value else None


def _generic_message(response: Response) -> str:
    if 300 <= response.status < 400:
        return "the server answered with a redirect, which is never followed"
    return "the server gave no reason"


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's ID of the request, from `X-Request-ID`."""
    return headers.get("x-request-id") or None


def retry_after(headers: Mapping[str, str], wall: float | None) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, section 10.2.3), zero or more; None if there is none.

    A date is counted from `wall`, seconds since the epoch; None stands for the system's clock.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value) if value.isascii() and "_" not in value else math.nan
    except ValueError:
        seconds = _seconds_until(value, wall)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str, wall: float | None) -> float:
    from email.utils import parsedate_to_datetime  # slow to import, and rarely wanted

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.timestamp() - (time.time() if wall is None else wall)


def is_transient(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a response other than 2xx may turn out better another time: by the server's own word, or by our table."""
    word = headers.get("x-airplane-retryable", "").lower()
    if word in ("true", "false"):
        return word == "true"
    return status == 429 or (status >= 500 and status != 501)


def redacted(response: Response, redact: Callable[[bytes], bytes]) -> Response:
    """Return the response without the API key, for a server that echoes what it was sent."""
    headers = {
        name: redact(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        for name, value in response.headers.items()
    }
    return msgspec.structs.replace(response, headers=Headers.of(headers), body=redact(response.body))
