"""Lists that come in pages: which page to fetch next, and when to stop. Decided once, for both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from ..operations import MAX_PAGE_SIZE


class Identified(Protocol):
    """What a page holds."""

    @property
    def id(self) -> str:
        """The item's ID."""
        ...


ItemT = TypeVar("ItemT", bound=Identified)


class Pages:
    """The way through a list of which the API tells neither the length nor which page is the last: one not full is.

    The list may change meanwhile. New items push others onto pages to come, so an item may arrive again: it is
    passed over. One that is taken away may pull another onto a page that has been read, where it is missed; only a
    filter that leaves the changing part out helps against that.

    Attributes:
        number: Number of the next page, from 0.
        at_end: Whether there is none.
    """

    def __init__(self, size: int | None) -> None:
        self.number = 0
        self.at_end = False
        self._size = size or MAX_PAGE_SIZE
        self._seen: set[str] = set()
        self._fruitful = 0
        self._fruitless = 0

    def take(self, items: Sequence[ItemT]) -> Iterator[ItemT]:
        """Take a page's items, and return an iterator over those that are new."""
        fresh = [item for item in items if self._is_new(item.id)]
        self._fruitful += bool(fresh)
        self._fruitless = 0 if fresh else self._fruitless + 1
        # New items can push at most as many known pages onto us as we have read. More means that the server does not
        # heed the page's number.
        self.at_end = len(items) < self._size or self._fruitless > self._fruitful
        self.number += 1
        return iter(fresh)

    def _is_new(self, id: str) -> bool:
        if not id:
            return True  # some servers leave it out
        if id in self._seen:
            return False
        self._seen.add(id)
        return True


def all_pages(fetch: Callable[[int], Sequence[ItemT]], size: int | None) -> Iterator[ItemT]:
    """Yield the items of all pages, fetching each when it is reached. Nothing is open between two of them."""
    pages = Pages(size)
    while not pages.at_end:
        yield from pages.take(fetch(pages.number))


async def all_pages_async(fetch: Callable[[int], Awaitable[Sequence[ItemT]]], size: int | None) -> AsyncIterator[ItemT]:
    """Do the same for an async client."""
    pages = Pages(size)
    while not pages.at_end:
        for item in pages.take(await fetch(pages.number)):
            yield item
