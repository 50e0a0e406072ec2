"""The ages at which connections are given up."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from airplane_runbooks import ConfigurationError
from airplane_runbooks.transports._ages import ConnectionAges
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport


@pytest.mark.parametrize(
    ("opened", "used", "has_passed"),
    [(0.0, 100.0, False), (50.0, 90.0, False), (50.0, 89.9, True), (-0.1, 100.0, True), (40.0, 40.0, True)],
    ids=["old but busy", "as long idle as may be", "idle for too long", "too old", "never used"],
)
def test_a_connection_is_given_up_when_idle_or_old(opened: float, used: float, has_passed: bool) -> None:
    assert ConnectionAges(idle=10.0, age=100.0).have_passed(opened, used, 100.0) is has_passed


def test_no_age_means_that_connections_are_kept() -> None:
    ages = ConnectionAges.of(None, None)
    assert ages == (inf, inf)
    assert not ages.have_passed(0.0, 0.0, 1e9)


@pytest.mark.parametrize("name", ["max_connection_idle", "max_connection_age"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "55"])
@pytest.mark.parametrize("make", [Urllib3Transport, AsyncioTransport])
def test_ages_that_cannot_work_are_refused_by_name(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive number of seconds or None"):
        make(**{name: value})
