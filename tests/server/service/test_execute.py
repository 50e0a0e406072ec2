from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import pytest

from airplane_runbooks.server import Context, Field, runbook, task
from tests.support.servers import eventually, served

SEEN = {}


@runbook
def plain(context: Context) -> str:
    """Do nothing."""
    return context.env_slug


@runbook
def typed(
    context: Context,
    *,
    customer: str,
    limit: int = 100,
    due: date | None = None,
    at: datetime | None = None,
    ratio: float = 0.5,
    urgent: bool = False,
    tags: list[str] | None = None,
    rows: list[dict[str, int]] | None = None,
    size: Literal["s", "m"] = "m",
    code: Annotated[str | None, Field(regex="[A-Z]{3}", description="Three letters")] = None,
    level: Annotated[int | None, Field(options=[1, 2, 3])] = None,
) -> None:
    SEEN.update({name: value for name, value in locals().items() if name != "context"})


@runbook(slug="other", name="Another one", id="rbk20220120z15kl79")
def renamed(context: Context, anything: Any) -> Any:
    return anything


@task
def add(left: int, right: int = 1) -> int:
    """Add two numbers."""
    return left + right


@task
def fail(reason: str) -> None:
    raise ValueError(reason)


@pytest.fixture(scope="module")
def api():
    with served(plain, typed, renamed, tasks=[add, fail]) as client:
        yield client


def test_a_runbook_is_found_by_its_slug_and_by_its_id(api):
    for names in ({"slug": "other"}, {"id": "rbk20220120z15kl79"}, {"id": "rbk20220120z15kl79", "slug": "other"}):
        answer = api.post("/runbooks/execute", {**names, "paramValues": {"anything": 1}})
        assert answer.status == 200
        assert api.session(answer.json["sessionID"])["runbookID"] == "rbk20220120z15kl79"


def test_an_empty_or_null_id_counts_as_absent(api):
    for nothing in ("", None):
        assert api.post("/runbooks/execute", {"id": nothing, "slug": "plain"}).status == 200
        assert api.post("/runbooks/execute", {"id": plain.id, "slug": nothing}).status == 200


def test_a_runbook_without_a_name_is_a_bad_request(api):
    for body in ({}, {"id": "", "slug": None}):
        answer = api.post("/runbooks/execute", body)
        assert (answer.status, answer.code) == (400, "missing_field")


def test_an_unknown_runbook_is_not_found(api):
    for names in ({"slug": "nope"}, {"id": "rbk1"}, {"id": "rbk1", "slug": "plain"}):
        answer = api.post("/runbooks/execute", names)
        assert (answer.status, answer.code) == (404, "runbook_not_found")
        assert answer.headers["X-Airplane-Retryable"] == "false"


def test_names_of_two_different_runbooks_are_refused(api):
    answer = api.post("/runbooks/execute", {"id": plain.id, "slug": "other"})
    assert (answer.status, answer.code) == (400, "ambiguous")


def test_the_body_may_be_compressed(api):
    body = gzip.compress(json.dumps({"slug": "other", "paramValues": {"anything": "x" * 5000}}).encode())
    answer = api.send("POST", "/runbooks/execute", body=body, headers={"Content-Encoding": "gzip"})
    assert answer.status == 200
    assert api.session(answer.json["sessionID"])["paramValues"] == {"anything": "x" * 5000}


def test_absent_null_and_empty_parameter_values_are_alike(api):
    for body in ({}, {"paramValues": None}, {"paramValues": {}}):
        assert api.post("/runbooks/execute", {"slug": "plain", **body}).status == 200


def test_parameter_values_arrive_as_python_values(api):
    SEEN.clear()
    values = {
        "customer": "c1",
        "limit": 7.0,
        "due": "2022-02-03T23:00:00+05:00",
        "at": "2022-02-03T04:05:06.789+02:00",
        "ratio": 2,
        "urgent": True,
        "tags": ["a", "b"],
        "rows": [{"n": 1}],
        "size": "s",
        "code": "ABC",
        "level": 2,
    }
    session_id = api.execute("typed", values)
    api.reaches(session_id, "Succeeded")
    expected = {
        **values,
        "limit": 7,
        "due": date(2022, 2, 3),
        "at": datetime(2022, 2, 3, 2, 5, 6, 789000, tzinfo=UTC),
    }
    assert expected == SEEN
    assert type(SEEN["limit"]) is int
    assert type(SEEN["ratio"]) is float
    assert api.session(session_id)["paramValues"] == values


