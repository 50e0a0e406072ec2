"""Lists are read page by page while they change: a state machine against a model of the server's list."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airplane_runbooks import Airplane, AsyncAirplane, ConfigurationError, Request, Response
from airplane_runbooks.models import Run, RunStatus
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.waiters.paging import PageCursor
from tests.support.examples import examples


class Listing(RuleBasedStateMachine):
    """A list, the newest first, that is read by one iterator while items come and go."""

    @initialize(size=st.integers(1, 4), count=st.integers(0, 12), is_async=st.booleans())
    def start(self, size: int, count: int, is_async: bool) -> None:
        self.serial = 0
        self.items: list[str] = []
        self.size = size
        self.come(count)
        self.always = set(self.items)  # there from the start, and never taken away
        self.ever = set(self.items)
        self.lost_anything = False
        self.got: list[str] = []
        self.ended = False
        transport = FakeTransport(self.answer)
        if is_async:
            self.loop = asyncio.new_event_loop()
            listed = AsyncAirplane("tkn_test", transport=transport.as_async()).runs.list(page_size=size)
            self.iterator = self.stepped(listed)
        else:
            self.iterator = Airplane("tkn_test", transport=transport).runs.list(page_size=size)

    def stepped(self, iterator: Any) -> Iterator[Run]:
        while True:
            try:
                yield self.loop.run_until_complete(anext(iterator))
            except StopAsyncIteration:
                return

    def answer(self, request: Request) -> Response:
        query = parse_qs(urlsplit(request.target).query)
        assert query["limit"] == [str(self.size)]
        page = int(query["page"][0])
        items = self.items[page * self.size : (page + 1) * self.size]
        return json_response({"runs": [{"id": item, "status": "Active"} for item in items]})

    def come(self, count: int) -> None:
        for _ in range(count):
            self.serial += 1
            self.items.insert(0, f"run{self.serial}")

    @rule(count=st.integers(1, 9))
    def some_are_added(self, count: int) -> None:
        self.come(count)
        self.ever.update(self.items)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def one_goes(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.items))
        self.items.remove(gone)
        self.always.discard(gone)
        self.lost_anything = True

    @rule(count=st.integers(1, 6))
    def some_are_read(self, count: int) -> None:
        for _ in range(count):
            run = next(self.iterator, None)
            if run is None:
                self.ended = True
                return
            self.got.append(run.id)

    @rule()
    def the_rest_is_read(self) -> None:
        self.got += [run.id for run in self.iterator]
        self.ended = True

    @invariant()
    def nothing_comes_twice_or_out_of_nowhere(self) -> None:
        assert len(self.got) == len(set(self.got))
        assert set(self.got) <= self.ever

    @invariant()
    def nothing_is_missed_that_was_there_all_the_time(self) -> None:
        if self.ended and not self.lost_anything:
            assert self.always <= set(self.got)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


TestListing = Listing.TestCase
TestListing.settings = examples(1.5, stateful_step_count=20)


def runs(*ids: str) -> list[Run]:
    return [Run(id=one, status=RunStatus.ACTIVE) for one in ids]


def test_a_page_that_is_not_full_is_the_last_one() -> None:
    pages = PageCursor(2)
    assert [run.id for run in pages.take(runs("a", "b"))] == ["a", "b"]
    assert (pages.number, pages.at_end) == (1, False)
    assert [run.id for run in pages.take(runs("c"))] == ["c"]
    assert pages.at_end


def test_an_empty_page_ends_a_list_that_has_shrunk() -> None:
    pages = PageCursor(1)
    assert list(pages.take(runs("a"))) == runs("a")
    assert list(pages.take(runs())) == []
    assert pages.at_end


def test_items_pushed_back_by_new_ones_are_passed_over() -> None:
    pages = PageCursor(2)
    list(pages.take(runs("b", "a")))
    assert list(pages.take(runs("b", "a"))) == []
    assert not pages.at_end
    assert list(pages.take(runs("0"))) == runs("0")


def test_an_item_twice_on_one_page_comes_once() -> None:
    assert len(list(PageCursor(3).take(runs("a", "a", "b")))) == 2


def test_items_without_an_id_all_come() -> None:
    pages = PageCursor(2)
    assert len(list(pages.take(runs("", "")))) == 2
    assert len(list(pages.take(runs("", "")))) == 2
    assert not pages.at_end


def test_a_server_that_ignores_the_page_is_not_asked_for_ever() -> None:
    transport = FakeTransport(lambda _: json_response({"runs": [{"id": "a", "status": "Active"}]}))
    listed = Airplane("tkn_test", transport=transport).runs.list(page_size=1)
    assert [run.id for run in listed] == ["a"]
    assert len(transport.requests) == 3


@pytest.mark.parametrize("page_size", [0, 51, -1])
def test_a_page_size_that_the_api_does_not_know_is_refused(page_size: int) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        list(Airplane("tkn_test", transport=FakeTransport()).sessions.list(page_size=page_size))
