"""Nothing that a client sends is the server's fault: queries, paths, headers and bodies of every kind."""

from __future__ import annotations

import http.client
import itertools
import json
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.web.api.command_line import COMMAND_LINE
from airplane_runbooks.server.web.api.extensions import EXTENSIONS
from airplane_runbooks.server.web.api.handlers import OPERATIONS
from airplane_runbooks.server.web.api.objects import OBJECTS
from tests.support.browsing import Browser
from tests.support.examples import examples
from tests.support.servers import Client

pytestmark = pytest.mark.once

ROUTES = [(method, f"/v0{path}") for method, path in [*OPERATIONS, *OBJECTS, *COMMAND_LINE]]
ROUTES += [(method, f"/ext/v0{path}") for method, path in EXTENSIONS]
READ = sorted(path for method, path in ROUTES if method == "GET")
WRITTEN = sorted(path for method, path in ROUTES if method == "POST")
PAGES = ["/", "/sign-in", "/sessions/{}", "/prompts/{}"]

NAMES = ["id", "runID", "sessionID", "since", "until", "updatedAfter", "updatedBefore", "limit", "page", "envSlug"]
NAMES += ["taskID", "taskSlug", "runbookID", "slug", "runbookSlug", "next", "status", "runbook", "live", "prev_token"]
VALUES = ["", "T", "0", "-1", "1e9", "9" * 30, "²", "\0", "\x80", "0000-01-01", "0001-01-01T00:00:00+23:59", "x T +"]
VALUES += [
    "9999-12-31T23:59:59-23:59",
    "2024-01-01T00:00:00 00:00",
    "2024-02-30",
    "NaN",
    "null",
    "\ud800",
    "٣",
    "a" * 300,
]


@runbook
def ask(context: Context) -> bool:
    """Ask one thing."""
    return context.prompt("Well?", sure=bool)["sure"]


@pytest.fixture(scope="module")
def server():
    with RunbookServer([ask]) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    client = Client(server)
    client.open_prompt(client.execute("ask"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def cookie(server):
    browser = Browser(server.base_url, server.api_key)
    browser.close()
    return browser.cookie


def ask_for(client, method, target, body=None, **headers):
    """Send what is escaped already, as it is."""
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=100)
    connection.request(method, target, body, {**client.headers, **headers})
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


def escaped(text):
    return quote(text, safe="", errors="surrogatepass")


TEXTS = st.sampled_from(VALUES) | st.text(st.characters(), max_size=20)
BYTES = st.binary(max_size=12).map(lambda data: "".join(f"%{byte:02x}" for byte in data))
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES) | TEXTS.map(escaped), TEXTS.map(escaped) | BYTES), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
OFTEN = examples(2, suppress_health_check=[HealthCheck.function_scoped_fixture])


@OFTEN
@given(st.sampled_from(READ), QUERIES)
def test_no_query_of_any_route_is_an_internal_error(client, path, query):
    status, body = ask_for(client, "GET", f"{path}?{query}")
    assert status < 500
    assert status != 429
    json.loads(body)


@OFTEN
@given(st.sampled_from(PAGES), TEXTS.map(escaped) | BYTES, QUERIES)
def test_no_address_of_a_page_is_an_internal_error(client, cookie, path, part, query):
    status, _ = ask_for(client, "GET", f"{path.format(part)}?{query}", **{"X-Airplane-API-Key": "", "Cookie": cookie})
    assert status < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "values"]), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(
    st.sampled_from([*NAMES, "slug", "paramValues", "values", "params", "resources"]), JSON, max_size=4
)


@OFTEN
@given(st.sampled_from(WRITTEN), BODIES.map(json.dumps).map(str.encode) | st.binary(max_size=30), QUERIES)
def test_no_body_of_any_route_is_an_internal_error(client, path, body, query):
    status, answer = ask_for(client, "POST", f"{path}?{query}", body)
    assert status < 500
    json.loads(answer)


@pytest.mark.parametrize("host", ["[", "a@b", "::", "a b", "é", "%", "a,b", "[::1"])
def test_no_host_header_is_an_internal_error(client, cookie, host):
    with RunbookServer([], host="0.0.0.0", api_key="tkn_5d41402abc4b2a76") as server:
        anywhere = Client(server)
        anywhere.url = server.base_url.replace("0.0.0.0", "127.0.0.1")
        for path in ("/v0/nope", "/", "/nope", "/sessions/x", "/sign-in"):
            for headers in ({}, {"X-Airplane-API-Key": ""}):
                assert ask_for(anywhere, "GET", path, **{"Host": host.encode("latin-1"), **headers})[0] < 500
        anywhere.close()


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/v0/runs/list", "since", "T"),
        ("/v0/runs/list", "until", "yesterday"),
        ("/v0/runs/list", "since", "0000-01-01T00:00:00Z"),
        ("/v0/runs/list", "since", "0001-01-01T00:00:00+23:59"),
        ("/v0/sessions/list", "updatedAfter", "2024-02-30T00:00:00Z"),
        ("/v0/sessions/list", "updatedBefore", "9999-12-31T23:59:59-23:59"),
        ("/v0/runs/list", "limit", "51"),
        ("/v0/runs/list", "limit", "-1"),
        ("/v0/sessions/list", "page", "9" * 30),
        ("/v0/runs/list", "page", "1.0"),
        ("/v0/runs/get", "id", "\0"),
        ("/v0/prompts/list", "runID", "run\0"),
        ("/v0/runs/list", "taskSlug", "a\0b"),
    ],
)
def test_an_invalid_query_parameter_is_named(client, path, name, value):
    status, body = ask_for(client, "GET", f"{path}?{urlencode({name: value})}")
    assert (status, json.loads(body)["code"]) == (400, "invalid_query")
    assert json.loads(body)["error"].startswith(f"{name}: ")


@pytest.mark.parametrize("query", ["id=%ff", "since=%c3%28", "%ff=1", "id=%ed%a0%80"])
def test_a_query_that_is_not_utf_8_is_refused(client, query):
    status, body = ask_for(client, "GET", f"/v0/runs/list?{query}")
    assert (status, json.loads(body)["code"]) == (400, "invalid_query")


def test_an_offset_with_an_unescaped_plus_sign_is_read(client):
    assert ask_for(client, "GET", "/v0/runs/list?since=2024-01-01T00:00:00+01:00")[0] == 200


@pytest.mark.postgres
def test_no_query_is_an_internal_error_on_postgresql(postgres):
    with RunbookServer([ask], database=postgres.fresh()) as server:
        client = Client(server)
        for path, name, value in itertools.product(READ, NAMES[:12], VALUES):
            status, _ = ask_for(client, "GET", f"{path}?{name}={escaped(value)}")
            assert status < 500, (path, name, value)
        for path, name, value in itertools.product(WRITTEN, ["id", "slug", "runID", "sessionID", "envSlug"], VALUES):
            status, _ = ask_for(client, "POST", path, json.dumps({name: value}).encode())
            assert status < 500, (path, name, value)
        client.close()
