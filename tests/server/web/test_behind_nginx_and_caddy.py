"""The server behind real reverse proxies that are configured as the documentation shows: TLS, prefix, long polls."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import pytest
import urllib3

from airplane_runbooks import Airplane, AsyncAirplane
from airplane_runbooks.http import Headers, Request
from airplane_runbooks.server import Context, RunbookServer, User, runbook
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from tests.support import reverse_proxies
from tests.support.browsing import Browser
from tests.support.reverse_proxies import CADDY, NGINX
from tests.support.servers import Client
from tests.support.timing import PATIENCE

pytestmark = [pytest.mark.nightly, pytest.mark.once]

KEY = "tkn_5d41402abc4b2a76"
ADA = "tkn_ada_7d793037a076"
MAX_BODY = 8 * 1024 * 1024
NEEDS_NGINX = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
NEEDS_CADDY = pytest.mark.skipif(CADDY is None, reason="Caddy is not installed")
CUT_OFF = {"proxy_pass http://runbooks;": "proxy_pass http://runbooks/;"}
AT_ROOT = {"location /tools/": "location /", "location = /tools {": "location = /unused {"}
SHAPES = [
    pytest.param(("nginx", "/tools", {}), id="nginx", marks=NEEDS_NGINX),
    pytest.param(("nginx", "/tools", CUT_OFF), id="nginx-cuts", marks=NEEDS_NGINX),
    pytest.param(("nginx", "/runbooks", {"/tools": "/runbooks"}), id="nginx-runbooks", marks=NEEDS_NGINX),
    pytest.param(
        ("nginx", "/runbooks", {"/tools": "/runbooks", **CUT_OFF}), id="nginx-cuts-runbooks", marks=NEEDS_NGINX
    ),
    pytest.param(("nginx", "", AT_ROOT), id="nginx-root", marks=NEEDS_NGINX),
    pytest.param(("caddy", "/tools", {}), id="caddy", marks=NEEDS_CADDY),
]
EXAMPLES = [SHAPES[0], SHAPES[-1]]


@runbook
def refund(context: Context, customer: str) -> str:
    """Refund a customer."""
    return f"{customer}: {context.prompt('Well?', sure=bool)['sure']}"


class Site(NamedTuple):
    server: RunbookServer
    url: str
    plain_url: str
    trust: ssl.SSLContext
    prefix: str

    def browser(self, key: str | None = None) -> Browser:
        browser = Browser(self.url)
        browser.pool = urllib3.PoolManager(ssl_context=self.trust, retries=False, timeout=PATIENCE)
        if key is not None:
            assert browser.sign_in(key).status == 303
        return browser

    def api(self) -> Client:
        client = Client(self.server)
        client.url = f"{self.url}/v0"
        client.pool = urllib3.PoolManager(ssl_context=self.trust, retries=False, timeout=PATIENCE)
        return client


@contextmanager
def bound(*, listens: bool) -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not listens:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        if listens:
            one.listen(128)
        yield one


@pytest.fixture(scope="module", params=SHAPES)
def site(request: Any) -> Iterator[Site]:
    kind, prefix, changes = request.param
    listens = kind == "nginx"
    with bound(listens=listens) as secure, bound(listens=listens) as plain:
        url = f"https://localhost:{secure.getsockname()[1]}{prefix}"
        users = [User("ada@example.com", ADA)]
        proxies = ["127.0.0.1"]
        with RunbookServer([refund], api_key=KEY, users=users, public_url=url, trusted_proxies=proxies) as server:
            upstream = {"127.0.0.1:8080": urlsplit(server.base_url).netloc}
            with getattr(reverse_proxies, kind)(secure, plain, {**upstream, **changes}) as authority:
                trust = ssl.create_default_context()
                authority.configure_trust(trust)
                yield Site(server, url, f"http://127.0.0.1:{plain.getsockname()[1]}{prefix}", trust, prefix)


def links(html: str) -> set[str]:
    return {link.replace("&amp;", "&") for link in re.findall(r'(?:href|action|src)="([^"]*)"', html)}


def origin(site: Site) -> dict[str, str]:
    parts = urlsplit(site.url)
    return {"Origin": f"{parts.scheme}://{parts.netloc}"}


def test_every_page_and_form_works_behind_a_proxy(site):
    person, api = site.browser(), site.api()
    assert person.get("/").location == f"{site.prefix}/sign-in?next=%2F"
    signed_in = person.sign_in(ADA, next="/runbooks/refund")
    assert signed_in.location == f"{site.prefix}/runbooks/refund"
    name, cookie = person.cookie.partition("=")[0], signed_in.headers["Set-Cookie"]
    assert name.startswith("__Secure-" if site.prefix else "__Host-")
    assert f"; Path={site.prefix}/;" in cookie
    assert "; Secure" in cookie

    form = person.get("/runbooks/refund")
    values = {**form.form.by_name(), "field-customer": "c1"}
    started = person.post("/runbooks/refund", values, **origin(site))
    assert started.location.startswith(f"{site.prefix}/sessions/")
    session_id = started.location.rpartition("/")[2]
    prompt_id = api.open_prompt(session_id)["id"]
    answered = {"token": person.token(prompt_id), "action": "submit", "field-sure": "1"}
    assert person.post(f"/prompts/{prompt_id}", answered, **origin(site)).location == started.location
    api.reaches(session_id, "Succeeded")

    seen, ahead = set(), {f"{site.prefix}/", started.location}
    while ahead:
        link = ahead.pop()
        seen.add(link)
        assert link.startswith(f"{site.prefix}/")
        page = person.get(link.removeprefix(site.prefix))
        assert page.status in (200, 405) or page.location.startswith(f"{site.prefix}/"), link
        found = {urljoin(link, other).partition("#")[0] for other in links(page.text)} if page.status == 200 else set()
        ahead |= {other for other in found if "?live=" not in other} - seen
    texts = " ".join(seen)
    assert all(f"{site.prefix}/{part}" in texts for part in ("sessions", "runbooks", "static/", "runs/"))

    token = next(iter(person.get("/").tokens()))
    assert person.post("/sign-out", {"token": token}, **origin(site)).location.startswith(f"{site.prefix}/")
    assert person.get("/").location == f"{site.prefix}/sign-in?next=%2F"
    api.close()
    person.close()


def test_forms_of_other_sites_are_refused_behind_the_proxy(site):
    person = site.browser(ADA)
    form = person.get("/runbooks/refund").form.by_name()
    for sender in ("https://localhost", "http://localhost", "https://evil.example"):
        refused = person.post("/runbooks/refund", {**form, "field-customer": "c1"}, Origin=sender)
        assert (refused.status, "another site" in refused.text) == (403, True)
    person.close()


@pytest.mark.parametrize("site", EXAMPLES, indirect=True)
def test_plain_http_and_a_prefix_without_slash_are_redirected(site):
    with urllib3.PoolManager(ssl_context=site.trust, retries=False) as pool:
        bare = pool.request("GET", site.url, redirect=False)
        plain = pool.request("GET", f"{site.plain_url}/runbooks?q=1", redirect=False, headers={"Host": "localhost"})

    assert (bare.status, urljoin(site.url, bare.headers["Location"])) == (308, f"{site.url}/")
    assert (plain.status, plain.headers["Location"]) == (308, f"https://localhost{site.prefix}/runbooks?q=1")


@pytest.mark.parametrize("site", EXAMPLES, indirect=True)
def test_a_long_poll_waits_behind_the_proxy_and_hears_a_change(site):
    api = site.api()
    session_id = api.execute("refund", {"customer": "c1"})
    api.open_prompt(session_id)
    first = api.get("/sessions/get", id=session_id)
    waiting = {"Prefer": "wait=20", "If-None-Match": first.headers["ETag"]}
    began = time.monotonic()
    url = f"{api.url}/sessions/get?id={session_id}"
    unchanged = api.pool.request("GET", url, headers={**api.headers, **waiting})
    assert (unchanged.status, unchanged.headers["Preference-Applied"]) == (304, "wait=20")
    assert time.monotonic() - began > 19

    answering = threading.Timer(1, api.answer, [session_id], {"sure": True})
    answering.start()
    changed = api.pool.request("GET", url, headers={**api.headers, **waiting})
    answering.join()
    assert (changed.status, json.loads(changed.data)["id"]) == (200, session_id)
    api.close()


@pytest.mark.parametrize("site", EXAMPLES, indirect=True)
def test_wrong_keys_count_for_the_visitors_address(site, caplog):
    visitor = urllib3.PoolManager(ssl_context=site.trust, retries=False, source_address=("127.0.0.5", 0))
    invented = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Forwarded-Prefix": "/evil"}
    with caplog.at_level(logging.INFO, "airplane_runbooks.server"):
        refused = visitor.request(
            "POST",
            f"{site.url}/sign-in",
            fields={"key": "tkn_wrong"},
            encode_multipart=False,
            headers={**invented, **origin(site)},
        )
    addresses = [record.address for record in caplog.records if getattr(record, "event", "") == "SignInRefused"]
    visitor.clear()

    assert refused.status == 403
    assert addresses == ["127.0.0.5"]


@pytest.mark.parametrize("site", EXAMPLES, indirect=True)
def test_the_server_itself_refuses_bodies_beyond_its_limit(site):
    origin, _, prefix = site.url.rpartition("/")
    headers = Headers({"X-Airplane-API-Key": KEY, "Content-Type": "application/json"})
    start, end = b'{"slug": "refund", "paramValues": {"customer": "', b'"}}'
    # Caddy replies as soon as the server has, and stops reading. A client has to look for a reply while it is sending.
    with closing(Urllib3Transport(ssl_context=site.trust)) as transport:
        for size, status in ((MAX_BODY, 200), (MAX_BODY + 1, 413)):
            body = start + b"x" * (size - len(start) - len(end)) + end
            target = f"/{prefix}/v0/runbooks/execute"
            request = Request(method="POST", origin=origin, target=target, headers=headers, body=body)
            assert transport.send(request, PATIENCE).status == status


@pytest.mark.parametrize("site", EXAMPLES, indirect=True)
def test_clients_follow_sessions_behind_the_proxy(site):
    url = f"{site.url}/v0"

    async def follow() -> Any:
        transport = AsyncioTransport(ssl_context=site.trust)
        async with AsyncAirplane(ADA, base_url=url, transport=transport) as airplane:
            return await airplane.runbooks.run(
                "refund", {"customer": "c2"}, on_prompt=lambda prompt, schema: {"sure": False}, wait_timeout=PATIENCE
            )

    with Airplane(ADA, base_url=url, transport=Urllib3Transport(ssl_context=site.trust)) as airplane:
        one = airplane.runbooks.run(
            "refund", {"customer": "c1"}, on_prompt=lambda prompt, schema: {"sure": True}, wait_timeout=PATIENCE
        )

    assert (one, asyncio.run(follow())) == ("c1: True", "c2: False")
