"""The names of urllib3 that are not public, and that the default transport relies on."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from urllib3 import connection, connectionpool
from urllib3.util import connection as addresses

NAMES = [
    (connection.HTTPConnection, "_new_conn", ["self"]),
    (connection.HTTPConnection, "_tunnel", ["self"]),
    (connection.HTTPConnection, "connect", ["self"]),
    (connection.HTTPSConnection, "connect", ["self"]),
    (connection.HTTPSConnection, "_connect_tls_proxy", ["self", "hostname", "sock"]),
    (connectionpool.HTTPConnectionPool, "_new_conn", ["self"]),
    (connectionpool.HTTPSConnectionPool, "_new_conn", ["self"]),
    (connectionpool.HTTPSConnectionPool, "_prepare_proxy", ["self", "conn"]),
    (addresses, "allowed_gai_family", []),
]


@pytest.mark.parametrize(("owner", "name", "parameters"), NAMES, ids=lambda value: getattr(value, "__name__", None))
def test_a_private_name_of_urllib3_is_where_it_was(owner: Any, name: str, parameters: list[str]) -> None:
    function = getattr(owner, name, None)
    assert function is not None, f"{owner.__name__}.{name} has moved: see airplane_runbooks.transports.urllib3"
    assert list(inspect.signature(function).parameters) == parameters


def test_private_attributes_of_urllib3_are_where_they_were() -> None:
    made = connection.HTTPSConnection("api.test.", 443)
    made.set_tunnel("origin.test", 8443, {"name": "value"}, scheme="https")
    found: Any = made
    assert (found._dns_host, found._tunnel_host, found._tunnel_port) == ("api.test.", "origin.test", 8443)
    assert found._tunnel_headers["name"] == "value"
    assert made.proxy_is_tunneling
