"""These tests need the official clients, which only their own session installs."""

from __future__ import annotations


def pytest_ignore_collect(config):
    return True if not config.getoption("markexpr").startswith("compat") else None
