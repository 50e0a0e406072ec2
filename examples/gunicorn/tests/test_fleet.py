"""gunicorn with several workers and threads, in front of a real server of runbooks."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shop import demo
from shop.fleet import PATIENCE_SECONDS, Fleet, gunicorn

NUMBERS = itertools.count()


@pytest.fixture
def fleet(airplane_server: Callable[..., Any]) -> Iterator[Fleet]:
    demo.refunded.clear()
    server = airplane_server(demo.refund)
    with gunicorn(server.api_key, server.base_url) as fleet:
        yield fleet
    assert demo.refunded == Counter(fleet.worker_of.keys())  # each order once


def orders(count: int) -> list[str]:
    """Return orders that have not been refunded."""
    return [f"order-{number}" for number in itertools.islice(NUMBERS, count)]


def refund_until(fleet: Fleet, condition: Callable[[], object]) -> None:
    """Refund further orders until a condition holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        fleet.refund_all(orders(20))


def test_all_workers_use_the_client_made_before_the_fork(fleet: Fleet) -> None:
    refund_until(fleet, lambda: len(fleet.workers) == 4)
    assert fleet.master.pid not in fleet.workers


def test_a_killed_worker_leaves_each_order_refunded_once(fleet: Fleet) -> None:
    refund_until(fleet, lambda: len(fleet.workers) == 4)
    fleet.refund_all(orders(60), meanwhile=fleet.kill_a_worker)
    refund_until(fleet, lambda: len(fleet.workers) == 5)


def test_a_service_with_a_wrong_key_does_not_start(airplane_server: Callable[..., Any]) -> None:
    server = airplane_server(demo.refund)
    with gunicorn("wrong", server.base_url) as fleet:
        assert fleet.master.wait(PATIENCE_SECONDS) != 0


def test_a_reload_replaces_the_workers_under_load(fleet: Fleet) -> None:
    refund_until(fleet, lambda: len(fleet.workers) == 4)
    first = fleet.workers
    fleet.refund_all(orders(60), meanwhile=fleet.reload)
    refund_until(fleet, lambda: len(fleet.workers - first) == 4)
    later = orders(40)
    fleet.refund_all(later)
    assert not first & {fleet.worker_of[order] for order in later}
