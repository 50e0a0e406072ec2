"""`sessions.get` of 1.2 KB, made in different ways: each factory returns a function that makes it once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from .canned import NEW, OLD, Endpoint
from .contenders import HEADERS, Call, airplane_of, urllib3_pool

PATH = f"/v0/sessions/get?id={NEW}"


class Parameter(msgspec.Struct, rename="camel"):
    """A parameter, as one would declare it by hand."""

    slug: str
    name: str
    type: str
    desc: str = ""
    component: str = ""
    constraints: dict[str, Any] = {}


class Session(msgspec.Struct, rename="camel"):
    """A session, as one would declare it by hand."""

    id: str
    name: str
    runbook_id: str = msgspec.field(name="runbookID")
    status: str
    param_values: dict[str, Any]
    params: list[Parameter]
    permissions: list[dict[str, str]]
    team_id: str = msgspec.field(name="teamID")
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    is_private: bool = False


def bare_urllib3(endpoint: Endpoint) -> Call:
    """The least that one can do with urllib3: a pool, a timeout, and msgspec with the types of the reply."""
    pool, decode = urllib3_pool(endpoint), msgspec.json.Decoder(Session).decode

    def call() -> object:
        return decode(pool.urlopen("GET", PATH, headers=HEADERS).data)

    return call


def ours(endpoint: Endpoint) -> Call:
    """`Airplane.sessions.get` with everything it does; timestamps as RFC 3339 has them."""
    airplane = airplane_of(endpoint)
    return lambda: airplane.sessions.get(NEW)


def ours_old(endpoint: Endpoint) -> Call:
    """The same; timestamps in the form of the API's documentation."""
    airplane = airplane_of(endpoint)
    return lambda: airplane.sessions.get(OLD)


def requests_session(endpoint: Endpoint) -> Call:
    """Requests, with a session and its own JSON."""
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)

    def call() -> object:
        return session.get(f"{endpoint.origin}{PATH}", timeout=30, verify=endpoint.ca or True).json()["status"]

    return call


def httpx_client(endpoint: Endpoint) -> Call:
    """Httpx with its own JSON."""
    import httpx

    verify = endpoint.context() if endpoint.ca else True
    client = httpx.Client(base_url=endpoint.origin, timeout=30.0, headers=HEADERS, trust_env=False, verify=verify)
    return lambda: client.get(PATH).json()["status"]