def test_defaults_take_the_place_of_missing_and_null_values(api):
    SEEN.clear()
    session_id = api.execute("typed", {"customer": "", "limit": None})
    api.reaches(session_id, "Succeeded")
    assert (SEEN["customer"], SEEN["limit"], SEEN["size"], SEEN["due"], SEEN["tags"]) == ("", 100, "m", None, None)
    assert api.session(session_id)["paramValues"] == {
        "customer": "",
        "limit": 100,
        "ratio": 0.5,
        "urgent": False,
        "size": "m",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "paramValues.customer: a value is required"),
        ({"customer": None}, "paramValues.customer: a value is required"),
        ({"customer": 1}, "paramValues.customer: expected a string, got a number"),
        ({"limit": "one"}, "paramValues.limit: expected an integer, got a string"),
        ({"limit": 1.5}, "paramValues.limit: expected an integer, got a number"),
        ({"limit": True}, "paramValues.limit: expected an integer, got a boolean"),
        ({"ratio": False}, "paramValues.ratio: expected a number, got a boolean"),
        ({"urgent": 1}, "paramValues.urgent: expected a boolean, got a number"),
        ({"due": "20220203"}, "paramValues.due: expected a date (YYYY-MM-DD), got a string"),
        ({"due": "2022-02-03Tnoon"}, "paramValues.due: expected a date (YYYY-MM-DD), got a string"),
        ({"at": "yesterday"}, "paramValues.at: expected a time (RFC 3339), got a string"),
        ({"at": ""}, "paramValues.at: expected a time (RFC 3339), got a string"),
        ({"tags": "a"}, "paramValues.tags: expected an array, got a string"),
        ({"tags": ["a", None]}, "paramValues.tags[1]: expected a string, got null"),
        ({"rows": [{"n": 1}, {"m": []}]}, "paramValues.rows[1].m: expected an integer, got an array"),
        ({"rows": [1]}, "paramValues.rows[0]: expected an object, got a number"),
        ({"size": "xl"}, "paramValues.size: the value is not among the options"),
        ({"level": 4}, "paramValues.level: the value is not among the options"),
        ({"code": "ABCD"}, "paramValues.code: the value does not match [A-Z]{3}"),
        ({"nope": 1}, "paramValues.nope: there is no such parameter"),
    ],
)
def test_a_value_that_does_not_fit_is_named(api, value, message):
    values = value if "customer" in value or not value else {"customer": "c", **value}
    answer = api.post("/runbooks/execute", {"slug": "typed", "paramValues": values})
    assert (answer.status, answer.error) == (400, message)
    assert answer.headers["X-Airplane-Retryable"] == "false"


def test_a_refused_call_starts_no_session(api):
    before = api.get("/sessions/list", limit="1").json
    api.post("/runbooks/execute", {"slug": "typed"})
    assert api.get("/sessions/list", limit="1").json == before


def test_null_is_a_value_of_a_parameter_that_takes_anything(api):
    assert api.finishes("other", {"anything": None}) is None
    assert api.post("/runbooks/execute", {"slug": "other"}).status == 400


def test_the_schema_is_on_the_session(api):
    session = api.session(api.execute("typed", {"customer": "c"}))
    schema = {parameter["slug"]: parameter for parameter in session["params"]}
    names = list(typed.function.__annotations__)[1:-1]
    assert list(schema) == names
    kinds = {slug: (parameter["type"], parameter["multi"]) for slug, parameter in schema.items()}
    assert kinds["tags"] == ("string", True)
    assert kinds["rows"] == ("list", False)
    assert schema["rows"]["values"]["type"] == "map"
    assert schema["limit"]["default"] == 100
    assert schema["due"]["constraints"]["optional"] is True
    assert schema["customer"]["constraints"]["optional"] is False
    assert schema["code"]["desc"] == "Three letters"
    assert schema["level"]["constraints"]["options"][0] == {"label": "1", "value": 1}


