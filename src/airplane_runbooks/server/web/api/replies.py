"""Replies of the API: JSON, for results and errors alike."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ...errors import ApiError, UnsupportedEncoding
from ...storage.idempotency import StoredReply

IDEMPOTENCY_KEY = "idempotency-key"

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "User-Agent",  # see `generated_clients`
}
_CHALLENGE = 'ApiKey realm="runbooks", header="X-Airplane-API-Key"'


def error_reply(status: int, code: str, message: str) -> StoredReply:
    """Return an error's status and JSON."""
    text = message.encode(errors="replace").decode()
    return StoredReply(status, msgspec.json.encode({"error": text, "code": code}))


def json_response(request: Request, reply: StoredReply, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response of a reply; it repeats the idempotency key of a POST."""
    response = Response(reply.body, reply.status, {**HEADERS, **(headers or {})}, "application/json")
    if request.method == "POST" and (key := request.headers.get(IDEMPOTENCY_KEY)):
        response.headers[IDEMPOTENCY_KEY] = key
    return response


def error_response(request: Request, problem: Exception) -> Response:
    """Return the response of an ApiError; it says whether a retry makes sense. Raises any other exception again."""
    if not isinstance(problem, ApiError):
        raise problem
    # without a key, a retry would repeat anything that the server carried out before it failed
    uncertain = problem.status >= 500 and request.method == "POST" and not request.headers.get(IDEMPOTENCY_KEY)
    headers = {"X-Airplane-Retryable": "true" if problem.retryable and not uncertain else "false"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if isinstance(problem, UnsupportedEncoding):
        headers["Accept-Encoding"] = "gzip"  # of requests: RFC 9110, section 15.5.16
    return json_response(request, error_reply(problem.status, problem.code, problem.message), headers)
