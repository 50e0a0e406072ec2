"""Lists in pages: which page to fetch next, and when to stop, decided once for both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from ..models import LogLine, LogPage
from ..operations import MAX_PAGE_SIZE


class Identified(Protocol):
    """An item of a page."""

    @property
    def id(self) -> str:
        """The item's ID."""
        ...


ItemT = TypeVar("ItemT", bound=Identified)


class PageCursor:
    """Position in a list. The API reports no total; a short page is the last one.

    The list may change meanwhile. New items push others onto later pages, so an item may arrive again: it is skipped.
    A removed item may pull another onto a page that has been read, so that item is missed. Only a filter that excludes
    the changing part helps against that.

    Attributes:
        number: Number of the next page, from 0.
        at_end: True after the last page.
    """

    def __init__(self, size: int | None) -> None:
        self.number = 0
        self.at_end = False
        self._size = size or MAX_PAGE_SIZE
        self._seen: set[str] = set()
        self._fresh_pages = 0
        self._stale_pages = 0

    def take(self, items: Sequence[ItemT]) -> Iterator[ItemT]:
        """Take the items of the next page, and return an iterator over the new ones."""
        fresh = [item for item in items if self._is_new(item.id)]
        self._fresh_pages += bool(fresh)
        self._stale_pages = 0 if fresh else self._stale_pages + 1
        # New items can repeat at most as many pages as we have read. More means that the server ignores page numbers.
        self.at_end = len(items) < self._size or self._stale_pages > self._fresh_pages
        self.number += 1
        return iter(fresh)

    def _is_new(self, id: str) -> bool:
        if not id:
            return True  # some servers omit it
        if id in self._seen:
            return False
        self._seen.add(id)
        return True


def all_pages(fetch: Callable[[int], Sequence[ItemT]], size: int | None) -> Iterator[ItemT]:
    """Yield the items of all pages. A page is fetched when it is reached; no connection is held between two of them."""
    cursor = PageCursor(size)
    while not cursor.at_end:
        yield from cursor.take(fetch(cursor.number))


async def all_pages_async(fetch: Callable[[int], Awaitable[Sequence[ItemT]]], size: int | None) -> AsyncIterator[ItemT]:
    """Yield the items of all pages for an async client. See `all_pages`."""
    cursor = PageCursor(size)
    while not cursor.at_end:
        for item in cursor.take(await fetch(cursor.number)):
            yield item


class LogCursor:
    """Position in the log of a run, which may grow meanwhile.

    Attributes:
        token: Token of the next page.
        at_end: True after the last page that there is now.
    """

    def __init__(self, after: str | None) -> None:
        self.token = after
        self.at_end = False

    def take(self, page: LogPage) -> tuple[LogLine, ...]:
        """Return the lines of the next page."""
        self.at_end = page.next_token in ("", self.token)  # a server that repeats itself would do so for ever
        self.token = page.next_token
        return page.logs


def all_lines(fetch: Callable[[str | None], LogPage], after: str | None) -> Iterator[LogLine]:
    """Yield the lines of all pages. A page is fetched when it is reached."""
    cursor = LogCursor(after)
    while not cursor.at_end:
        yield from cursor.take(fetch(cursor.token))


async def all_lines_async(
    fetch: Callable[[str | None], Awaitable[LogPage]], after: str | None
) -> AsyncIterator[LogLine]:
    """Yield the lines of all pages for an async client."""
    cursor = LogCursor(after)
    while not cursor.at_end:
        for line in cursor.take(await fetch(cursor.token)):
            yield line
