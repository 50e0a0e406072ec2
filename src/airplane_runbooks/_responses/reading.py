"""Reading errors, waits and IDs from responses. Nothing here raises: a server may send anything."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from ..errors import APIError, NotSupported, error_class
from ..http import Headers, Request, Response
from ..models.decoding import UNREADABLE, decode_any
from ..operations import Operation
from ..options import BaseURL

_MAX_MESSAGE = 2000
_MAX_EXCERPT = 200
_MAX_PAGE = 64 * 1024  # bytes of a page that are searched for text


def status_error(
    response: Response,
    operation: Operation[Any, Any] | None = None,
    base: BaseURL | None = None,
    sent: Iterable[Headers] = (),
) -> APIError:
    """Build the typed error of a response that is not 2xx, from as much of its body as can be read.

    With the operation, the base URL and the headers of the attempts, the error also says what may be wrong with these.
    """
    message, code = read_error(response.body)
    message = (message or _generic_message(response)) + _target(response)
    build, advice = error_class(response.status), None
    if operation is not None and base is not None and code in _CODES_OF_ROUTES:
        if not base.has_version and (response.status == 404 or _is_page(response)):
            advice = version_advice(base)
        elif operation.is_optional and response.status in _WITHOUT_ROUTE:
            build, advice = (
                NotSupported,
                f"this server does not have {operation.name}, which the API does not document",
            )
    if response.status == _UNSUPPORTED_MEDIA_TYPE and any("content-encoding" in headers for headers in sent):
        advice = "the request was compressed, which this server may not understand: leave out compress_from"
    return build(
        response.status,
        message,
        code=code,
        request_id=request_id(response.headers),
        retry_after=retry_after(response.headers, wall=None),
        headers=response.headers,
        body=response.body,
        advice=advice,
    )


_LONGEST_TARGET = 200
_UNSUPPORTED_MEDIA_TYPE = 415
_WITHOUT_ROUTE = (404, 405, 501)
_CODES_OF_ROUTES = (None, "route_not_found")  # any other code is about an object, or about its state


def version_advice(base: BaseURL) -> str:
    """Return the advice about a base URL without a version path."""
    return f"the base URL {base.url} has no version path; try {base.url}/v0"


def _is_page(response: Response) -> bool:
    """Tell whether a server that is up has answered with something else than the API's JSON."""
    return response.status < 500 and "json" not in response.headers.get("content-type", "").lower()


def read_error(body: bytes) -> tuple[str | None, str | None]:
    """Return the message and the code of an error body, each None if there is none.

    The API's own form is `{"error": ..., "code": ...}`. Proxies and gateways answer in other forms: problem details
    (RFC 9457), nested errors, lists of errors, HTML, plain text. The start of a body of unknown form is the message.
    """
    try:
        content = decode_any(body)
    except UNREADABLE:
        return _excerpt(_text_of_page(body)), None
    message, code = _message(content, _NESTING), _code(content)
    if message is None and code is None and isinstance(content, dict | list) and _says_anything(content):
        return _excerpt(body.decode("utf-8", "replace")), None
    return message, code


# Members that hold a message, the likeliest first: those of the API, of its predecessors, and of proxies.
_MESSAGES = ("error", "message", "error_description", "detail", "errors", "msg", "description", "reason", "title")
_NESTING = 4


def _message(content: Any, depth: int) -> str | None:
    """Return the first text that is a message, looking into nested errors and into lists of them."""
    if isinstance(content, str):
        return content[:_MAX_MESSAGE] or None
    if isinstance(content, dict):
        content = [content[name] for name in _MESSAGES if name in content]
    if not isinstance(content, list) or not depth:
        return None
    return next((message for item in content[:10] if (message := _message(item, depth - 1))), None)


def _code(content: Any) -> str | None:
    if not isinstance(content, dict):
        return None
    return _text(content.get("code")) or _code(content.get("error"))


def _says_anything(content: Any) -> bool:
    """Tell whether a list or object of unknown form has a member with a value."""
    return any(content.values() if isinstance(content, dict) else content)


def _text(value: Any) -> str | None:
    return value[:_MAX_MESSAGE] if isinstance(value, str) and value else None


def _text_of_page(body: bytes) -> str:
    """Return the visible text of a body in plain text or HTML."""
    shown, *pieces = body[:_MAX_PAGE].decode("utf-8", "replace").split("<")
    hidden = None
    for piece in pieces:
        tag, end, text = piece.partition(">")
        name = tag.partition(" ")[0].lower()
        if not end or not (name[:1].isalpha() or name[:1] in ("/", "!", "?")):
            text = "<" + piece  # such as "1 < 2"
        elif hidden is None and name in _UNSEEN:
            hidden = f"/{name}"
        elif name == hidden:
            hidden = None
        if hidden is None:
            shown += f" {text}"
    from html import unescape  # late: few servers answer with pages

    return unescape(shown)


_UNSEEN = frozenset({"script", "style"})


def _excerpt(text: str) -> str | None:
    """Return the start of a text; None if it has no letters or digits."""
    text = " ".join(text[:_MAX_PAGE].split())
    if not any(letter.isalnum() for letter in text):
        return None
    return text if len(text) <= _MAX_EXCERPT else text[:_MAX_EXCERPT].rstrip() + "..."


def _generic_message(response: Response) -> str:
    if response.status == 304:
        return "nothing has changed, so the server sent no data"
    if 300 <= response.status < 400:
        return "the server answered with a redirect, which is never followed"
    return "the server gave no reason"


def _target(response: Response) -> str:
    """Return where a redirect leads, without user info and query, which may hold secrets."""
    if not 300 <= response.status < 400:
        return ""
    try:
        parts = urlsplit(response.headers.get("location", ""))
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return ""
    return f": {place[:_LONGEST_TARGET]}" if place else ""


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


_APPLIED_WAIT = re.compile(r"""(?:^|,)\s*wait\s*(?:=\s*"?([0-9]{1,9})"?\s*)?(?:$|,)""", re.IGNORECASE)


def applied_wait(headers: Mapping[str, str], asked: int | None) -> int | None:
    """Return the seconds that the server waits at most by its `Preference-Applied`; None if it does not apply the wait.

    See RFC 7240, sections 3 and 4.3. `asked` are the seconds that the request allowed; None if it is not a long poll.
    """
    if asked is None or (found := _APPLIED_WAIT.search(headers.get("preference-applied", ""))) is None:
        return None
    return asked if found[1] is None else min(asked, int(found[1]))


def is_unchanged(request: Request, response: Response) -> bool:
    """Tell whether the response says that the state the request names is still the present one."""
    return response.status == 304 and "if-none-match" in request.headers


def is_transient(status: int, headers: Mapping[str, str]) -> bool:
    """Tell whether another attempt may succeed: by the server's own header, or else by the status."""
    retryable = headers.get("x-airplane-retryable", "").lower()
    if retryable in ("true", "false"):
        return retryable == "true"
    return status == 429 or (status >= 500 and status != 501)
