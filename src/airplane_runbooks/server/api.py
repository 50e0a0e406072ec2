"""The API as an ASGI application: keys, limits, idempotency and errors around the handlers.

The event loop only moves bytes. Everything else, decompression and JSON included, happens on a small pool of threads.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .backend import Backend, Origin
from .body import decompress, read
from .errors import Closing, Invalid, Refused, TooMany, Unauthorized
from .handlers import Call, Handler
from .ids import API_USER, new_seed
from .keys import Reply
from .limits import Limits
from .logs import describe

logger = logging.getLogger(__name__)

KEY_HEADER = "idempotency-key"
LONGEST_KEY = 255  # characters
_THREADS = 8


class RequireKey:
    """Let nobody past without the API key, whatever they ask for, and before a byte of the body is read."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on. Raises Unauthorized."""
        if scope["type"] == "http":
            headers = Request(scope).headers
            shown = (headers.get("x-airplane-api-key", ""), headers.get("x-airplane-token", ""))
            if not any(hmac.compare_digest(one.encode(), self._key) for one in shown):
                raise Unauthorized("unauthorized", "a valid API key is required")
        await self._app(scope, receive, send)


class Api:
    """Answers calls by means of handlers. Safe for any number of calls at a time, up to its limits."""

    def __init__(self, backend: Backend, limits: Limits, api_key: str) -> None:
        self._backend = backend
        self._limits = limits
        self._owner = sha256(api_key.encode()).hexdigest()[:16]  # idempotency keys of one API key are its own
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="runbook-api")
        self._calls = 0  # touched by the event loop only

    def close(self) -> None:
        """Answer no more calls."""
        self._threads.shutdown(wait=True)

    def endpoint(self, method: str, path: str, handler: Handler) -> Callable[[Request], object]:
        """Return the Starlette endpoint of an operation."""

        async def endpoint(request: Request) -> Response:
            if self._calls >= self._limits.max_calls:
                raise TooMany("too_many_requests", "the server is answering as many calls as it can")
            self._calls += 1
            try:
                body = await read(request, self._limits.max_body, self._limits.body_timeout)
                call = Call(request.query_params, request.headers, body, Origin(API_USER, new_seed()))
                return respond(request, await self._in_thread(method, path, handler, call))
            except ClientDisconnect:
                return Response(status_code=400)  # to nobody
            finally:
                self._calls -= 1

        return endpoint

    async def _in_thread(self, method: str, path: str, handler: Handler, call: Call) -> Reply:
        try:
            future = self._threads.submit(self._answer, method, path, handler, call)
        except RuntimeError:
            raise Closing("closing", "the server is closing") from None
        return await asyncio.wrap_future(future)

    def _answer(self, method: str, path: str, handler: Handler, call: Call) -> Reply:
        try:
            body = decompress(call.body, call.headers.get("content-encoding", ""), self._limits.max_body)
            call = call._replace(body=body)
            key = call.headers.get(KEY_HEADER) if method == "POST" else None
            if not key:
                return self._handle(handler, call)
            return self._handle_once(path, handler, call, key)
        except Refused:
            raise
        except Exception as problem:  # noqa: BLE001 - the caller learns that it was not their fault, and no more
            logger.error("%s %s: %s", method, path, describe(problem))  # noqa: TRY400 - see describe
            return error_reply(500, "internal_error", "the server failed to answer")

    def _handle(self, handler: Handler, call: Call) -> Reply:
        return Reply(200, msgspec.json.encode(handler(self._backend, call)))

    def _handle_once(self, path: str, handler: Handler, call: Call, key: str) -> Reply:
        """Claim the key first: of two calls with one key, however close, only one gets as far as the handler."""
        if len(key) > LONGEST_KEY:
            raise Invalid("invalid_idempotency_key", f"an idempotency key has at most {LONGEST_KEY} characters")
        key = f"{self._owner}:{key}"
        claim = self._backend.keys.claim(key, _fingerprint(path, call))
        if claim.reply is not None:
            return claim.reply
        kept = None
        try:
            origin = msgspec.structs.replace(call.origin, seed=claim.seed)
            reply = kept = self._handle(handler, call._replace(origin=origin))
        finally:
            self._backend.keys.settle(key, kept)
        return reply


def _fingerprint(path: str, call: Call) -> bytes:
    """Digest what makes two calls the same: the operation, what may choose the environment, and the body."""
    chosen = (call.query.get("envSlug"), *map(call.headers.get, ("x-airplane-env-slug", "x-airplane-env-id")))
    return sha256(msgspec.json.encode([path, chosen]) + call.body).digest()


def error_reply(status: int, code: str, message: str) -> Reply:
    """Write an error as the API does."""
    text = message.encode(errors="replace").decode()
    return Reply(status, msgspec.json.encode({"error": text, "code": code}))


def respond(request: Request, reply: Reply, headers: Mapping[str, str] | None = None) -> Response:
    """Send a reply, with the idempotency key of a POST as its echo."""
    response = Response(reply.body, reply.status, headers, "application/json")
    if request.method == "POST" and (key := request.headers.get(KEY_HEADER)):
        response.headers[KEY_HEADER] = key
    return response


def refuse(request: Request, problem: Exception) -> Response:
    """Send the refusal of a call, and say whether trying again makes sense."""
    if not isinstance(problem, Refused):
        raise problem
    headers = {"X-Airplane-Retryable": "true" if problem.retryable else "false"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return respond(request, error_reply(problem.status, problem.code, problem.message), headers)