@pytest.mark.parametrize(
    ("query", "body", "headers", "env_slug"),
    [
        ("", {}, {}, "prod"),
        ("?envSlug=", {"envSlug": None}, {"X-Airplane-Env-Slug": ""}, "prod"),
        ("?envSlug=q", {"envSlug": "b"}, {"X-Airplane-Env-Slug": "s", "X-Airplane-Env-ID": "i"}, "q"),
        ("", {"envSlug": "b"}, {"X-Airplane-Env-Slug": "s", "X-Airplane-Env-ID": "i"}, "b"),
        ("", {}, {"X-Airplane-Env-Slug": "s", "X-Airplane-Env-ID": "i"}, "s"),
        ("", {}, {"X-Airplane-Env-ID": "i"}, "i"),
    ],
)
def test_the_environment_is_said_in_four_ways(api, query, body, headers, env_slug):
    session_id = api.post(f"/runbooks/execute{query}", {"slug": "plain", **body}, **headers).json["sessionID"]
    api.reaches(session_id, "Succeeded")
    (run,) = api.runs(session_id)
    assert run["envSlug"] == api.output(run) == env_slug


def test_an_environment_that_is_not_served_is_not_found():
    with served(plain, environments=["dev", "prod"]) as api:
        assert api.finishes("plain") == "dev"
        answer = api.post("/runbooks/execute?envSlug=nope", {"slug": "plain"})
        assert (answer.status, answer.code) == (404, "environment_not_found")


@pytest.mark.parametrize(
    "names", [{"slug": "add"}, {"id": add.id}, {"taskID": add.id}, {"taskID": None, "slug": "add"}]
)
def test_a_task_is_one_run(api, names):
    body = {**names, "paramValues": {"left": 2}, "resources": {"db": "res1", "none": None}, "allowCachedMaxAge": None}
    answer = api.post("/tasks/execute", body)
    assert answer.json["isCached"] is False
    run_id = answer.json["runID"]
    run = eventually(lambda: (run := api.get("/runs/get", id=run_id).json)["status"] == "Succeeded" and run)
    assert (run["taskSlug"], run["taskID"], run["sessionID"], run["parentID"]) == ("add", add.id, None, None)
    assert run["paramValues"] == {"left": 2, "right": 1}
    assert run["resources"] == {"db": "res1"}
    assert api.output(run) == 3


def test_a_failed_task_shows_its_message_as_the_output(api):
    run_id = api.post("/tasks/execute", {"slug": "fail", "paramValues": {"reason": "no luck"}}).json["runID"]
    run = eventually(lambda: (run := api.get("/runs/get", id=run_id).json)["failedAt"] and run)
    assert run["status"] == "Failed"
    assert api.output(run) == {"error": "no luck"}


def test_a_task_is_no_runbook_and_a_runbook_is_no_task(api):
    assert api.post("/runbooks/execute", {"slug": "add"}).status == 404
    assert api.post("/tasks/execute", {"slug": "plain"}).status == 404
    assert api.post("/tasks/execute", {}).status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"slug": 1}', "$.slug"),
        (b'{"paramValues": [1]}', "$.paramValues"),
        (b'{"resources": {"db": 1}}', "$.resources"),
        (b'{"slug": "\xff"}', "UTF-8"),
        (b'{"slug": "other", "paramValues": {"anything": ' + b"[" * 250 + b"]" * 250 + b"}}", "levels deep"),
    ],
)
def test_a_broken_body_is_refused_and_says_where(api, body, message):
    answer = api.send("POST", "/runbooks/execute", body=body)
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize("start", [b'{"paramValues": {"anything": ', b'{"unknown": '])
def test_a_body_nested_without_end_is_refused(api, start):
    answer = api.send("POST", "/runbooks/execute", body=start + b"[" * 100_000)
    assert answer.status == 400
    # from Python 3.14 on, the size of the stack decides how deeply a body is read
    assert re.search("nested too deeply|truncated", answer.error)
