"""Sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from types import UnionType
from typing import Any, TypeVar, Unpack, overload

from msgspec import UNSET

from ..models import CancelSession, DeleteSession, GetSession, ListSessions, Prompt, ReleaseSessions, Run, Session, Step
from ..operations import CANCEL_SESSION, DELETE_SESSION, GET_SESSION, LIST_SESSIONS, RELEASE_SESSIONS
from ..options import CallOptions, Timeout
from ..policy import PollPolicy
from ..waiters.follow import (
    session_prompts,
    session_runs,
    session_steps,
    wait_for_session,
)
from ..waiters.handlers import PromptHandler
from ..waiters.paging import all_pages
from ..waiters.results import result_of
from ._base import Resource, result_reader
from ._keywords import WaitKeywords

T = TypeVar("T")


class Sessions(Resource):
    """Reads, follows and cancels sessions."""

    __slots__ = ()

    def get(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> Session:
        """Return a session. A session that has failed is data, not an error.

        Raises:
            NotFound: There is no such session.
        """
        return self._runner.call(GET_SESSION, GetSession(id=id), options, timeout).data

    def list(
        self,
        *,
        runbook_id: str | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        page_size: int | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Iterator[Session]:
        """Yield sessions over all pages, each one once. A page is fetched when it is reached.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            page_size: Sessions per page, 1 to 50.
            timeout: Seconds for each page with its attempts.
            options: Options of each call.
        """
        fetch = partial(
            self.list_page,
            runbook_id=runbook_id,
            updated_after=updated_after,
            updated_before=updated_before,
            limit=page_size,
            timeout=timeout,
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
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> tuple[Session, ...]:
        """Return one page of sessions.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            limit: Sessions per page, 1 to 50; the server's default is 50.
            page: Number of the page, from 0.
            timeout: Seconds for this call with its attempts; see `CallOptions`.
            options: Options of this call.
        """
        request = ListSessions(
            runbook_id=runbook_id, updated_after=updated_after, updated_before=updated_before, limit=limit, page=page
        )
        return self._runner.call(LIST_SESSIONS, request, options, timeout).data.sessions

    def cancel(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> None:
        """Cancel a session that has not ended, with its runs and prompts.

        A session that waits is cancelled at once, one that is being executed before its next step. The documented API
        lacks this operation; servers of this package have it.

        Raises:
            NotFound: There is no such session.
            Conflict: The session has ended.
            NotSupported: The server does not have this operation.
            ConfigurationError: The base URL does not end in `/v0`, so that extensions cannot be found beside it.
        """
        self._runner.call(CANCEL_SESSION, CancelSession(id=id), options, timeout)

    def release(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> None:
        """Let a session go on that is held since the database of its server was restored from a backup.

        The ID of the run of a task releases that. This takes the server's own key, and a server of this package.

        Raises:
            NotFound: There is no such session.
            Forbidden: The key is a user's.
            Conflict: The session is not held, or only for its code.
            NotSupported: The server does not have this operation.
        """
        self._runner.call(RELEASE_SESSIONS, ReleaseSessions(id=id), options, timeout)

    def release_all(self, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> int:
        """Let all sessions and tasks go on that are held since the database of their server was restored.

        Returns their number. A call releases at most 1,000, so repeat it until it returns 0.

        Raises:
            Forbidden: The key is a user's.
            NotSupported: The server does not have this operation.
        """
        return self._runner.call(RELEASE_SESSIONS, ReleaseSessions(all=True), options, timeout).data.released

    def delete(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> None:
        """Delete a session that has ended, with its values, result, prompts and logs. This cannot be undone.

        This takes the server's own key, and a server of this package. Backups are not affected.

        Raises:
            NotFound: There is no such session, or it has been deleted already.
            Forbidden: The key is a user's.
            Conflict: The session has not ended; cancel it first.
            NotSupported: The server does not have this operation.
        """
        self._runner.call(DELETE_SESSION, DeleteSession(id=id), options, timeout)

    def runs(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> tuple[Run, ...]:
        """Return the runs of a session, the oldest first.

        The API lists runs by time only, so this reads every run since the session's creation, unless the server filters
        by session. `timeout` holds for all pages together.

        Raises:
            NotFound: There is no such session.
        """
        return self._runner.run_operation("sessions.runs", partial(session_runs, session_id=id), options, timeout)

    def prompts(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> tuple[Prompt, ...]:
        """Return the open prompts of a session, the oldest first, at the same cost as `runs`.

        Raises:
            NotFound: There is no such session.
        """
        return self._runner.run_operation("sessions.prompts", partial(session_prompts, session_id=id), options, timeout)

    def steps(
        self, id: str, *, logs: bool = False, timeout: Timeout = UNSET, options: CallOptions | None = None
    ) -> tuple[Step, ...]:
        """Return the steps of a session that runs or has ended, the oldest first, with their outputs.

        Each step that has ended costs one more call, for its output, and each step with its log at least one.

        Args:
            id: The session's ID.
            logs: Whether to fetch what the steps have written, too; see `runs.logs`.
            timeout: Seconds for all calls together.
            options: Options of each call.

        Raises:
            NotFound: There is no such session.
            NotSupported: The server does not have logs.
        """
        return self._runner.run_operation(
            "sessions.steps", partial(session_steps, session_id=id, logs=logs), options, timeout
        )

    def wait(
        self,
        id: str,
        *,
        wait_timeout: float | None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: PromptHandler | None = None,
        raise_on_failure: bool = True,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Session:
        """Wait for a session to end, and return it. To wait again, its ID is enough.

        Failures that may pass do not end the wait. A status that this version does not know counts as running.

        Args:
            id: The session's ID.
            wait_timeout: Seconds to wait at most; None waits for ever.
            poll: How often to poll a server that does not answer when something has changed.
            on_progress: Called with the session and the seconds since the start: when something has changed, and at
                least every `max_delay` of the policy.
            on_prompt: Called once for each new prompt of the session, with the prompt and its schema, and not while the
                session is held. A mapping that it returns, or a struct, is checked against the schema and submitted,
                `CANCEL` cancels the prompt, None leaves it to others. Its own time counts towards the timeout, but is
                not cut short.
            raise_on_failure: Whether to raise if the session has failed or been cancelled.
            timeout: Seconds for one poll with its attempts.
            options: Options of each call.

        Raises:
            SessionFailed: The session has failed or been cancelled; the error carries it.
            WaitTimeout: The session has not ended in time.
            ParamValueError: An answer does not fit the prompt's schema; the message names the field.
            ConfigurationError: `wait_timeout` is neither positive and finite nor None.
            NotFound: There is no such session.
        """
        steps = partial(
            wait_for_session,
            session_id=id,
            wait_timeout=wait_timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=raise_on_failure,
        )
        return self._runner.run_operation("sessions.wait", steps, options, timeout)

    @overload
    def result(self, id: str, *, type: type[T], **keywords: Unpack[WaitKeywords]) -> T: ...
    @overload
    def result(self, id: str, *, type: UnionType | None = None, **keywords: Unpack[WaitKeywords]) -> Any: ...
    def result(
        self,
        id: str,
        *,
        wait_timeout: float | None,
        type: Any = None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: PromptHandler | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Any:
        """Wait for a session to end, and return the result of its runbook.

        Only servers of this package tell results. A long one costs one more call.

        Args:
            id: The session's ID.
            wait_timeout: Seconds to wait at most; None waits for ever.
            type: Type of the result, such as a msgspec struct, a data class, a TypedDict, or `list[str] | None`; any
                JSON if there is none.
            poll: See `wait`.
            on_progress: See `wait`.
            on_prompt: See `wait`.
            timeout: Seconds for one poll with its attempts.
            options: Options of each call.

        Raises:
            SessionFailed: The session has failed; the error says which step, and why. SessionCancelled if it has been
                cancelled.
            ResultUnavailable: The session has succeeded, and the server does not tell its result.
            DecodeError: The result cannot be read, or is not of its type; the message names the path.
            WaitTimeout: The session has not ended in time.
            ParamValueError: An answer does not fit the prompt's schema; the message names the field.
            ConfigurationError: `wait_timeout` is neither positive and finite nor None, or the type cannot be read from
                JSON.
            NotFound: There is no such session.
        """
        ended = partial(
            wait_for_session,
            session_id=id,
            wait_timeout=wait_timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=True,
        )
        return self._runner.run_operation(
            "sessions.result", partial(result_of, ended=ended, read=result_reader(None, type)), options, timeout
        )
