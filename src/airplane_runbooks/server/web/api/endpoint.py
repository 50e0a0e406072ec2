"""The API as an ASGI application: keys, limits, idempotency and errors around the handlers.

The event loop only moves bytes. Everything else, decompression and JSON included, happens on a small pool of threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import (
    ApiError,
    InternalError,
    Invalid,
    Unauthorized,
)
from ...logs import describe
from ...service.identity import User, Users
from ...service.lifecycle import Lifecycle
from ...service.services import Caller
from ...storage.idempotency import StoredReply
from ...storage.ids import new_seed
from ..body import BodyReader, decompress
from ..failed_logins import FailedLoginLimiter
from ..limits import Limits
from ..threads import RequestThreads
from .generated_clients import is_generated_client, with_string_values
from .handlers import Call, Handler
from .query import read_query

logger = logging.getLogger(__name__)

KEY_HEADER = "idempotency-key"
LONGEST_KEY = 255  # characters
API_KEY_HEADERS = ("x-airplane-api-key", "x-airplane-token")
KNOWN = "airplane_runbooks.known"  # in a scope: what to call once its connection has shown a key

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_CHALLENGE = 'ApiKey realm="runbooks", header="X-Airplane-API-Key"'


class RequireKey:
    """Let nobody past without an API key, whatever they ask for, and before a byte of the body is read."""

    def __init__(self, app: ASGIApp, users: Users, guesses: FailedLoginLimiter) -> None:
        self._app = app
        self._users = users
        self._guesses = guesses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with the user in its scope. Raises Unauthorized."""
        if scope["type"] == "http":
            shown = keys_of(Request(scope))
            user = next(filter(None, map(self._users.find, shown)), None)
            if user is None:
                raise self._refusal(scope, shown)
            mark_known(scope)
            scope = {**scope, "user": user}
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, shown: Sequence[str]) -> Exception:
        if not shown:
            return Unauthorized("unauthorized", "a valid API key is required")
        address = address_of(scope)
        refusal = self._guesses.refusal(shown[0], address)
        if isinstance(refusal, Unauthorized):  # those beyond are only counted
            logger.warning("a wrong API key from %s", ascii(address))
        return refusal


def keys_of(request: Request) -> Sequence[str]:
    """Return the API keys that a request shows."""
    return [key for name in API_KEY_HEADERS if (key := request.headers.get(name))]


