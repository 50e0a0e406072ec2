"""The corners of the wire format: requests of clients in any language, and their replies."""

from __future__ import annotations

import gzip
import json
import re
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, RunbookServer, runbook, task
from airplane_runbooks.server.errors import Closing
from airplane_runbooks.server.storage import sql_idempotency
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.web.api.handlers import OPERATIONS
from airplane_runbooks.server.web.api.objects import OBJECTS
from tests.support.examples import examples
from tests.support.servers import Client, eventually, served

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@runbook
def echo(context: Context, value: Any | None = None) -> Any:
    """Return the response."""
    return value


@runbook
def asks(context: Context) -> None:
    """Ask."""
    context.prompt("Go on?", go=bool)


@task
def add(left: int, right: int = 1) -> int:
    """Add two numbers."""
    return left + right


@pytest.fixture(scope="module")
def api():
    with served(echo, asks, tasks=[add]) as client:
        yield client


@pytest.fixture(scope="module")
def ended(api):
    """Return a session and a run that have ended, and a prompt that is open."""
    session_id = api.execute("echo", {"value": 1})
    api.reaches(session_id, "Succeeded")
    return session_id, api.runs(session_id)[0]["id"], api.open_prompt(api.execute("asks"))["id"]


def post(api, body, path="/runbooks/execute", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.send("POST", path, body=data, headers=headers)


def output_of(api, answer):
    assert answer.status == 200, answer.json
    session_id = answer.json["sessionID"]
    api.reaches(session_id, "Succeeded")
    return api.output(api.runs(session_id)[0])


# 2.1: rules of all operations


def test_a_success_is_200_with_json(api, ended):
    """The Go client takes no other status; it and the command line take no other type."""
    session_id, run_id, prompt_id = ended
    for path, query in [
        ("/sessions/get", {"id": session_id}),
        ("/sessions/list", {}),
        ("/runs/get", {"id": run_id}),
        ("/runs/getOutputs", {"id": run_id}),
        ("/runs/list", {}),
        ("/prompts/get", {"id": prompt_id}),
        ("/prompts/list", {"runID": run_id}),
    ]:
        answer = api.get(path, **query)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    run_id = api.runs(api.execute("asks"))[0]["id"]
    for path, body in [
        ("/runbooks/execute", {"slug": "echo"}),
        ("/tasks/execute", {"slug": "add", "paramValues": {"left": 1}}),
        ("/prompts/submit", {"id": prompt_id, "values": {"go": True}}),
        ("/prompts/cancel", {"id": api.open_prompt(api.execute("asks"))["id"]}),
        ("/runs/cancel", {"runID": run_id}),
    ]:
        answer = api.post(path, {"paramValues": {"value": 1}, **body} if path == "/runbooks/execute" else body)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_error_has_a_message_a_code_and_a_retry_hint(api, method):
    """Of every operation, with nothing in it."""
    for path in [path for verb, path in [*OPERATIONS, *OBJECTS] if verb == method]:
        answer = api.send(method, path)
        if answer.status == 200:
            assert path.endswith("/list")
            continue
        assert answer.status == 400
        assert set(answer.json) == {"error", "code"}
        assert all(isinstance(one, str) and one for one in answer.json.values())
        assert answer.headers["X-Airplane-Retryable"] == "false"


def test_timestamps_of_every_reply_are_rfc_3339_in_utc(api, ended):
    session_id, run_id, prompt_id = ended
    stamps = []
    for path, one in [("/sessions/get", session_id), ("/runs/get", run_id), ("/prompts/get", prompt_id)]:
        reply = api.get(path, id=one).json
        stamps += [value for key, value in reply.get("prompt", reply).items() if key.endswith("At")]
    assert len(stamps) == 11
    assert all(stamp is None or STAMP.fullmatch(stamp) for stamp in stamps)


def test_a_body_may_be_empty_or_have_a_byte_order_mark(api):
    assert post(api, b"").code == "missing_field"
    assert post(api, b"\xef\xbb\xbf").code == "missing_field"
    assert output_of(api, post(api, b'\xef\xbb\xbf{"slug": "echo", "paramValues": {"value": "\xc3\xbc"}}')) == "ü"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=latin-1", "text/plain", "application/x-www-form-urlencoded", "nonsense", ""]
)
def test_a_body_is_read_as_json_for_any_content_type(api, kind):
    body = '{"slug": "echo", "paramValues": {"value": "ü"}}'.encode()
    assert output_of(api, post(api, body, **{"Content-Type": kind})) == "ü"


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"1", b'"slug"', b" ", b"{}{}", b"{'slug': 'echo'}", b'{"slug": "echo",}', b'{"slug": NaN}'],
)
def test_a_body_other_than_a_json_object_is_a_bad_request(api, body):
    answer = post(api, body)
    assert (answer.status, answer.code) == (
        400,
        "invalid_body" if body in (b"[]", b"null", b"1", b'"slug"') else "invalid_json",
    )


