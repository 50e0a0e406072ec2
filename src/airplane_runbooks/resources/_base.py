"""What resources share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from msgspec import UNSET

from ..http import Reply
from ..operations import MAX_PAGE_SIZE, Operation, ReplyT, RequestT
from ..options import CallOptions

T = TypeVar("T")


class Caller(Protocol):
    """The one method of a client that its resources use."""

    def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, options: CallOptions | None = None
    ) -> Reply[ReplyT]:
        """Carry out an operation."""
        ...


class Resource:
    """A group of operations of one client."""

    __slots__ = ("_client",)

    def __init__(self, client: Caller) -> None:
        self._client = client


def in_env(options: CallOptions | None, env_slug: str | None, env_id: str | None) -> CallOptions | None:
    """Put the environment of one call over its options."""
    if env_slug is None and env_id is None:
        return options
    named = CallOptions(env_slug=env_slug or UNSET, env_id=env_id or UNSET)
    return named if options is None else named.over(options)


def all_pages(fetch: Callable[[int], Sequence[T]], page_size: int | None) -> Iterator[T]:
    """Yield the items of all pages, fetching each when it is wanted.

    The API says neither how many items there are nor which page is the last: a page that is not full is.
    """
    page = 0
    while True:
        items = fetch(page)
        yield from items
        if len(items) < (page_size or MAX_PAGE_SIZE):
            return
        page += 1
