"""A double of a server that applies `Prefer: wait`."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from ..http import Request, Response
from .doubles import FakeClock, Handler, Outcome

_WAIT = re.compile(r"\bwait=(\d+)")
_STEP = 0.25  # seconds between two looks at the handler's state
_AT_REST = frozenset({"Waiting", "Succeeded", "Failed", "Cancelled"})


def long_polled(handler: Handler, clock: FakeClock) -> Handler:
    """Return a handler that answers as a server does that applies `Prefer: wait`, for a FakeTransport.

    A request with this header is answered once the object has ended or waits for a human, or differs from the one that
    `If-None-Match` names. Until then, `clock` moves on and `handler`, which answers for the present time, is asked
    again. If nothing has changed when the seconds are over, the answer is 304 to a request with `If-None-Match`, else
    the present state. All answers carry an `ETag`.
    """

    def answer(request: Request) -> Outcome:
        found = _WAIT.search(request.headers.get("prefer", ""))
        known = request.headers.get("if-none-match")
        seconds = int(found[1]) if found else 0
        end = clock.now() + seconds
        while True:
            outcome = handler(request)
            if not isinstance(outcome, Response) or not outcome.is_success or request.method != "GET":
                return outcome
            etag = f'"{hashlib.sha256(outcome.body).hexdigest()[:16]}"'
            is_news = etag != known if known else _is_at_rest(msgspec.json.decode(outcome.body))
            if is_news or clock.now() >= end:
                return _labelled(outcome, etag, seconds, is_known=etag == known)
            clock.advance(_STEP)

    return answer


def _is_at_rest(found: dict[str, Any]) -> bool:
    """Tell whether an object has ended or waits for a human, as every prompt does that is open."""
    return found.get("status") in _AT_REST or "prompt" in found or found.get("isWaitingForUser") is True


def _labelled(response: Response, etag: str, seconds: int, *, is_known: bool) -> Response:
    headers = response.headers.with_header("etag", etag)
    if seconds:
        headers = headers.with_header("preference-applied", f"wait={seconds}")
    if is_known:
        return msgspec.structs.replace(response, status=304, headers=headers, body=b"")
    return msgspec.structs.replace(response, headers=headers)
