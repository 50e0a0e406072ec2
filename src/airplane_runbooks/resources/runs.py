"""Runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..models import CancelRun, GetRun, ListRuns, Run, RunOutputs
from ..operations import CANCEL_RUN, GET_RUN, GET_RUN_OUTPUTS, LIST_RUNS
from ..options import CallOptions
from ._base import Resource, all_pages


class Runs(Resource):
    """Reads and cancels runs."""

    __slots__ = ()

    def get(self, id: str, *, options: CallOptions | None = None) -> Run:
        """Return a run as it stands. Never raises because the run has failed: that is data.

        Raises:
            NotFound: There is no such run.
        """
        return self._client.call(GET_RUN, GetRun(id=id), options=options).data

    def get_outputs(self, id: str, *, options: CallOptions | None = None) -> RunOutputs:
        """Return the output of a run. A failed run's output is an object whose `error` holds the message.

        Raises:
            NotFound: There is no such run.
        """
        return self._client.call(GET_RUN_OUTPUTS, GetRun(id=id), options=options).data

    def cancel(self, id: str, *, options: CallOptions | None = None) -> None:
        """Cancel a run that has not ended.

        Raises:
            NotFound: There is no such run.
            Conflict: The run has ended.
        """
        self._client.call(CANCEL_RUN, CancelRun(run_id=id), options=options)

    def list(
        self,
        *,
        task_id: str | None = None,
        task_slug: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
        options: CallOptions | None = None,
    ) -> Iterator[Run]:
        """Yield runs over all pages, each page being fetched when it is reached.

        Args:
            task_id: Only runs of this task.
            task_slug: The same by slug.
            since: Only runs last updated since this, an aware datetime.
            until: Only runs last updated until this, an aware datetime.
            page_size: Runs per page, 1 to 50.
            options: Options of each call.
        """

        def fetch(page: int) -> tuple[Run, ...]:
            return self.list_page(
                task_id=task_id,
                task_slug=task_slug,
                since=since,
                until=until,
                limit=page_size,
                page=page,
                options=options,
            )

        return all_pages(fetch, page_size)

    def list_page(
        self,
        *,
        task_id: str | None = None,
        task_slug: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        page: int | None = None,
        options: CallOptions | None = None,
    ) -> tuple[Run, ...]:
        """Return one page of runs.

        Args:
            task_id: Only runs of this task.
            task_slug: The same by slug.
            since: Only runs last updated since this, an aware datetime.
            until: Only runs last updated until this, an aware datetime.
            limit: Runs per page, 1 to 50; the server's default is 50.
            page: Number of the page, from 0.
            options: Options of this call.
        """
        request = ListRuns(task_id=task_id, task_slug=task_slug, since=since, until=until, limit=limit, page=page)
        return self._client.call(LIST_RUNS, request, options=options).data.runs
