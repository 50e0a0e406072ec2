"""Sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..models import GetSession, ListSessions, Session
from ..operations import GET_SESSION, LIST_SESSIONS
from ..options import CallOptions
from ._base import Resource, all_pages


class Sessions(Resource):
    """Reads sessions."""

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
        """Yield sessions over all pages, each page being fetched when it is reached.

        Args:
            runbook_id: Only sessions of this runbook.
            updated_after: Only sessions last updated after this, an aware datetime.
            updated_before: Only sessions last updated before this, an aware datetime.
            page_size: Sessions per page, 1 to 50.
            options: Options of each call.
        """

        def fetch(page: int) -> tuple[Session, ...]:
            return self.list_page(
                runbook_id=runbook_id,
                updated_after=updated_after,
                updated_before=updated_before,
                limit=page_size,
                page=page,
                options=options,
            )

        return all_pages(fetch, page_size)

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
