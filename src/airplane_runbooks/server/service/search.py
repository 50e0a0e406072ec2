"""Search of sessions: filters that no index serves are tried on a bounded number of sessions, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ...models import SessionStatus
from ..storage.encoding import decode
from ..storage.interface import EntryQuery
from ..storage.records import SessionEntry
from .services import Services

_MOST = 5_000  # sessions, until the search has to be continued
_BATCH = 500
_SKEW = timedelta(days=1)  # by which the clocks of servers may differ, so that a later session has an earlier time


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """Criteria of a search, all of which a session has to meet.

    Attributes:
        text: Part of its ID, of the name or slug of its runbook, or of a value it was started with; in any case.
        since: Earliest moment of its start.
        until: Latest moment of its start.
    """

    runbook_id: str | None = None
    status: SessionStatus | None = None
    env_slug: str | None = None
    created_by: str | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def has_index(self) -> bool:
        """True if the database finds the sessions by its indexes alone."""
        return not (self.text or self.env_slug or self.created_by or self.since or self.until)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the sessions that a search finds.

    Attributes:
        before: Place from which to continue; None if there are no more.
        left_off: Number of sessions that were searched, and the start of the last one, if the search ended there.
    """

    entries: Sequence[SessionEntry]
    before: int | None = None
    left_off: tuple[int, datetime] | None = None


def search(services: Services, criteria: Criteria, before: int | None, limit: int) -> Found:
    """Find at most `limit` sessions before a place, newest first."""
    slugs = {one.id: one.slug for one in services.runbooks.by_slug.values()}
    batch = limit + 1 if criteria.has_index else _BATCH
    found: list[SessionEntry] = []
    searched = 0
    while True:
        query = EntryQuery(runbook_id=criteria.runbook_id, status=criteria.status, before=before, limit=batch)
        entries = services.store.session_entries(query)
        for entry in entries:
            if meets(entry, criteria, slugs.get(entry.runbook_id, "")):
                if len(found) == limit:
                    return Found(entries=found, before=found[-1].place)
                found.append(entry)
        if len(entries) < batch or _is_before(entries[-1], criteria.since):
            return Found(entries=found)
        before = entries[-1].place
        searched += len(entries)
        if searched >= _MOST:
            return Found(entries=found, before=before, left_off=(searched, entries[-1].created_at))


def meets(entry: SessionEntry, criteria: Criteria, slug: str) -> bool:
    """Tell whether a session, of the runbook with this slug, meets all criteria that no index serves."""
    return (
        criteria.env_slug in (None, entry.env_slug)
        and criteria.created_by in (None, entry.created_by)
        and (criteria.since is None or entry.created_at >= criteria.since)
        and (criteria.until is None or entry.created_at <= criteria.until)
        and (not criteria.text or _has(entry, slug, criteria.text.casefold()))
    )


def _has(entry: SessionEntry, slug: str, text: str) -> bool:
    values = (text in one.casefold() for one in _texts(decode(entry.param_values)))
    return text in entry.id.casefold() or text in entry.name.casefold() or text in slug or any(values)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a JSON value, without the names of members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _is_before(entry: SessionEntry, since: datetime | None) -> bool:
    return since is not None and entry.created_at + _SKEW < since
