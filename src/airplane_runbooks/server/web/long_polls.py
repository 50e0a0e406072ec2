"""Long polls: requests that are answered once the object they ask for has changed, or is at rest.

A request that waits has an open connection and a few objects in memory: no thread, no place among the calls, and no
statement. It has one of a number of places for long polls. Without such a place, a request is answered at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from ..errors import ApiError
from ..service.identity import User
from .api.object_calls import ObjectFrontEnd, ObjectResponse, Question
from .api.preferences import preferred_wait
from .api.replies import error_response
from .api.snapshots import Snapshot
from .concurrency import ConcurrencyLimits
from .pipeline import Pipeline
from .scope import COUNT_AS_WAITING, USER
from .watching import Watch

_AT_ONCE = -1.0  # a time of the event loop's clock that has passed


class LongPolls:
    """Answers requests for objects, and lets those wait that prefer to.

    `max_waiting` requests may wait at a time, and `max_waiting_per_user` of one user.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        concurrency: ConcurrencyLimits,
        watch: Watch,
        *,
        max_waiting: int,
        max_waiting_per_user: int,
    ) -> None:
        self._pipeline = pipeline
        self._concurrency = concurrency
        self._watch = watch
        self._max_waiting = max_waiting
        self._max_waiting_per_user = max_waiting_per_user
        self._of_users: Counter[str] = Counter()
        self._waiting: dict[LongPoll, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    async def answer(self, request: Request, front_end: ObjectFrontEnd) -> Response:
        """Answer a request, at once or after a wait."""
        user: User = request.scope[USER]
        wait = preferred_wait(request.headers.getlist("prefer"))
        if wait is None or not self._has_place(user):
            return await self._pipeline.answer(request, front_end, self._concurrency)
        try:
            object_id = front_end.find_id(request)
        except ApiError as problem:
            return error_response(request, problem)
        poll = LongPoll(request, wait)
        with self._place(user, poll):
            watched = self._watch.join((front_end, object_id), poll)
            try:
                response = await self._pipeline.answer(request, front_end, self._concurrency)
                if not isinstance(response, ObjectResponse):
                    return response
                self._watch.place(watched, response.snapshot)
                poll.start(response.snapshot)
                await self._wait(request, poll)
            except ClientDisconnect:
                return Response(status_code=400)  # for no reader
            finally:
                self._watch.leave(watched, poll)
        return poll.response()

    async def _wait(self, request: Request, poll: LongPoll) -> None:
        count_as_waiting = request.scope.get(COUNT_AS_WAITING, _count_nothing)
        count_as_waiting(is_waiting=True)
        try:
            await poll.end()
        finally:
            poll.closes_connection |= count_as_waiting(is_waiting=False)

    def stop(self) -> None:
        """Answer all that wait as things are now, and let no more wait. Thread-safe."""
        self._stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all)

    def _end_all(self) -> None:
        for poll in self._waiting:
            poll.stop()

    def _has_place(self, user: User) -> bool:
        return not (
            self._stopping
            or len(self._waiting) >= self._max_waiting
            or self._of_users[user.id] >= self._max_waiting_per_user
        )

    @contextmanager
    def _place(self, user: User, poll: LongPoll) -> Generator[None]:
        self._loop = asyncio.get_running_loop()
        self._waiting[poll] = None
        self._of_users[user.id] += 1
        try:
            yield
        finally:
            del self._waiting[poll]
            self._of_users[user.id] -= 1


class LongPoll:
    """One request that waits at most `wait` seconds from now.

    Attributes:
        closes_connection: True if the connection is to be closed after the reply.
    """

    __slots__ = (
        "_is_over",
        "_is_stopped",
        "_outcome",
        "_question",
        "_request",
        "_timeout",
        "_until",
        "_wait",
        "closes_connection",
    )

    def __init__(self, request: Request, wait: int) -> None:
        self._request = request
        self._wait = wait
        self._until = asyncio.get_running_loop().time() + wait
        self._question = Question.of(request)
        self._outcome: Snapshot | ApiError | None = None
        self._timeout: asyncio.Timeout | None = None
        self._is_over = False
        self._is_stopped = False
        self.closes_connection = False

    def start(self, snapshot: Snapshot) -> None:
        """Take the first state of the object, unless a later one is known by now."""
        if self._outcome is None:
            self.offer(snapshot)

    def offer(self, outcome: Snapshot | ApiError) -> None:
        """Take a state of the object, and end the wait if that is what the caller waits for. Errors end it, too."""
        if self._is_over and self._outcome is not None:
            return
        self._outcome = outcome
        if isinstance(outcome, ApiError) or self._question.is_met(outcome):
            self._end()

    def stop(self) -> None:
        """End the wait, as the server stops."""
        self._is_stopped = self.closes_connection = True
        self._end()

    async def end(self) -> None:
        """Return at the end of the wait. Raises ClientDisconnect once the client has hung up."""
        if self._is_over:
            return
        try:
            async with asyncio.timeout_at(self._until) as self._timeout:
                await _disconnected(self._request.receive)
        except TimeoutError:
            return
        raise ClientDisconnect

    def response(self) -> Response:
        """Return the reply with the last state, after the end."""
        outcome = self._outcome
        if not isinstance(outcome, Snapshot):
            return error_response(self._request, outcome or AssertionError())
        response = self._question.reply(outcome)
        if not self._is_stopped:
            response.headers["Preference-Applied"] = f"wait={self._wait}"
        if self.closes_connection:
            response.headers["Connection"] = "close"
        return response

    def _end(self) -> None:
        self._is_over = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(_AT_ONCE)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _count_nothing(*, is_waiting: bool) -> bool:
    del is_waiting
    return False