def test_a_body_with_a_key_twice_has_the_last_value(api):
    assert output_of(api, post(api, b'{"slug": "nope", "slug": "echo", "paramValues": {"value": 1}}')) == 1


def test_a_query_with_a_key_twice_has_the_last_value(api, ended):
    assert api.send("GET", f"/runs/get?id=nope&id={ended[1]}").status == 200


def test_unknown_fields_query_keys_and_headers_are_ignored(api):
    extra = {"X-Team-ID": "tea1", "X-Airplane-Client-Kind": "cli", "X-Airplane-View-Token": "v"}
    body = {"slug": "echo", "paramValues": {"value": 1}, "requestSource": {"kind": "x"}, "constraints": [], "env": 7}
    assert output_of(api, post(api, body, "/runbooks/execute?trace=1", **extra)) == 1


@pytest.mark.parametrize(
    ("number", "arrives"),
    [("9007199254740993", 9007199254740993), ("18446744073709551616", 2**64), ("-0.0", 0.0), ("1e308", 1e308)],
)
def test_large_and_precise_numbers_are_kept(api, number, arrives):
    answer = post(api, b'{"slug": "echo", "paramValues": {"value": ' + number.encode() + b"}}")
    assert output_of(api, answer) == pytest.approx(arrives, rel=0)


@pytest.mark.parametrize("value", [b"1e400", b"-1e999", b"1" * 5000, b'"\\ud800"', b'"\\u00"', b"Infinity", b"tru"])
def test_a_value_that_no_parameter_holds_is_a_bad_request(api, value):
    assert post(api, b'{"slug": "echo", "paramValues": {"value": ' + value + b"}}").status == 400


@examples(1.5)
@given(
    path=st.sampled_from([path for method, path in OPERATIONS if method == "POST"]),
    body=st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["id", "slug", "taskID", "runID", "paramValues", "params", "values", "resources", "envSlug"]
                    )
                    | st.text(max_size=3),
                    inner,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_no_json_body_is_an_internal_error(api, path, body):
    answer = api.send("POST", path, body=body)
    assert answer.status in (400, 404, 409)


