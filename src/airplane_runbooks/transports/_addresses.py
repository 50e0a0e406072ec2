"""Addresses of a host, in the order in which connections to them are raced (RFC 8305)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from socket import AddressFamily, SocketKind
from typing import Any

from ..options import is_address_of

# Seconds before the next address is tried beside those that have not answered yet (section 5).
ATTEMPT_DELAY = 0.25

AddressInfo = tuple[AddressFamily, SocketKind, int, str, Any]
"""One of the results of `socket.getaddrinfo`."""


def race_order(host: str, found: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return the addresses that were found for a host, in the order in which to try them.

    The families take turns, and the one that the resolver prefers has the first (section 4). So a family that does not
    work costs one delay, however many addresses of it there are.

    Raises OSError if there is no address, and ValueError if a name of this machine leads to others alone.
    """
    if not found:
        raise OSError("the host name has no address")
    families: dict[int, list[AddressInfo]] = {}
    for info in found:
        if is_address_of(host, str(info[4][0])):
            families.setdefault(info[0], []).append(info)
    if not families:
        raise not_local(host)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [info for info in turns if info is not None]


def not_local(host: str) -> ValueError:
    """Return the error for a name of this machine that the resolver takes for another's."""
    return ValueError(f"{host} is looked up as another machine, to which nothing is sent that was meant for this one")
