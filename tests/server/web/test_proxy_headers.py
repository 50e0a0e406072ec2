"""The server behind proxies: its public URL, whom it believes, and what cookies it sets."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, RunbookServer, User, runbook
from airplane_runbooks.server.web.proxies import (
    ProxyHeaders,
    origin,
    parse_proxies,
    parse_public_url,
)
from airplane_runbooks.server.web.scope import BASE_PATH, PUBLIC_ORIGIN
from tests.support.browsing import Browser
from tests.support.servers import Client

pytestmark = pytest.mark.once

KEY = "tkn_5d41402abc4b2a76"
ADA = User("ada@example.com", "tkn_ada_7d793037a076")


@runbook
def ask(context: Context) -> bool:
    """Ask one thing."""
    return context.prompt("Well?", sure=bool)["sure"]


def seen(public_url=None, proxies=(), *, client="10.0.0.1", path="/x", root="", scheme="http", roots=(), **headers):
    headers_of = ProxyHeaders(None if public_url is None else parse_public_url(public_url), parse_proxies(proxies))
    named = {"host": "inner:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "scheme": scheme, "path": path, "root_path": root, "headers": raw, "client": (client, 1)}
    return headers_of.apply(scope, roots)


def test_headers_of_untrusted_clients_change_nothing():
    said = {"x_forwarded_for": "192.0.2.1", "x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
    for proxies in ((), ("10.0.0.2", "192.168.0.0/16")):
        scope = seen(proxies=proxies, x_forwarded_prefix="/evil", forwarded="for=192.0.2.1;proto=https", **said)
        assert (scope["client"], scope["scheme"], scope[BASE_PATH]) == (("10.0.0.1", 1), "http", "")
        assert scope[PUBLIC_ORIGIN] == "http://inner:8080"


def test_headers_of_a_trusted_proxy_are_believed():
    scope = seen(
        proxies=["10.0.0.0/8"],
        x_forwarded_for="192.0.2.1",
        x_forwarded_proto="https",
        x_forwarded_host="runbooks.example.com",
        x_forwarded_prefix="/tools/",
    )
    assert scope["client"] == ("192.0.2.1", 0)
    assert (scope[PUBLIC_ORIGIN], scope[BASE_PATH]) == ("https://runbooks.example.com:443", "/tools")
    assert (scope["path"], scope["root_path"]) == ("/tools/x", "/tools")
    assert (b"host", b"runbooks.example.com") in scope["headers"]


def test_the_forwarded_header_is_read():
    scope = seen(proxies=["10.0.0.1"], forwarded='For="[2001:db8::1]:47"; proto=https;host="runbooks.example.com"')
    assert scope["client"] == ("2001:db8::1", 0)
    assert scope[PUBLIC_ORIGIN] == "https://runbooks.example.com:443"


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.1.1.1, 10.2.2.2", "192.0.2.1"),
        ("192.0.2.1:1234", "192.0.2.1"),
        ("[2001:db8::1]:1234", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("10.1.1.1", "10.1.1.1"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(chain, address):
    assert seen(proxies=["10.0.0.0/8"], x_forwarded_for=chain)["client"][0] == address


def test_the_scheme_is_that_of_the_outermost_proxy():
    chain = {"x_forwarded_for": "1.1.1.1, 192.0.2.1, 10.1.1.1", "x_forwarded_proto": "gopher, https, http"}
    assert seen(proxies=["10.0.0.0/8"], **chain)["scheme"] == "https"


@pytest.mark.parametrize("prefix", ["//evil.example", "evil", "/a b", "/a;Domain=x", '/a"b', "/é"])
def test_an_invalid_prefix_is_ignored(prefix):
    assert seen(proxies=["10.0.0.1"], x_forwarded_prefix=prefix)[BASE_PATH] == ""


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_no_header_value_breaks_the_proxy_headers(text):
    for name in (
        "x_forwarded_for",
        "x_forwarded_proto",
        "x_forwarded_host",
        "x_forwarded_prefix",
        "forwarded",
        "host",
    ):
        seen(proxies=["10.0.0.1"], **{name: text})
    origin(text)


@pytest.mark.parametrize(
    "url",
    [
        "runbooks.example.com",
        "ftp://example.com",
        "https://",
        "https://a@example.com",
        "https://example.com/?x",
        "https://example.com/#x",
        "https://example.com:x",
        "https://example.com/a b",
        "https://example.com//a",
        "https://[::1",
    ],
)
def test_an_invalid_public_url_is_refused(url):
    with pytest.raises(ValueError, match="public_url"):
        RunbookServer([], public_url=url, api_key=KEY)


def test_trusted_proxies_are_addresses_and_networks():
    with pytest.raises(ValueError, match="trusted_proxies"):
        RunbookServer([], trusted_proxies=["proxy.example.com"])
    with pytest.raises(TypeError, match="sequence"):
        RunbookServer([], trusted_proxies="10.0.0.1")


@pytest.mark.parametrize("path", ["/x", "/tools/x"])
def test_a_proxy_may_pass_the_prefix_on_or_cut_it_off(path):
    scope = seen("https://runbooks.example.com/tools", path=path)
    assert (scope["path"], scope["root_path"], scope["scheme"]) == ("/tools/x", "/tools", "https")


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/runbooks/", "/"),
        ("/runbooks/runbooks", "/runbooks"),
        ("/runbooks/runbooks/refund", "/runbooks/refund"),
        ("/runbooks/sessions/ses1", "/sessions/ses1"),
        ("/", "/"),
        ("/runbooks", "/runbooks"),
        ("/runbooks/refund", "/runbooks/refund"),
        ("/sessions/ses1", "/sessions/ses1"),
    ],
)
def test_a_prefix_may_have_the_name_of_a_page(path, below):
    scope = seen("https://ops.example.com/runbooks", path=path, roots={"", "runbooks", "sessions"})
    assert (scope["path"], scope["root_path"]) == (f"/runbooks{below}", "/runbooks")


def test_a_long_prefix_may_begin_as_a_page_does():
    for path, below in (
        ("/runbooks/ops", ""),
        ("/runbooks/ops/sessions", "/sessions"),
        ("/runbooks/x", "/runbooks/x"),
    ):
        scope = seen("https://a.example/runbooks/ops", path=path, roots={"", "runbooks", "sessions"})
        assert scope["path"] == f"/runbooks/ops{below}"


def test_a_mounted_application_takes_the_prefix_too():
    scope = seen("https://runbooks.example.com/a/tools", path="/tools/x", root="/tools")
    assert (scope["path"], scope["root_path"]) == ("/a/tools/x", "/a/tools")


@contextmanager
def behind(server, prefix="", **said):
    """Stand between browsers and a server, as a proxy that cuts a prefix off does."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            length = int(self.headers.get("Content-Length", 0))
            headers = {**dict(self.headers), **{name.replace("_", "-"): value for name, value in said.items()}}
            reply = urllib3.request(
                self.command,
                server.base_url.removesuffix("/v0") + self.path.removeprefix(prefix),
                body=self.rfile.read(length) if length else None,
                headers=headers,
                redirect=False,
                retries=False,
            )
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() not in ("date", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.data)

        do_GET = do_POST = pass_on  # noqa: N815 - the base class has these names

        def log_message(self, *args):
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


