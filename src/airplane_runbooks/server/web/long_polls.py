"""Long polls: requests that are answered once the object they ask for has changed, or is at rest.

A request that waits has an open connection and a few objects in memory: no thread, no place among the calls, and no
statement. It has one of a number of places for long polls. Without such a place, a request is answered at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import ApiError
from ..service.identity import User
from .api.object_calls import ObjectFrontEnd, ObjectResponse, Question
from .api.preferences import preferred_wait
from .api.replies import error_response
from .api.snapshots import Snapshot
from .concurrency import ConcurrencyLimits
from .pipeline import Pipeline
from .scope import PARK, USER, Wait
from .watching import Key, Watch, Watched

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
        poll = LongPoll(Question.of(request), wait)
        watched = self._begin(poll, user, (front_end, object_id))
        try:
            response = await self._pipeline.answer(request, front_end, self._concurrency)
        except BaseException:
            self._end(poll, user, watched)
            raise
        if not isinstance(response, ObjectResponse):
            self._end(poll, user, watched)
            return response
        self._watch.place(watched, response.snapshot)
        poll.start(response.snapshot)
        return Parked(partial(self._wait, poll, user, watched))

    async def _wait(self, poll: LongPoll, user: User, watched: Watched, scope: Scope, receive: Receive) -> Response:
        try:
            await poll.end(receive)
        finally:
            self._end(poll, user, watched)
        return poll.response(scope)

    def _begin(self, poll: LongPoll, user: User, key: Key) -> Watched:
        self._loop = asyncio.get_running_loop()
        self._waiting[poll] = None
        self._of_users[user.id] += 1
        return self._watch.join(key, poll)

    def _end(self, poll: LongPoll, user: User, watched: Watched) -> None:
        self._watch.leave(watched, poll)
        del self._waiting[poll]
        self._of_users[user.id] -= 1

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


class Parked(Response):
    """Reply that comes after a wait. A protocol that can park requests waits without what called for the reply."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait and send the reply, or leave both to the protocol."""
        if park := scope.get(PARK):
            park(self._wait)
        else:
            response = await self._wait(scope, receive)
            await response(scope, receive, send)


class LongPoll:
    """One request that waits at most `wait` seconds from now."""

    __slots__ = ("_is_over", "_is_stopped", "_outcome", "_question", "_timeout", "_until", "_wait")

    def __init__(self, question: Question, wait: int) -> None:
        self._question = question
        self._wait = wait
        self._until = asyncio.get_running_loop().time() + wait
        self._outcome: Snapshot | ApiError | None = None
        self._timeout: asyncio.Timeout | None = None
        self._is_over = False
        self._is_stopped = False

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
        elif self._question.is_known(outcome):
            self._outcome = outcome.without_reply()  # which may be long

    def stop(self) -> None:
        """End the wait, as the server stops."""
        self._is_stopped = True
        self._end()

    async def end(self, receive: Receive) -> None:
        """Return at the end of the wait, or once the client has hung up."""
        if self._is_over:
            return
        try:
            async with asyncio.timeout_at(self._until) as self._timeout:
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # by a server that has waited long enough for its end
            self.stop()

    def response(self, scope: Scope) -> Response:
        """Return the reply with the last state, after the end."""
        outcome = self._outcome
        if not isinstance(outcome, Snapshot):
            return error_response(Request(scope), outcome or AssertionError())
        response = self._question.reply(outcome)
        if self._is_stopped:
            response.headers["Connection"] = "close"
        else:
            response.headers["Preference-Applied"] = f"wait={self._wait}"
        return response

    def _end(self) -> None:
        self._is_over = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(_AT_ONCE)
