"""Base URLs: the key goes over https, or to this machine, or nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import Airplane, ConfigurationError
from airplane_runbooks.options import is_loopback, parse_base_url
from airplane_runbooks.testing import FakeTransport


@pytest.mark.parametrize(
    ("url", "origin", "path", "host", "port"),
    [
        ("https://api.airplane.dev/v0", "https://api.airplane.dev", "/v0", "api.airplane.dev", 443),
        ("https://api.airplane.dev/v0/", "https://api.airplane.dev", "/v0", "api.airplane.dev", 443),
        ("https://api.airplane.dev", "https://api.airplane.dev", "", "api.airplane.dev", 443),
        ("https://h:8443/a/b/v0", "https://h:8443", "/a/b/v0", "h", 8443),
        ("https://h:443", "https://h:443", "", "h", 443),
        ("HTTPS://Api.Example/V0", "https://api.example", "/V0", "api.example", 443),
        ("https://[2001:db8::1]/v0", "https://[2001:db8::1]", "/v0", "2001:db8::1", 443),
        ("https://[2001:DB8::1]:8443/v0", "https://[2001:db8::1]:8443", "/v0", "2001:db8::1", 8443),
        ("http://localhost/v0", "http://localhost", "/v0", "localhost", 80),
        ("http://[::1]:4000", "http://[::1]:4000", "", "::1", 4000),
        ("https://192.0.2.7", "https://192.0.2.7", "", "192.0.2.7", 443),
        ("https://h/a%20b", "https://h", "/a%20b", "h", 443),
        ("http+unix://%2Frun%2FA.sock/v0", "http+unix://%2Frun%2FA.sock", "/v0", "/run/A.sock", None),
        ("HTTP+UNIX://%2frun%2fa+b", "http+unix://%2Frun%2Fa%2Bb", "", "/run/a+b", None),
        ("http+unix://%2Frun%2F%C3%A4%20b/", "http+unix://%2Frun%2F%C3%A4%20b", "", "/run/ä b", None),
    ],
)
def test_a_base_url_is_taken_apart(url, origin, path, host, port):
    base = parse_base_url(url, allow_insecure_http=False)

    assert (base.origin, base.path, base.host, base.port) == (origin, path, host, port)
    assert base.url == origin + path


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.8.9.10", "127.255.255.254", "[::1]", "LOCALHOST", "localhost."),
        *("[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_plain_http_is_allowed_to_this_machine(host):
    assert parse_base_url(f"http://{host}:4000", allow_insecure_http=False).port == 4000


OTHERS = [
    "api.airplane.dev",
    "10.0.0.1",
    "0.0.0.0",
    "128.0.0.1",
    "192.168.1.1",
    "[::2]",
    "[fe80::1]",
    "localhost.example",
]
OTHERS += [
    "notlocalhost",
    "evil.localhost",
    "localhost.localhost",
    "localhost..",
    "[::ffff:10.0.0.1]",
    "127.0.0.1.example",
    "127.1",
    "2130706433",
    "0x7f.1",
]


@pytest.mark.parametrize("host", OTHERS)
def test_plain_http_to_other_machines_is_refused_unless_allowed(host):
    with pytest.raises(ConfigurationError, match="in the clear; use https, or allow_insecure_http=True"):
        parse_base_url(f"http://{host}/v0", allow_insecure_http=False)

    assert parse_base_url(f"http://{host}/v0", allow_insecure_http=True).port == 80
    assert parse_base_url(f"https://{host}/v0", allow_insecure_http=False).port == 443


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.airplane.dev",
        "/v0",
        "//h/v0",
        "ftp://h",
        "file:///etc/passwd",
        "https://",
        "https:///v0",
        "https:h",
        "https://h/a b",
        "https://h/\tb",
        " https://h",
        "https://h\n",
        "https://h/\r\nX:1",
        "https://näive.example",
        "https://h/ä",
        "https://h/\x7f",
        "https://:443",
        "javascript://h",
        "https://local%68ost",
        "http://localhost%00.example",
        "https://%zz",
        "https://a,b",
    ],
)
def test_what_is_no_absolute_url_in_ascii_is_refused(url):
    with pytest.raises(ConfigurationError, match="must be an absolute http or https URL in ASCII"):
        parse_base_url(url, allow_insecure_http=True)


@pytest.mark.parametrize(
    "name", ["", "run.sock", "run%2Fa.sock", "%2Frun%2Fa%00", "%2Frun%0Aa", "%2Frun%FF", "%2Fa%zz", "%2Fa:80", "%2Fa:"]
)
def test_a_socket_without_an_absolute_path_is_refused(name):
    with pytest.raises(ConfigurationError, match="absolute path of a socket, percent-encoded, in place of a host"):
        parse_base_url(f"http+unix://{name}/v0", allow_insecure_http=True)


def test_a_path_that_is_too_long_for_a_socket_is_refused():
    with pytest.raises(ConfigurationError, match=r"a Unix socket has at most 10\d bytes: /run/xxx"):
        parse_base_url("http+unix://%2Frun%2F" + 108 * "x", allow_insecure_http=False)

    longest = "%2F" + 102 * "x"
    assert parse_base_url(f"http+unix://{longest}/v0", allow_insecure_http=False).host == "/" + 102 * "x"


@pytest.mark.parametrize("url", ["https://[::1", "https://h:port", "https://h:99999", "https://h:-1", "https://[v]/"])
def test_a_malformed_host_or_port_is_refused(url):
    with pytest.raises(ConfigurationError, match="its host or port is malformed"):
        parse_base_url(url, allow_insecure_http=True)


@pytest.mark.parametrize(
    "rest", ["user:s3cr3t@h", "s3cr3t@h", "@h", ":s3cr3t@h", "h/?s3cr3t=1", "h/#s3cr3t", "h?s3cr3t", "user:s3cr3t"]
)
@pytest.mark.parametrize("also", ["", "\N{ACCOUNT OF}"])
@pytest.mark.parametrize("scheme", ["https", "http+unix"])
def test_user_info_query_and_fragment_are_refused_unshown(rest, also, scheme):
    with pytest.raises(ConfigurationError) as refused:
        parse_base_url(f"{scheme}://{rest}{also}", allow_insecure_http=True)

    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(
    st.text()
    | st.text("htps:/@[].%1?#a\\ ", max_size=20).map("http".__add__)
    | st.text("2FfaAC3%/.:~+@", max_size=20).map("http+unix://%2F".__add__)
)
def test_any_text_is_a_base_url_or_a_configuration_error(text):
    try:
        base = parse_base_url(text, allow_insecure_http=True)
    except ConfigurationError:
        return
    assert parse_base_url(base.url, allow_insecure_http=True) == base
    assert base.url.isascii()
    assert base.port is None or 0 <= base.port <= 65535


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_an_address_is_loopback_as_the_standards_say(address):
    assert is_loopback(str(address)) == address.is_loopback


def test_a_client_refuses_to_send_its_key_in_the_clear():
    with pytest.raises(ConfigurationError, match=r"plain http would send the API key to api\.airplane\.dev"):
        Airplane("tkn_1", base_url="http://api.airplane.dev/v0", transport=FakeTransport([]))

    Airplane("tkn_1", base_url="http://h", transport=FakeTransport([]), allow_insecure_http=True).close()
