"""Sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from functools import partial

from ..models import GetSession, ListSessions, Prompt, Run, Session, Step
from ..operations import GET_SESSION, LIST_SESSIONS
from ..options import CallOptions
from ..policy import PollPolicy
from ..waiters.follow import (
    AsyncPromptHandler,
    PromptHandler,
    session_prompts,
    session_runs,
    session_steps,
    wait_for_session,
)
from ..waiters.paging import all_pages, all_pages_async
from ._base import AsyncResource, Resource


class Sessions(Resource):
    """Reads and follows sessions."""

    __slots__ = ()

    def get(self, id: str, *, options: CallOptions | None = None) -> Session:
        """Return a session as it stands. Never raises because the session has failed: that is data.

        Raises:
            NotFound: There is no such session.
        """
        return self._client.call(GET_SESSION, GetSession(id=id), options=options).data

    def list(
        self,
        *,
        runbook_id: str | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        page_size: int | None = None,
        options: CallOptions | None = None,
    ) -> Iterator[Session]:
        """Yield sessions over all pages, each page being fetched when it is reached, and none of them twice.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            page_size: Sessions per page, 1 to 50.
            options: Options of each call.
        """
        fetch = partial(
            self.list_page,
            runbook_id=runbook_id,
            updated_after=updated_after,
            updated_before=updated_before,
            limit=page_size,
            options=options,
        )
        return all_pages(lambda page: fetch(page=page), page_size)

    def list_page(
        self,
        *,
        runbook_id: str | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        limit: int | None = None,
        page: int | None = None,
        options: CallOptions | None = None,
    ) -> tuple[Session, ...]:
        """Return one page of sessions.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            limit: Sessions per page, 1 to 50; the server's default is 50.
            page: Number of the page, from 0.
            options: Options of this call.
        """
        request = ListSessions(
            runbook_id=runbook_id, updated_after=updated_after, updated_before=updated_before, limit=limit, page=page
        )
        return self._client.call(LIST_SESSIONS, request, options=options).data.sessions

    def runs(self, id: str, *, options: CallOptions | None = None) -> tuple[Run, ...]:
        """Return the runs of a session, the oldest first.

        The API lists runs by time only, so this reads every run since the session's creation from a server that does
        not know better. The limit of time is that of one call for all the reading.

        Raises:
            NotFound: There is no such session.
        """
        return self._client._compose("sessions.runs", partial(session_runs, session_id=id), options)

    def prompts(self, id: str, *, options: CallOptions | None = None) -> tuple[Prompt, ...]:
        """Return the open prompts of a session, the oldest first. What `runs` says of its cost holds here too.

        Raises:
            NotFound: There is no such session.
        """
        return self._client._compose("sessions.prompts", partial(session_prompts, session_id=id), options)

    def steps(self, id: str, *, options: CallOptions | None = None) -> tuple[Step, ...]:
        """Return the steps of a session that runs or has ended, the oldest first, with their outputs.

        Each step that has ended costs one more call, for its output.

        Raises:
            NotFound: There is no such session.
        """
        return self._client._compose("sessions.steps", partial(session_steps, session_id=id), options)

    def wait(
        self,
        id: str,
        *,
        timeout: float | None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: PromptHandler | None = None,
        raise_on_failure: bool = True,
        options: CallOptions | None = None,
    ) -> Session:
        """Wait for a session to end, and return it. The ID is all it takes to wait again.

        Failures that may pass do not end it, and a state that this version does not know counts as running.

        Args:
            id: The session's ID.
            timeout: Seconds to wait at most; None waits for ever.
            poll: How often to look.
            on_progress: Called at each look with the fresh session and the seconds since the start.
            on_prompt: Called once for each new prompt of the session with the prompt and its schema. The mapping that
                it returns is checked against the schema and submitted, `CANCEL` cancels the prompt, None leaves it to
                others. Its own time counts, but is not cut short.
            raise_on_failure: Whether to raise if the session has failed or been cancelled.
            options: Options of each look; its `timeout` is that of one look.

        Raises:
            SessionFailed: The session has failed or been cancelled; the error carries it.
            WaitTimeout: The session goes on.
            ParamValueError: An answer does not fit the prompt's schema; the message names the field.
            ConfigurationError: The timeout is neither positive and finite nor None.
            NotFound: There is no such session.
        """
        steps = partial(
            wait_for_session,
            session_id=id,
            timeout=timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=raise_on_failure,
        )
        return self._client._compose("sessions.wait", steps, options)


class AsyncSessions(AsyncResource):
    """Reads and follows sessions."""

    __slots__ = ()

    async def get(self, id: str, *, options: CallOptions | None = None) -> Session:
        """Return a session as it stands. Never raises because the session has failed: that is data.

        Raises:
            NotFound: There is no such session.
        """
        return (await self._client.call(GET_SESSION, GetSession(id=id), options=options)).data

    def list(
        self,
        *,
        runbook_id: str | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        page_size: int | None = None,
        options: CallOptions | None = None,
    ) -> AsyncIterator[Session]:
        """Yield sessions over all pages, each page being fetched when it is reached, and none of them twice.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            page_size: Sessions per page, 1 to 50.
            options: Options of each call.
        """
        fetch = partial(
            self.list_page,
            runbook_id=runbook_id,
            updated_after=updated_after,
            updated_before=updated_before,
            limit=page_size,
            options=options,
        )
        return all_pages_async(lambda page: fetch(page=page), page_size)

    async def list_page(
        self,
        *,
        runbook_id: str | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        limit: int | None = None,
        page: int | None = None,
        options: CallOptions | None = None,
    ) -> tuple[Session, ...]:
        """Return one page of sessions.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            limit: Sessions per page, 1 to 50; the server's default is 50.
            page: Number of the page, from 0.
            options: Options of this call.
        """
        request = ListSessions(
            runbook_id=runbook_id, updated_after=updated_after, updated_before=updated_before, limit=limit, page=page
        )
        return (await self._client.call(LIST_SESSIONS, request, options=options)).data.sessions

    async def runs(self, id: str, *, options: CallOptions | None = None) -> tuple[Run, ...]:
        """Return the runs of a session, the oldest first.

        The API lists runs by time only, so this reads every run since the session's creation from a server that does
        not know better. The limit of time is that of one call for all the reading.

        Raises:
            NotFound: There is no such session.
        """
        return await self._client._compose("sessions.runs", partial(session_runs, session_id=id), options)

    async def prompts(self, id: str, *, options: CallOptions | None = None) -> tuple[Prompt, ...]:
        """Return the open prompts of a session, the oldest first. What `runs` says of its cost holds here too.

        Raises:
            NotFound: There is no such session.
        """
        return await self._client._compose("sessions.prompts", partial(session_prompts, session_id=id), options)

    async def steps(self, id: str, *, options: CallOptions | None = None) -> tuple[Step, ...]:
        """Return the steps of a session that runs or has ended, the oldest first, with their outputs.

        Each step that has ended costs one more call, for its output.

        Raises:
            NotFound: There is no such session.
        """
        return await self._client._compose("sessions.steps", partial(session_steps, session_id=id), options)

    async def wait(
        self,
        id: str,
        *,
        timeout: float | None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: AsyncPromptHandler | None = None,
        raise_on_failure: bool = True,
        options: CallOptions | None = None,
    ) -> Session:
        """Wait for a session to end, and return it. The ID is all it takes to wait again.

        Failures that may pass do not end it, and a state that this version does not know counts as running.

        Args:
            id: The session's ID.
            timeout: Seconds to wait at most; None waits for ever.
            poll: How often to look.
            on_progress: Called at each look with the fresh session and the seconds since the start.
            on_prompt: Called once for each new prompt of the session with the prompt and its schema. The mapping that
                it returns is checked against the schema and submitted, `CANCEL` cancels the prompt, None leaves it to
                others. Its own time counts, but is not cut short.
            raise_on_failure: Whether to raise if the session has failed or been cancelled.
            options: Options of each look; its `timeout` is that of one look.

        Raises:
            SessionFailed: The session has failed or been cancelled; the error carries it.
            WaitTimeout: The session goes on.
            ParamValueError: An answer does not fit the prompt's schema; the message names the field.
            ConfigurationError: The timeout is neither positive and finite nor None.
            NotFound: There is no such session.
        """
        steps = partial(
            wait_for_session,
            session_id=id,
            timeout=timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=raise_on_failure,
        )
        return await self._client._compose("sessions.wait", steps, options)
