"""Requests through real proxies on loopback: who gets to see what, and what goes wrong."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import trustme

from airplane_runbooks import (
    Airplane,
    AsyncAirplane,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    RetryPolicy,
)
from airplane_runbooks._responses.redaction import redactor_of
from airplane_runbooks.http import CallState, ClientRequest
from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.testing.conformance import KEY, PLENTY, request_to, times_out
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports._proxies import GivenProxy, Proxies, parse_proxy
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from tests.support.timing import TIMED
from tests.support.tracebacks import traceback_of

pytestmark = TIMED

ORIGIN = "https://api.test"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
def api(authority: trustme.CA) -> Iterator[HostileServer]:
    """The real server, known to the proxy alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(context)
    with HostileServer(always(reply(b'"through"')), ssl_context=context) as server:
        yield server


def tunnel_to(port: Callable[[], int], seen: list[bytes]) -> Callable[[Peer], None]:
    """Return the script of a CONNECT proxy that leads every name to one port of this machine."""

    def pump(source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with contextlib.suppress(OSError):  # the other direction has closed both ends
            while data := source.recv(65536):
                if keep:
                    seen.append(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        with socket.create_connection(("127.0.0.1", port())) as upstream:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(upstream, peer.sock, False), daemon=True)
            back.start()
            pump(peer.sock, upstream, True)
            back.join()

    return script


def pass_back(upstream: socket.socket, peer: Peer, begun: threading.Event, done: threading.Event) -> None:
    """Pass on what a server says, but hold its answer back until two records of it can go out together."""
    with contextlib.suppress(OSError):
        while data := upstream.recv(65536):
            if begun.is_set():
                done.wait(PLENTY)
                upstream.settimeout(0.2)  # what has been sent on loopback has arrived by then
                with contextlib.suppress(TimeoutError):
                    while more := upstream.recv(65536):
                        data += more
                upstream.settimeout(None)
            peer.send(data)


def test_https_goes_through_a_tunnel_that_learns_nothing(api: HostileServer, trusting: ssl.SSLContext) -> None:
    seen: list[bytes] = []
    with HostileServer(tunnel_to(lambda: api.port, seen)) as proxy:
        transport = Urllib3Transport(proxy=f"http://user:p%40ss@localhost:{proxy.port}", ssl_context=trusting)
        for _ in range(3):
            assert transport.send(request_to(ORIGIN), PLENTY).body == b'"through"'
        transport.close()
        assert proxy.connections == 1
    head = seen[0].lower()
    assert head.startswith(b"connect api.test:443 http/1.1\r\nhost: api.test:443\r\n")
    assert head.count(b"\r\nhost:") == 1
    assert b"proxy-authorization: basic " + base64.b64encode(b"user:p@ss").lower() in head
    assert KEY.encode() not in b"".join(seen)


class TestProxyUnderTLS:
    """One TLS connection inside of another."""

    @pytest.fixture
    def secured(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        return context

    def test_a_tunnel_leads_through_a_tls_proxy(
        self, api: HostileServer, secured: ssl.SSLContext, trusting: ssl.SSLContext
    ) -> None:
        with HostileServer(tunnel_to(lambda: api.port, []), ssl_context=secured) as proxy:
            transport = Urllib3Transport(proxy=f"https://localhost:{proxy.port}", ssl_context=trusting)
            for body in (b"{}", b"x" * 5_000_000, b"{}"):
                assert transport.send(request_to(ORIGIN, body), PLENTY).body == b'"through"'
            assert transport.send(request_to(ORIGIN), None).body == b'"through"'
            assert proxy.connections == 1
            transport.close()

    def test_plain_http_is_forwarded_by_a_tls_proxy(self, secured: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
        with HostileServer(always(reply(b"1")), ssl_context=secured) as proxy:
            transport = Urllib3Transport(proxy=f"https://localhost:{proxy.port}", ssl_context=trusting)
            for _ in range(2):
                assert transport.send(request_to("http://api.test"), PLENTY).body == b"1"
            assert proxy.connections == 1
            transport.close()

    @pytest.mark.parametrize("says_so", [True, False])
    def test_a_stream_that_is_cut_off_is_not_the_end_of_a_body(
        self, authority: trustme.CA, secured: ssl.SSLContext, trusting: ssl.SSLContext, says_so: bool
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("api.test").configure_cert(context)

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nwhole")
            if says_so:
                with contextlib.suppress(OSError):
                    peer.sock.unwrap()  # type: ignore[attr-defined]  # of TLS sockets

        with (
            HostileServer(script, ssl_context=context) as server,
            HostileServer(tunnel_to(lambda: server.port, []), ssl_context=secured) as proxy,
        ):
            transport = Urllib3Transport(proxy=f"https://localhost:{proxy.port}", ssl_context=trusting)
            if says_so:
                assert transport.send(request_to(ORIGIN), PLENTY).body == b"whole"
            else:
                with pytest.raises(ConnectionLost):
                    transport.send(request_to(ORIGIN), PLENTY)
            transport.close()

    def test_what_follows_a_response_does_not_become_the_next_one(
        self, authority: trustme.CA, secured: ssl.SSLContext, trusting: ssl.SSLContext
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("api.test").configure_cert(context)
        begun, done = threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            while peer.read_request():
                begun.set()
                peer.send(reply(b"good"))
                peer.send(reply(b"evil"))
                done.set()

        def relay(peer: Peer) -> None:
            peer.read_request()
            with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pass_back, args=(upstream, peer, begun, done), daemon=True)
                back.start()
                with contextlib.suppress(OSError):
                    while data := peer.sock.recv(65536):
                        upstream.sendall(data)
                    upstream.shutdown(socket.SHUT_RDWR)
                back.join()

        with (
            HostileServer(script, ssl_context=context) as server,
            HostileServer(relay, ssl_context=secured) as proxy,
        ):
            transport = Urllib3Transport(proxy=f"https://localhost:{proxy.port}", ssl_context=trusting)
            for _ in range(2):
                assert transport.send(request_to(ORIGIN), PLENTY).body == b"good"
            assert proxy.connections == 2
            transport.close()

    def test_a_dripping_handshake_in_a_tunnel_meets_the_timeout(
        self, secured: ssl.SSLContext, trusting: ssl.SSLContext
    ) -> None:
        """Each byte is a whole record to the outer connection, but the inner one waits for all of its own."""

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            peer.drip(b"\x16\x03\x03\x40\x00" + bytes(100))

        with HostileServer(script, ssl_context=secured) as proxy:
            transport = Urllib3Transport(proxy=f"https://localhost:{proxy.port}", ssl_context=trusting)
            assert times_out(transport, request_to(ORIGIN), 1.0).sent is False
            transport.close()


def test_the_proxys_password_does_not_reach_the_server(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    seen: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(context)

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(reply())

    with (
        HostileServer(script, ssl_context=context) as server,
        HostileServer(tunnel_to(lambda: server.port, [])) as proxy,
    ):
        transport = Urllib3Transport(proxy=f"http://user:pass@localhost:{proxy.port}", ssl_context=trusting)
        transport.send(request_to(ORIGIN), PLENTY)
        transport.close()
    assert b"proxy-authorization" not in seen[0].lower()
    assert KEY.encode() in seen[0]


def test_plain_http_is_forwarded_with_the_whole_url() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(reply())

    with HostileServer(script) as proxy:
        transport = Urllib3Transport(proxy=f"http://user:pass@localhost:{proxy.port}")
        assert transport.send(request_to("http://api.test:8080"), PLENTY).status == 200
        transport.close()
    head = seen[0].lower()
    assert head.startswith(b"post http://api.test:8080/v0/runbooks/execute http/1.1\r\n")
    assert b"\r\nhost: api.test:8080\r\n" in head
    assert b"\r\nproxy-authorization: basic " in head


def test_a_password_repeated_by_a_proxy_is_not_in_the_error() -> None:
    def script(peer: Peer) -> None:
        peer.send(reply(peer.read_request(), status="407 Proxy Authentication Required"))

    secret = base64.b64encode(b"user:hunter2").decode()
    with HostileServer(script) as proxy:
        transport = Urllib3Transport(proxy=f"http://user:hunter2@localhost:{proxy.port}")
        call = CallState(started=0.0, deadline=None, attempt_timeout=None, retry=RetryPolicy())
        request = ClientRequest(**msgspec.structs.asdict(request_to("http://api.test")), call=call)
        assert secret in transport.send(request, PLENTY).body.decode()
        transport.close()
    assert secret not in redactor_of(call.sent).text(f"proxy-authorization: Basic {secret}")


@pytest.mark.parametrize(
    ("status", "transient"), [("407 Proxy Authentication Required", False), ("502 Bad Gateway", True)]
)
def test_a_refused_tunnel_was_not_sent(status: str, transient: bool) -> None:
    with HostileServer(always(reply(status=status))) as proxy:
        transport = Urllib3Transport(proxy=f"http://user:hunter2@localhost:{proxy.port}")
        with pytest.raises(ConnectError, match=status[:3]) as caught:
            transport.send(request_to(ORIGIN), PLENTY)
        transport.close()
    shown = traceback_of(caught.value)
    assert "hunter2" not in shown
    assert base64.b64encode(b"user:hunter2").decode() not in shown
    assert KEY not in shown
    assert caught.value.sent is False
    assert caught.value.transient is transient
    assert not caught.value.maybe_processed


def test_a_tunnel_in_which_the_proxy_speaks_first_is_refused() -> None:
    with HostileServer(always(b"HTTP/1.1 200 OK\r\n\r\n" + reply(b"evil"))) as proxy:
        transport = Urllib3Transport(proxy=f"http://localhost:{proxy.port}")
        with pytest.raises(ConnectError, match="before the server could"):
            transport.send(request_to(ORIGIN), PLENTY)
        transport.close()


def test_a_tunnel_may_lead_to_an_address() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(reply(status="502 Bad Gateway"))

    with HostileServer(script) as proxy:
        transport = Urllib3Transport(proxy=f"http://localhost:{proxy.port}")
        with pytest.raises(ConnectError):
            transport.send(request_to("https://[2001:db8::1]:8443"), PLENTY)
        transport.close()
    assert seen[0].startswith(b"CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nhost: [2001:db8::1]:8443\r\n")


def test_a_proxy_that_does_not_speak_http_was_not_sent() -> None:
    with HostileServer(always(b"SSH-2.0\r\n")) as proxy:
        transport = Urllib3Transport(proxy=f"http://localhost:{proxy.port}")
        with pytest.raises(ConnectError, match="tunnel"):
            transport.send(request_to(ORIGIN), PLENTY)
        transport.close()


@pytest.mark.parametrize("origin", [ORIGIN, "http://api.test:8080"], ids=["tunnel", "forwarded"])
def test_no_connection_names_the_server_and_the_proxy(origin: str) -> None:
    with socket.socket() as taken:  # bound and not listening: it refuses connections
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        transport = Urllib3Transport(proxy=f"http://user:hunter2@127.0.0.1:{port}")
        with pytest.raises(ConnectError) as caught:
            transport.send(request_to(origin), PLENTY)
        transport.close()
    host = origin.partition("://")[2]
    assert str(caught.value).startswith(f"no connection to {host} through the proxy http://127.0.0.1:{port}: ")
    assert "hunter2" not in traceback_of(caught.value)


def test_a_dripping_proxy_does_not_outlast_the_timeout() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(b"HTTP/1.1 200 Connection established\r\n\r\n")

    with HostileServer(script) as proxy:
        transport = Urllib3Transport(proxy=f"http://localhost:{proxy.port}")
        assert times_out(transport, request_to(ORIGIN), 1.0).sent is False
        transport.close()


USELESS = [
    *("socks5://user:hunter2@proxy.test", "http://", "http://user:hunter2@proxy.test:port", "http://user:hunter2@[::1"),
    *("http://user:hunter2@proxy.test:99999", "http://user:hunter2@pro xy.test", "ftp://user:hunter2@proxy.test"),
]


def sync_client(base_url: str) -> None:
    Airplane("tkn_test", base_url=base_url).close()


def async_client(base_url: str) -> None:
    AsyncAirplane("tkn_test", base_url=base_url)


def asyncio_client(base_url: str) -> None:
    AsyncAirplane("tkn_test", base_url=base_url, transport=AsyncioTransport())


class TestChoice:
    @pytest.fixture(autouse=True)
    def _bare_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    def test_the_environment_is_read_when_the_transport_is_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
        monkeypatch.setenv("NO_PROXY", "internal.test,.corp.test")
        proxies = Proxies.from_env()
        monkeypatch.delenv("HTTPS_PROXY")
        chosen = proxies.for_origin("https://api.test")
        assert chosen is not None
        assert chosen.url == "http://proxy.test:3128"
        assert proxies.for_origin("http://api.test") is None
        assert proxies.for_origin("https://internal.test") is None
        assert proxies.for_origin("https://a.corp.test:8443") is None

    def test_a_proxy_for_everything_serves_both_schemes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALL_PROXY", "proxy.test")
        for origin in ("https://api.test", "http://api.test"):
            chosen = Proxies.from_env().for_origin(origin)
            assert chosen is not None
            assert chosen.url == "http://proxy.test"

    @pytest.mark.parametrize(
        "origin",
        ["http://localhost:1", "http://127.0.0.1", "https://[::1]:8", "http://LOCALHOST.", "http://[::ffff:127.0.0.1]"],
    )
    def test_this_machine_is_reached_directly_always(self, origin: str) -> None:
        assert Proxies.of("http://proxy.test").for_origin(origin) is None

    def test_a_proxy_of_none_means_no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
        assert Proxies.of(None).for_origin("https://api.test") is None

    @pytest.mark.parametrize("make", [Urllib3Transport, AsyncioTransport, ThreadedTransport])
    @pytest.mark.parametrize("url", USELESS)
    def test_a_proxy_of_no_use_is_refused_without_showing_it(self, make: Any, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"proxy: .* http or https URL") as caught:
            make(proxy=url)
        assert "hunter2" not in traceback_of(caught.value)

    @pytest.mark.parametrize(
        ("options", "make"),
        [
            ({"pool_size": 0}, Urllib3Transport),
            ({"pool_size": 0}, AsyncioTransport),
            ({"transport": FakeTransport(), "pool_size": 0}, ThreadedTransport),
        ],
    )
    def test_another_mistake_does_not_show_the_password_of_a_proxy(self, options: Any, make: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            make(proxy="http://user:hunter2@proxy.test", **options)
        assert "hunter2" not in traceback_of(caught.value)

    @pytest.mark.parametrize("make", [sync_client, async_client, asyncio_client])
    @pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "All_Proxy"])
    @pytest.mark.parametrize("url", USELESS)
    def test_a_variable_of_no_use_is_named_when_the_client_is_built(
        self, monkeypatch: pytest.MonkeyPatch, make: Any, name: str, url: str
    ) -> None:
        monkeypatch.setenv(name, url)
        with pytest.raises(ConfigurationError, match=f"^{name}: .* http or https URL") as caught:
            make("https://api.test/v0")
        assert "hunter2" not in traceback_of(caught.value)

    @pytest.mark.parametrize("make", [sync_client, async_client, asyncio_client])
    @pytest.mark.parametrize(
        ("variables", "base_url"),
        [
            ({"ALL_PROXY": "socks5://proxy.test"}, "http://localhost:1/v0"),
            ({"HTTPS_PROXY": "socks5://proxy.test"}, "https://127.0.0.1:1/v0"),
            ({"HTTP_PROXY": "socks5://proxy.test"}, "https://api.test/v0"),
            ({"ALL_PROXY": "http://[::1", "NO_PROXY": "api.test"}, "https://api.test/v0"),
            ({"ALL_PROXY": "http://[::1", "NO_PROXY": "*"}, "https://api.test/v0"),
            ({"ALL_PROXY": "socks5://proxy.test", "HTTPS_PROXY": "http://proxy.test"}, "https://api.test/v0"),
            ({"FTP_PROXY": "socks5://proxy.test"}, "https://api.test/v0"),
        ],
    )
    def test_a_variable_that_is_for_others_is_ignored(
        self, monkeypatch: pytest.MonkeyPatch, make: Any, variables: dict[str, str], base_url: str
    ) -> None:
        for name, url in variables.items():
            monkeypatch.setenv(name, url)
        make(base_url)

    def test_a_bad_origin_from_a_middleware_is_a_connect_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.test")
        transport = Urllib3Transport()
        with pytest.raises(ConnectError, match="HTTP_PROXY") as caught:
            transport.send(request_to("http://api.test"), PLENTY)
        assert not caught.value.transient
        transport.close()

    def test_a_proxy_shows_no_password(self) -> None:
        proxy = parse_proxy(GivenProxy("proxy", "http://user:hunter2@[::1]:3128"))
        assert repr(proxy) == "Proxy(http://[::1]:3128)"
        assert base64.b64decode(proxy.headers["proxy-authorization"].partition(" ")[2]) == b"user:hunter2"
        assert parse_proxy(GivenProxy("proxy", "http://user@proxy.test")).headers
        assert "hunter2" not in repr(proxy.headers)
