"""Front end of the API: from a request to a handler's call, and from its result to JSON."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ...errors import ApiError, Invalid
from ...service.idempotency import answer_once
from ...service.identity import User
from ...service.services import Caller, Services
from ...storage.idempotency import StoredReply
from ...storage.ids import new_seed
from ..body import decompress
from ..callers import Identity
from ..scope import USER
from .generated_clients import is_generated_client, with_string_values
from .handlers import Call, Handler
from .query import read_query
from .replies import IDEMPOTENCY_KEY, error_response, json_response

LONGEST_KEY = 255  # characters


class KeyFrontEnd:
    """Base of the operations of the API. Their callers have been recognized by `RequireApiKey`."""

    verifies_before_body = False

    def identify(self, request: Request) -> Identity:
        """Return the owner of the API key."""
        return Identity(request.scope[USER])

    def check(self, request: Request, caller: Identity) -> None:
        """Let every call pass: `RequireApiKey` has refused the others."""

    def verify(self, caller: Identity) -> Identity:
        """Return the caller: an API key cannot be signed out."""
        return caller

    def render_error(self, request: Request, caller: Identity, problem: ApiError) -> Response:  # noqa: ARG002 - a front end
        """Return an error as JSON."""
        return error_response(request, problem)


class ApiFrontEnd(KeyFrontEnd):
    """One operation of the API."""

    def __init__(self, services: Services, path: str, handler: Handler, max_body: int) -> None:
        self.route = path
        self._services = services
        self._handler = handler
        self._max_body = max_body

    def call(self, request: Request, caller: Identity, body: bytes) -> Response:  # noqa: ARG002 - a front end
        """Carry out an operation; with an idempotency key, once."""
        user: User = request.scope[USER]
        call = Call(
            query=read_query(request.scope["query_string"]),
            headers=request.headers,
            body=decompress(body, request.headers.get("content-encoding", ""), self._max_body),
            caller=Caller(user, new_seed()),
        )
        key = request.headers.get(IDEMPOTENCY_KEY) if request.method == "POST" else None
        reply = self._handle_once(call, key) if key else self._handle(self._services, call)
        if is_generated_client(request.headers):
            reply = with_string_values(reply)
        return json_response(request, reply)

    def _handle(self, services: Services, call: Call) -> StoredReply:
        return StoredReply(200, msgspec.json.encode(self._handler(services, call)))

    def _handle_once(self, call: Call, key: str) -> StoredReply:
        if len(key) > LONGEST_KEY:
            raise Invalid("invalid_idempotency_key", f"an idempotency key has at most {LONGEST_KEY} characters")

        def handle(services: Services, caller: Caller) -> StoredReply:
            return self._handle(services, call._replace(caller=caller))

        return answer_once(self._services, key, _fingerprint(self.route, call), call.caller, handle)


def _fingerprint(path: str, call: Call) -> bytes:
    """Digest the parts that make two calls the same: the operation, the environment, and the body."""
    chosen = (call.query.get("envSlug"), *map(call.headers.get, ("x-airplane-env-slug", "x-airplane-env-id")))
    return sha256(msgspec.json.encode([path, chosen]) + call.body).digest()
