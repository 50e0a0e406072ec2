"""Instruments that a provider of metrics has once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from opentelemetry import metrics

from .spans import SCHEMA_URL

T = TypeVar("T")


class OncePerProvider(Generic[T]):
    """Holders of instruments, one for each provider: an SDK drops the callbacks of a second one of the same name.

    A provider keeps callbacks for ever, so what a holder reports on must be held weakly.
    """

    def __init__(self, make: Callable[[], T], start: Callable[[T, metrics.Meter], None]) -> None:
        self._make = make
        self._start = start
        self._holders: weakref.WeakKeyDictionary[object, T] = weakref.WeakKeyDictionary()

    def get(self, provider: metrics.MeterProvider | None, scope: str, version: str) -> T:
        """Return the holder of a provider, or of the process if there is none, and make it if there is none yet."""
        current = metrics.get_meter_provider()
        key: object = current if provider is None else provider
        if key is current and key not in self._holders:
            key = _OfProcess  # what was built before it was set may report to it already
        made = self._make()
        kept = self._holders.setdefault(key, made)
        if kept is made:  # and not another thread's
            self._start(kept, metrics.get_meter(scope, version, provider, SCHEMA_URL))
        return kept


class _OfProcess:
    """Stands for the provider of the process, which may yet have to be set."""