@examples(1)
@given(
    path=st.sampled_from([path for method, path in [*OPERATIONS, *OBJECTS] if method == "GET"]),
    query=st.dictionaries(
        st.sampled_from(
            ["id", "runID", "taskID", "sessionID", "envSlug", "limit", "page", "since", "until", "updatedAfter"]
        ),
        st.text(st.characters(codec="utf-8"), max_size=8) | st.integers().map(str),
        max_size=3,
    ),
)
def test_no_query_text_is_an_internal_error(api, path, query):
    assert api.get(path, **query).status in (200, 400, 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_only_post_executes_a_runbook(api, method):
    reply = urllib3.request(method, f"{api.url}/runbooks/execute", headers=api.headers)
    assert reply.status == 405
    assert reply.headers["Allow"] == "POST"


def test_no_reply_allows_cross_origin_requests(api):
    """The API is for programs: no page of another origin may call it, so browsers stop at the preflight."""
    preflight = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST", **api.headers}
    for method, path in (("OPTIONS", "/runbooks/execute"), ("GET", "/sessions/list")):
        reply = urllib3.request(method, api.url + path, headers=preflight)
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_paths_are_matched_exactly(api):
    pool = urllib3.HTTPConnectionPool(*urlsplit(api.url).netloc.split(":"))
    for path in ("/sessions/list/", "//sessions/list", "/Sessions/list", "/sessions/list%2f", "/../v0/sessions/list"):
        assert pool.request("GET", f"/v0{path}", headers=api.headers).status == 404
    pool.close()


def test_the_body_of_a_get_is_ignored(api, ended):
    assert api.send("GET", f"/runs/get?id={ended[1]}", body=b"{nonsense").status == 200


# 1.2 and 1.3: keys and environments


def test_reads_take_the_environment_from_their_headers(api, ended):
    """The official clients send them with every request; a read goes by its ID alone."""
    for name in ("X-Airplane-Env-ID", "X-Airplane-Env-Slug"):
        assert api.send("GET", f"/runs/get?id={ended[1]}", headers={name: "another"}).status == 200
        assert api.send("GET", "/runs/list", headers={name: "another"}).json["runs"]


@pytest.mark.parametrize("slug", ["x" * 101, "a\0b", "a\nb", "\x7f"])
def test_an_impossible_environment_is_not_found(api, slug):
    for path in ("/runbooks/execute", "/tasks/execute"):
        answer = post(api, {"slug": "echo", "envSlug": slug}, path)
        assert (answer.status, answer.code) in {(404, "environment_not_found"), (404, "task_not_found")}
    assert post(api, {"slug": "add", "paramValues": {"left": 1}, "envSlug": slug}, "/tasks/execute").status == 404


# 2.3: runbooks/execute


def test_the_go_client_sends_an_empty_id_with_the_slug(api):
    answer = post(api, b'{"id":"","paramValues":{"value":"1"},"slug":"echo"}', "/runbooks/execute?envSlug=dev")
    assert output_of(api, answer) == "1"


def test_the_command_line_sends_null_fields_and_gzip_bodies(api):
    body = {
        "taskID": None,
        "slug": "add",
        "paramValues": {"left": 1, "right": None},
        "envSlug": "",
        "resources": None,
        "padding": "x" * 1024,
    }
    answer = post(
        api, gzip.compress(json.dumps(body).encode()), "/tasks/execute?envSlug=", **{"Content-Encoding": "gzip"}
    )
    assert answer.status == 200
    assert eventually(lambda: api.output({"id": answer.json["runID"]})) == 2


# 2.6 and 2.14: tasks/execute, and its elder


def test_the_clients_of_2021_create_runs(api):
    body = {"taskID": add.id, "params": {"left": 40, "right": 2}, "env": {}, "constraints": {}}
    run_id = post(api, body, "/runs/create").json["runID"]
    run = eventually(lambda: (run := api.get("/runs/get", runID=run_id).json["run"])["succeededAt"] and run)
    assert (run["runID"], run["status"]) == (run_id, "Succeeded")
    assert api.get("/runs/getOutputs", runID=run_id).json["outputs"] == 42


def test_a_task_ignores_the_zones_of_the_official_clients(api):
    body = {
        "slug": "add",
        "paramValues": {"left": 1},
        "resources": {},
        "allowCachedMaxAge": 172800,
        "inputsZoneID": None,
        "inputsZoneToken": "",
        "inputsZoneParamValuesHash": None,
    }
    assert post(api, body, "/tasks/execute").json["isCached"] is False


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/prompts/create"), ("POST", "/displays/create"), ("POST", "/sleeps/create"), ("GET", "/users/get")],
)
def test_routes_of_the_hosted_service_alone_are_not_found(api, method, path):
    answer = api.send(method, path, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.code) == (404, "route_not_found")
    assert answer.error == f"this server has no route {method} /v0{path}"
    assert answer.headers["X-Airplane-Retryable"] == "false"


# 2.7: runs/get


