"""Runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from msgspec import UNSET

from ..models import CancelRun, GetRun, ListRuns, LogLine, LogPage, Run, RunOutputs
from ..operations import CANCEL_RUN, GET_RUN, GET_RUN_LOGS, GET_RUN_OUTPUTS, LIST_RUNS
from ..options import CallOptions, Timeout
from ..policy import PollPolicy
from ..waiters.follow import wait_for_run
from ..waiters.paging import all_lines, all_pages
from ._base import Resource, logs_after


class Runs(Resource):
    """Reads, awaits and cancels runs."""

    __slots__ = ()

    def get(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> Run:
        """Return a run. A run that has failed is data, not an error.

        Raises:
            NotFound: There is no such run.
        """
        return self._runner.call(GET_RUN, GetRun(id=id), options, timeout).data

    def get_outputs(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> RunOutputs:
        """Return the output of a run. A failed run's output is an object whose `error` holds the message.

        Raises:
            NotFound: There is no such run.
        """
        return self._runner.call(GET_RUN_OUTPUTS, GetRun(id=id), options, timeout).data

    def logs(
        self, id: str, *, after: str | None = None, timeout: Timeout = UNSET, options: CallOptions | None = None
    ) -> Iterator[LogLine]:
        """Yield the lines that a step or task has written so far, the oldest first, page by page.

        A log may grow while its run goes on: to see what is new, ask again `after` the ID of the last line. Servers of
        this package keep logs if their operator wants it.

        Args:
            id: The run's ID.
            after: Only lines after the one of this ID.
            timeout: Seconds for each page with its attempts.
            options: Options of each call.

        Raises:
            NotFound: There is no such run.
            NotSupported: The server does not have this operation.
        """

        def fetch(token: str | None) -> LogPage:
            return self._runner.call(GET_RUN_LOGS, logs_after(id, token), options, timeout).data

        return all_lines(fetch, after)

    def cancel(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> None:
        """Cancel a run that has not ended.

        Raises:
            NotFound: There is no such run.
            Conflict: The run has ended.
        """
        self._runner.call(CANCEL_RUN, CancelRun(run_id=id), options, timeout)

    def list(
        self,
        *,
        task_id: str | None = None,
        task_slug: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Iterator[Run]:
        """Yield runs over all pages, each one once. A page is fetched when it is reached.

        Args:
            task_id: Only runs of this task.
            task_slug: Only runs of the task with this slug.
            since: Only runs last updated since this, an aware datetime.
            until: Only runs last updated until this, an aware datetime.
            page_size: Runs per page, 1 to 50.
            timeout: Seconds for each page with its attempts.
            options: Options of each call.
        """
        fetch = partial(
            self.list_page,
            task_id=task_id,
            task_slug=task_slug,
            since=since,
            until=until,
            limit=page_size,
            timeout=timeout,
            options=options,
        )
        return all_pages(lambda page: fetch(page=page), page_size)

    def list_page(
        self,
        *,
        task_id: str | None = None,
        task_slug: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        page: int | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> tuple[Run, ...]:
        """Return one page of runs.

        Args:
            task_id: Only runs of this task.
            task_slug: Only runs of the task with this slug.
            since: Only runs last updated since this, an aware datetime.
            until: Only runs last updated until this, an aware datetime.
            limit: Runs per page, 1 to 50; the server's default is 50.
            page: Number of the page, from 0.
            timeout: Seconds for this call with its attempts; see `CallOptions`.
            options: Options of this call.
        """
        request = ListRuns(task_id=task_id, task_slug=task_slug, since=since, until=until, limit=limit, page=page)
        return self._runner.call(LIST_RUNS, request, options, timeout).data.runs

    def wait(
        self,
        id: str,
        *,
        wait_timeout: float | None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Run, float], object] | None = None,
        raise_on_failure: bool = True,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Run:
        """Wait for a run to end, and return it. To wait again, its ID is enough.

        Failures that may pass do not end the wait. A status that this version does not know counts as running.

        Args:
            id: The run's ID.
            wait_timeout: Seconds to wait at most; None waits for ever.
            poll: How often to poll a server that does not answer when something has changed.
            on_progress: Called with the run and the seconds since the start: when something has changed, and at
                least every `max_delay` of the policy.
            raise_on_failure: Whether to raise if the run has failed or been cancelled.
            timeout: Seconds for one poll with its attempts.
            options: Options of each call.

        Raises:
            RunFailed: The run has failed or been cancelled; the error carries it.
            WaitTimeout: The run has not ended in time.
            ConfigurationError: `wait_timeout` is neither positive and finite nor None.
            NotFound: There is no such run.
        """
        steps = partial(
            wait_for_run,
            run_id=id,
            wait_timeout=wait_timeout,
            poll=poll,
            on_progress=on_progress,
            raise_on_failure=raise_on_failure,
        )
        return self._runner.run_operation("runs.wait", steps, options, timeout)
