"""Limits on failed logins, with an API key or at the sign-in. A right key never gets here, so it is never delayed."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from math import ceil

from ..errors import Unauthorized, WrongKeys

MAX_PER_KEY = 60  # at once, and in each further minute
MAX_PER_ADDRESS = 30
MAX_IN_ALL = 200

_MAX_NAMES = 10_000  # keys that are remembered, and as many addresses: those that failed last


class FailedLoginLimiter:
    """Counts the wrong keys that one application was shown, through the API and at the sign-in. Thread-safe.

    A key is counted wherever it comes from. Keys are also counted by the client's address, if addresses can be told
    apart: behind a proxy that is not trusted, all clients seem to have the same one.
    """

    def __init__(self, *, by_address: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_address = by_address
        self._lock = threading.Lock()
        self._keys = TokenBuckets(MAX_PER_KEY, clock)
        self._addresses = TokenBuckets(MAX_PER_ADDRESS, clock)
        self._all = TokenBuckets(MAX_IN_ALL, clock)

    def count(self, key: str, address: str) -> Unauthorized | WrongKeys:
        """Count a wrong key, and return the error to answer with."""
        names = [(self._keys, sha256(key.encode(errors="surrogatepass")).hexdigest()), (self._all, "")]
        if self._by_address:
            names.append((self._addresses, _network(address)))
        with self._lock:
            wait = max(buckets.wait(name) for buckets, name in names)
            if not wait:
                for buckets, name in names:
                    buckets.take(name)
        return WrongKeys(ceil(wait)) if wait else Unauthorized("unauthorized", "a valid API key is required")


class TokenBuckets:
    """Token buckets by name: `size` tokens at once, and as many again in each minute."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and the time of the count

    def __len__(self) -> int:
        return len(self._levels)

    def wait(self, name: str) -> float:
        """Return the seconds until the next token; 0 if there is one now."""
        return max(1 - self._level(name), 0) * 60 / self._size

    def take(self, name: str) -> None:
        """Take one token."""
        self._levels[name] = (self._level(name) - 1, self._clock())
        self._levels.move_to_end(name)
        if len(self._levels) > _MAX_NAMES:
            self._levels.popitem(last=False)

    def _level(self, name: str) -> float:
        level, since = self._levels.get(name, (float(self._size), 0.0))
        return min(level + (self._clock() - since) * self._size / 60, self._size)


def _network(address: str) -> str:
    """Return the network that one host has to itself: with IPv6, a host has 2**64 addresses."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address