def test_a_reply_has_a_run_in_both_shapes(api, ended):
    reply = api.get("/runs/get", id=ended[1]).json
    nested = reply.pop("run")
    assert nested == reply
    assert set(nested) >= {
        *("runID", "taskID", "taskName", "teamID", "status", "paramValues", "parameters", "createdAt", "creatorID"),
        *("queuedAt", "activeAt", "succeededAt", "failedAt", "cancelledAt", "cancelledBy", "envSlug"),
    }


# 2.9: runs/list, as the command line pages through it


def test_the_command_line_stops_paging_at_a_short_page():
    with served(tasks=[add]) as api:
        started = [
            api.post("/tasks/execute", {"slug": "add", "paramValues": {"left": 1}}).json["runID"] for _ in range(100)
        ]
        pages = []
        while not pages or len(pages[-1]) == 50:
            query = {"page": str(len(pages)), "taskID": "", "limit": "50", "envSlug": ""}
            pages.append([run["runID"] for run in api.get("/runs/list", **query).json["runs"]])
        assert [len(page) for page in pages] == [50, 50, 0]
        assert list(chain(*pages)) == started[::-1]


# 2.12: parameters


def test_parameters_have_only_types_that_the_go_client_knows(api):
    (parameter,) = api.session(api.execute("echo", {"value": 1}))["params"]
    assert parameter["type"] == "any"


# 4: idempotency keys


def test_an_idempotency_key_is_echoed_on_every_error(api):
    key = {"Idempotency-Key": "echoed"}
    anybody = urllib3.request("POST", f"{api.url}/runbooks/execute", headers=key)
    for answer in (
        post(api, b"{", **key),
        post(api, b"{}", "/nope", **key),
        post(api, b"{}", "/runs/list", **key),
        anybody,
    ):
        assert answer.status in (400, 401, 404, 405)
        assert answer.headers["Idempotency-Key"] == "echoed"


def test_an_idempotency_key_holds_any_header_characters(api):
    key = bytes(range(33, 127)) + bytes(range(0xA1, 0xFF))
    headers = {"Idempotency-Key": key.decode("latin-1")}
    first = post(api, {"slug": "echo", "paramValues": {"value": 1}}, **headers)
    assert first.headers["Idempotency-Key"].encode("latin-1") == key
    assert post(api, {"slug": "echo", "paramValues": {"value": 1}}, **headers).body == first.body


@pytest.mark.parametrize(
    ("problem", "status"), [(RuntimeError(), 500), (Closing("closing", ""), 503), (DatabaseUnavailable(), 503)]
)
def test_a_call_that_fails_after_its_commit_can_be_repeated(monkeypatch, problem, status):
    with RunbookServer([echo]) as server:
        api = Client(server)

        def execute():
            return post(api, {"slug": "echo", "paramValues": {"value": 1}}, **{"Idempotency-Key": "k"})

        def fail(job_id):
            raise problem

        with monkeypatch.context() as patch:
            patch.setattr(server._lifecycle.services.engine, "reserve", lambda: None)
            patch.setattr(server._lifecycle.services.engine, "start", fail)
            answer = execute()
            assert (answer.status, answer.headers["X-Airplane-Retryable"]) == (status, "true")
        assert len(api.get("/sessions/list").json["sessions"]) == 1
        assert output_of(api, execute()) == 1
        assert len(api.get("/sessions/list").json["sessions"]) == 1
        api.close()


@pytest.mark.parametrize(("problem", "status"), [(RuntimeError(), 500), (DatabaseUnavailable(), 503)])
def test_a_call_that_fails_before_its_commit_leaves_nothing(monkeypatch, problem, status):
    with RunbookServer([echo]) as server:
        api = Client(server)

        def execute():
            return post(api, {"slug": "echo", "paramValues": {"value": 1}}, **{"Idempotency-Key": "k"})

        def fail(*_):
            raise problem

        with monkeypatch.context() as patch:
            patch.setattr(sql_idempotency.SqlKeys, "settle", fail)
            answer = execute()
            assert (answer.status, answer.headers["X-Airplane-Retryable"]) == (status, "true")
        assert api.get("/sessions/list").json["sessions"] == []
        assert output_of(api, execute()) == 1
        assert len(api.get("/sessions/list").json["sessions"]) == 1
        api.close()