OPTIONS = {
    "public URL": ({"public_url": "https://runbooks.example.com{}"}, {}),
    "headers": (
        {"trusted_proxies": ["127.0.0.1"]},
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "localhost", "X_Forwarded_Prefix": "{}"},
    ),
}


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("prefix", ["", "/tools", "/prompts"])
def test_pages_behind_a_proxy_link_to_the_public_url(prefix, how):
    options, said = OPTIONS[how]
    options = {name: value.format(prefix) if isinstance(value, str) else value for name, value in options.items()}
    said = {name: value.format(prefix) for name, value in said.items()}
    with RunbookServer([ask], api_key=KEY, users=[ADA], **options) as server, behind(server, prefix, **said) as url:
        api, person = Client(server), Browser(url)
        session_id = api.execute("ask")
        prompt_id = api.open_prompt(session_id)["id"]
        assert person.get("/").location == f"{prefix}/sign-in?next=%2F"
        reply = person.sign_in("tkn_ada_7d793037a076", next=f"/prompts/{prompt_id}")
        assert reply.location == f"{prefix}/prompts/{prompt_id}"
        cookie = reply.headers["Set-Cookie"]
        kind = "__Secure-" if prefix else "__Host-"
        assert re.match(rf"{kind}airplane_runbooks_[0-9a-f]{{8}}=", cookie)
        assert "; Secure" in cookie
        assert f"; Path={prefix}/;" in cookie
        page = person.get(f"/prompts/{prompt_id}").text
        links = re.findall(r'(?:href|action|src)="(/[^"]*)"', page)
        assert len(links) > 4
        for link in links:
            assert link.startswith(f"{prefix}/")
            if "/static/" in link:
                assert person.get(link.removeprefix(prefix)).status == 200
        public = "https://runbooks.example.com" if "public_url" in options else "https://localhost"
        foreign = person.post(f"/prompts/{prompt_id}", {}, Origin=public.replace("https", "http"))
        assert (foreign.status, "another site" in foreign.text) == (403, True)
        form = {"token": person.token(prompt_id), "action": "submit", "field-sure": "0"}
        answered = person.post(f"/prompts/{prompt_id}", form, Origin=public)
        assert answered.location == f"{prefix}/sessions/{session_id}"
        called = person.send("GET", "/v0/sessions/list", **{"X-Airplane-API-Key": KEY})
        assert json.loads(called.text)["sessions"][0]["id"] == session_id
        api.close()
        person.close()


