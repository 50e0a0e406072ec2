"""Connections of the service, as a server sees them, and the service's errors."""

from __future__ import annotations

import pytest
from recording import recording
from shop.fleet import gunicorn


def test_no_connection_is_shared_by_two_processes() -> None:
    with recording() as api, gunicorn("key", api.base_url) as fleet:
        fleet.refund_all([f"order-{number}" for number in range(80)])
        assert len(fleet.workers) > 1
        of_the_parent, *others = api.orders_of.values()
    assert of_the_parent == []
    assert all(len({fleet.worker_of[order] for order in orders}) == 1 for orders in others)
    assert sorted(order for orders in others for order in orders) == sorted(fleet.worker_of)
    assert len(others) < 80  # they are used again


def test_a_refusal_of_the_server_is_a_bad_gateway() -> None:
    with recording() as api, gunicorn("key", api.base_url) as fleet:
        with pytest.raises(RuntimeError, match=r"502: 400: no such order"):
            fleet.refund("refused")
        with pytest.raises(RuntimeError, match=r"404: the only path"):
            fleet.refund("no/order")
