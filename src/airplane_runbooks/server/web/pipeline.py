"""The way of every request, whether it is a call of the API or a visit to a page.

1. identify the caller by the head of the request
2. check what the head alone allows to refuse
3. read the body of a POST, once the caller is known to be signed in still
4. take a place among the requests that are being answered
5. trace, call and render, on a thread

Errors of any of these are rendered as the front end renders them. The API and the pages differ in their front end and
in their concurrency limits, and in nothing else. The event loop only moves bytes.
"""

from __future__ import annotations

import logging
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..errors import ApiError, EncryptionKeyMissing, InternalError
from ..logs import describe
from ..secrets.vault import KeyMissing, VaultError
from ..service.lifecycle import Lifecycle
from .body import check_content_length
from .callers import Identity
from .concurrency import ConcurrencyLimits
from .scope import note, path_below_base
from .threads import RequestThreads

logger = logging.getLogger(__name__)


class FrontEnd(Protocol):
    """One operation of the API, or one page: the caller's credentials, the format of bodies and of replies.

    Attributes:
        route: Path of the route, for traces.
        verifies_before_body: Whether `verify` has to pass before a body is read.
    """

    route: str
    verifies_before_body: bool

    def identify(self, request: Request) -> Identity:
        """Return the caller, as far as the head of the request tells. Runs on the event loop."""
        ...

    def check(self, request: Request, caller: Identity) -> None:
        """Raise ApiError for a request that its head alone allows to refuse. Runs on the event loop."""
        ...

    def verify(self, caller: Identity) -> Identity:
        """Look up in the database whether the caller is still signed in. Raises Unauthorized. Runs on a thread."""
        ...

    def call(self, request: Request, caller: Identity, body: bytes) -> Response:
        """Parse the body, do what was asked for, and render the result. Raises ApiError. Runs on a thread."""
        ...

    def render_error(self, request: Request, caller: Identity, problem: ApiError) -> Response:
        """Render an error. Runs on the event loop or on a thread."""
        ...


class Pipeline:
    """Answers requests for front ends."""

    def __init__(self, lifecycle: Lifecycle, threads: RequestThreads) -> None:
        self._lifecycle = lifecycle
        self._threads = threads

    async def answer(self, request: Request, front_end: FrontEnd, concurrency: ConcurrencyLimits) -> Response:
        """Answer a request."""
        caller, body = front_end.identify(request), b""
        note(request.scope, route=front_end.route, **({} if caller.user is None else {"caller": caller.user.id}))
        try:
            front_end.check(request, caller)
            if request.method == "POST":
                check_content_length(request, concurrency.max_body)
                if front_end.verifies_before_body:
                    async with concurrency.place():
                        caller = await self._threads.run(front_end.verify, caller)
                body = await concurrency.read_body(request, caller.user)
            async with concurrency.place():
                return await self._threads.run(self._traced, request, front_end, caller, body)
        except ClientDisconnect:
            return Response(status_code=400)  # for no reader
        except ApiError as problem:
            return front_end.render_error(request, caller, problem)

    def _traced(self, request: Request, front_end: FrontEnd, caller: Identity, body: bytes) -> Response:
        emitter = self._lifecycle.services.emitter
        with emitter.request(request.method, front_end.route, request.headers, request.scope["scheme"]) as exchange:
            response = self._call(request, front_end, caller, body)
            exchange.answered(response.status_code)
            return response

    def _call(self, request: Request, front_end: FrontEnd, caller: Identity, body: bytes) -> Response:
        try:
            self._lifecycle.open()
            caller = front_end.verify(caller)
            return front_end.call(request, caller, body)
        except ApiError as problem:
            return front_end.render_error(request, caller, problem)
        except Exception as problem:  # noqa: BLE001 - the caller learns that it was the server's fault, and no more
            path = ascii(path_below_base(request)[:100])
            text = str(problem) if isinstance(problem, VaultError) else describe(problem)
            logger.error("%s %s: %s", request.method, path, text)  # noqa: TRY400 - see describe
            return front_end.render_error(request, caller, _refusal(problem))


def _refusal(problem: Exception) -> ApiError:
    """Return what a caller is told of an exception that was not meant for callers."""
    if isinstance(problem, KeyMissing):
        return EncryptionKeyMissing(
            "encryption_key_missing", f"the server lacks an encryption key, which its operator has to add: {problem}"
        )
    return InternalError("internal_error", "the server failed to answer")