def test_the_prefix_without_a_slash_leads_to_the_first_page():
    with RunbookServer([ask], api_key=KEY, public_url="https://a.example/tools") as server:
        person = Browser(server.base_url)
        for path in ("/tools", "/tools?live=off"):
            assert (person.get(path).status, person.get(path).location) == (308, path.replace("/tools", "/tools/"))
        assert person.post("/tools", {}).status == 404
        person.close()


def test_only_the_public_host_and_loopback_are_accepted(monkeypatch):
    with RunbookServer([], api_key=KEY, public_url="https://runbooks.example.com:8443/tools") as server:
        for host, status in (("runbooks.example.com", 200), ("localhost", 200), ("evil.example", 421)):
            headers = {"Host": host, "X-Airplane-API-Key": KEY}
            assert urllib3.request("GET", f"{server.base_url}/sessions/list", headers=headers).status == status


def test_two_servers_on_one_host_have_separate_cookies():
    with RunbookServer([]) as one, RunbookServer([]) as other:
        here, there = Browser(one.base_url, one.api_key), Browser(other.base_url, other.api_key)
        names = [browser.cookie.partition("=")[0] for browser in (here, there)]
        assert len({*names}) == 2
        here.cookie = there.cookie = f"{here.cookie}; {there.cookie}"
        assert here.get("/").status == there.get("/").status == 200
        here.close()
        there.close()


def test_a_sign_out_ends_stolen_copies_of_the_cookie(tmp_path):
    options = {"api_key": KEY, "users": [ADA], "database": f"sqlite:///{tmp_path}/runbooks.db"}
    with RunbookServer([ask], **options) as server:
        here, there = (Browser(server.base_url, "tkn_ada_7d793037a076") for _ in range(2))
        assert here.cookie != there.cookie
        stolen = here.cookie
        token = next(iter(here.get("/").tokens()))
        assert here.post("/sign-out", {"token": token}).status == 303
        assert here.post("/sign-out", {"token": token}, Cookie=stolen).status == 403
        assert here.get("/", Cookie=stolen).location == "/sign-in?next=%2F"
        assert here.get("/sign-in", Cookie=stolen).status == 200
        assert there.get("/").status == 200
        cookies = stolen, there.cookie
        here.close()
        there.close()
    with RunbookServer([ask], **options) as server:
        again = Browser(server.base_url)
        assert [again.get("/", Cookie=cookie).status for cookie in cookies] == [303, 200]
        again.close()


def test_no_body_is_read_for_a_signed_out_cookie():
    with RunbookServer([ask]) as server:
        person = Browser(server.base_url, server.api_key)
        stolen = person.cookie
        person.post("/sign-out", {"token": next(iter(person.get("/").tokens()))})
        parts = urlsplit(server.base_url)
        with socket.create_connection((parts.hostname, parts.port), timeout=100) as connection:
            lines = (
                "POST /prompts/x HTTP/1.1",
                "Host: localhost",
                f"Cookie: {stolen}",
                "Content-Length: 9",
                "",
                "",
            )
            connection.sendall("\r\n".join((*lines, "", "")).encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 403")
        person.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("http://localhost:{port}", 403),
        ("http://127.0.0.1:{port}", 403),
        ("https://127.0.0.1", 403),
        ("HTTP://127.0.0.1", 200),
        ("http://127.0.0.1:80", 200),
        ("http://127.0.0.1:8080", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://evil@127.0.0.2", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
def test_origins_are_compared_as_a_whole(sent, status):
    with RunbookServer([]) as server:
        person = Browser(server.base_url)
        headers = {"Host": "127.0.0.1", "Origin": sent.format(port=urlsplit(server.base_url).port)}
        reply = person.post("/sign-in", {"key": server.api_key}, **headers)
        assert reply.status == (303 if status == 200 else status)
        person.close()
