"""The order in which the addresses of a host are tried."""

from __future__ import annotations

import socket

import pytest

from airplane_runbooks.transports._addresses import AddressInfo, race_order


def info(address: str) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 443, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)


def order(host: str, *addresses: str) -> list[str]:
    return [found[4][0] for found in race_order(host, [info(address) for address in addresses])]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["192.0.2.1"], ["192.0.2.1"]),
        (["2001:db8::1", "2001:db8::2", "192.0.2.1"], ["2001:db8::1", "192.0.2.1", "2001:db8::2"]),
        (["192.0.2.1", "192.0.2.2", "2001:db8::1"], ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        (
            ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
            ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ),
    ],
    ids=["one address", "IPv6 first", "IPv4 first", "one of IPv6"],
)
def test_address_families_take_turns_as_the_resolver_prefers(found: list[str], expected: list[str]) -> None:
    assert order("api.test", *found) == expected


def test_a_loopback_name_leads_to_loopback_addresses_alone() -> None:
    assert order("localhost", "192.0.2.1", "::1", "127.0.0.1") == ["::1", "127.0.0.1"]
    with pytest.raises(ValueError, match="localhost is looked up as another machine"):
        order("localhost", "192.0.2.1", "2001:db8::1")


def test_a_host_without_an_address_cannot_be_connected_to() -> None:
    with pytest.raises(OSError, match="no address"):
        order("api.test")