def address_of(scope: Scope) -> str:
    """Return where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def mark_known(scope: Scope) -> None:
    """Say that a request has shown a key: its connection is worth more than those of strangers."""
    if mark := scope.get(KNOWN):
        mark()


class Api:
    """Answers calls by means of handlers. Safe for any number of calls at a time, up to its limits."""

    def __init__(self, lifecycle: Lifecycle, limits: Limits, threads: RequestThreads, bodies: BodyReader) -> None:
        self._lifecycle = lifecycle
        self._services = lifecycle.services
        self._limits = limits
        self._threads = threads
        self._bodies = bodies

    def endpoint(self, method: str, path: str, handler: Handler) -> Callable[[Request], object]:
        """Return the Starlette endpoint of an operation."""

        async def endpoint(request: Request) -> Response:
            user = request.scope["user"]
            try:
                reads = request.method == "POST"
                body = await self._bodies.read(request, self._limits.max_body, user.id) if reads else b""
            except ClientDisconnect:
                return Response(status_code=400)  # to nobody
            with self._threads.admit():
                call = Call(read_query(request.scope["query_string"]), request.headers, body, Caller(user, new_seed()))
                return respond(request, await self._threads.run(self._traced, method, path, handler, call))

        return endpoint

    def _traced(self, method: str, path: str, handler: Handler, call: Call) -> StoredReply:
        with self._services.emitter.request(method, path, call.headers) as exchange:
            try:
                reply = self._answer(method, path, handler, call)
            except ApiError as problem:
                exchange.answered(problem.status)
                raise
            exchange.answered(reply.status)
            return reply

    def _answer(self, method: str, path: str, handler: Handler, call: Call) -> StoredReply:
        try:
            self._lifecycle.open()
            body = decompress(call.body, call.headers.get("content-encoding", ""), self._limits.max_body)
            call = call._replace(body=body)
            key = call.headers.get(KEY_HEADER) if method == "POST" else None
            reply = self._handle_once(path, handler, call, key) if key else self._handle(handler, call)
            return with_string_values(reply) if is_generated_client(call.headers) else reply
        except ApiError:
            raise
        except Exception as problem:  # noqa: BLE001 - the caller learns that it was not their fault, and no more
            logger.error("%s %s: %s", method, path, describe(problem))  # noqa: TRY400 - see describe
            raise InternalError("internal_error", "the server failed to answer") from None

    def _handle(self, handler: Handler, call: Call) -> StoredReply:
        return StoredReply(200, msgspec.json.encode(handler(self._services, call)))

    def _handle_once(self, path: str, handler: Handler, call: Call, key: str) -> StoredReply:
        """Claim the key first: of two calls with one key, however close, only one gets as far as the handler.

        A call that has failed half-way keeps its claim, so that whoever repeats it makes the same IDs.
        """
        if len(key) > LONGEST_KEY:
            raise Invalid("invalid_idempotency_key", f"an idempotency key has at most {LONGEST_KEY} characters")
        user, unkeyed = call.caller.user, _fingerprint(path, call)
        fingerprint, *others = *self._services.vault.digests("call", unkeyed), unkeyed
        former_key, key = f"{_former_owner(user)}:{key}", f"{user.id}:{key}"
        claim = self._services.keys.claim(key, fingerprint, former_key=former_key, other_fingerprints=others)
        if claim.reply is not None:
            return claim.reply
        caller = msgspec.structs.replace(call.caller, seed=claim.seed)
        try:
            reply = self._handle(handler, call._replace(caller=caller))
        except ApiError as problem:
            if problem.status < 500:
                self._services.keys.settle(key, None)
            raise
        self._services.keys.settle(key, reply)
        return reply


def _former_owner(user: User) -> str:
    """Return what the keys began with in databases of version 1: a weak API key could be guessed from it."""
    return user.digest.hex()[:16]


def _fingerprint(path: str, call: Call) -> bytes:
    """Digest what makes two calls the same: the operation, what may choose the environment, and the body."""
    chosen = (call.query.get("envSlug"), *map(call.headers.get, ("x-airplane-env-slug", "x-airplane-env-id")))
    return sha256(msgspec.json.encode([path, chosen]) + call.body).digest()


def error_reply(status: int, code: str, message: str) -> StoredReply:
    """Write an error as the API does."""
    text = message.encode(errors="replace").decode()
    return StoredReply(status, msgspec.json.encode({"error": text, "code": code}))


def respond(request: Request, reply: StoredReply, headers: Mapping[str, str] | None = None) -> Response:
    """Send a reply, with the idempotency key of a POST as its echo."""
    response = Response(reply.body, reply.status, {**_HEADERS, **(headers or {})}, "application/json")
    response.headers["Vary"] = "User-Agent"  # see `generated_clients`
    if request.method == "POST" and (key := request.headers.get(KEY_HEADER)):
        response.headers[KEY_HEADER] = key
    return response


def refuse(request: Request, problem: Exception) -> Response:
    """Send the refusal of a call, and say whether trying again makes sense."""
    if not isinstance(problem, ApiError):
        raise problem
    # without a key, what the server may have carried out before it failed would be done again
    uncertain = problem.status >= 500 and request.method == "POST" and not request.headers.get(KEY_HEADER)
    headers = {"X-Airplane-Retryable": "true" if problem.retryable and not uncertain else "false"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    return respond(request, error_reply(problem.status, problem.code, problem.message), headers)
