"""Wrong keys: how many of them there may be before they are put off. A right key never comes to this."""

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
MOST = 200

_REMEMBERED = 10_000  # keys, and as many addresses: those that were wrong last


class FailedLoginLimiter:
    """Counts wrong keys of one application, on all of its doors. For any thread.

    The same key is counted wherever it comes from, and any key by the address it comes from, if addresses can be told
    apart: behind a proxy that is not trusted, everybody seems to come from one.
    """

    def __init__(self, *, by_address: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_address = by_address
        self._lock = threading.Lock()
        self._keys = TokenBuckets(MAX_PER_KEY, clock)
        self._addresses = TokenBuckets(MAX_PER_ADDRESS, clock)
        self._all = TokenBuckets(MOST, clock)

    def refusal(self, key: str, address: str) -> Unauthorized | WrongKeys:
        """Count a wrong key, and return what to answer."""
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
    """Bounds events by name over time: `most` at once, and as many again in each minute."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the room there was, and when

    def wait(self, name: str) -> float:
        """Return after how many seconds there will be room for one more; 0 if there is now."""
        return max(1 - self._room(name), 0) * 60 / self._most

    def take(self, name: str) -> None:
        """Count one."""
        self._levels[name] = (self._room(name) - 1, self._clock())
        self._levels.move_to_end(name)
        if len(self._levels) > _REMEMBERED:
            self._levels.popitem(last=False)

    def _room(self, name: str) -> float:
        room, since = self._levels.get(name, (float(self._most), 0.0))
        return min(room + (self._clock() - since) * self._most / 60, self._most)


def _network(address: str) -> str:
    """Return what one host has of addresses: with IPv6, whoever has one has 2**64 of them."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address
