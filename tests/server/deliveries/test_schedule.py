"""The times of further attempts, and their end."""

from __future__ import annotations

import pytest

from airplane_runbooks.server.deliveries.schedule import MOST_ATTEMPTS, delay_after

DAY = 24 * 3600


def middle(low, high):
    return (low + high) / 2


def test_delays_grow_from_seconds_to_hours():
    delays = [delay_after(attempts, None, middle) for attempts in range(1, MOST_ATTEMPTS)]

    assert delays[:4] == [5, 20, 80, 320]
    assert delays == sorted(delays)


def test_all_attempts_take_about_a_day():
    assert 0.9 * DAY < sum(delay_after(n, None, middle) for n in range(1, MOST_ATTEMPTS)) < 1.1 * DAY


@pytest.mark.parametrize("retry_after", [None, 0.0, 60.0])
def test_the_last_attempt_is_followed_by_none(retry_after):
    assert delay_after(MOST_ATTEMPTS, retry_after, middle) is None


def test_delays_vary_by_a_fifth():
    assert delay_after(1, None, lambda low, _: low) == 4
    assert delay_after(1, None, lambda _, high: high) == 6


@pytest.mark.parametrize(("asked", "expected"), [(1.0, 5.0), (60.0, 60.0), (9e9, DAY)])
def test_the_receivers_wait_is_a_floor_of_at_most_a_day(asked, expected):
    assert delay_after(1, asked, middle) == expected
