"""Operations: the path, query and body of every endpoint, and requests that are refused before they are sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from airplane_runbooks import ConfigurationError, ParamValueError, models, operations
from airplane_runbooks.operations import (
    CANCEL_PROMPT,
    CANCEL_RUN,
    CANCEL_SESSION,
    CREATE_UPLOAD,
    DELETE_SESSION,
    EXECUTE_RUNBOOK,
    EXECUTE_TASK,
    GET_PROMPT,
    GET_RUN,
    GET_RUN_LOGS,
    GET_RUN_OUTPUTS,
    GET_SESSION,
    GET_UPLOAD,
    LIST_PROMPTS,
    LIST_RUNBOOKS,
    LIST_RUNS,
    LIST_SESSIONS,
    LIST_TASKS,
    RELEASE_SESSIONS,
    SUBMIT_PROMPT,
    WRITE_UPLOAD,
    Operation,
)

ALL = {name: value for name, value in vars(operations).items() if isinstance(value, Operation)}
AT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))

# Each operation with a request, and what goes out for it.
SENT = [
    (EXECUTE_RUNBOOK, models.ExecuteRunbook(id="rbk1"), "/runbooks/execute", {"id": "rbk1", "paramValues": {}}),
    (
        EXECUTE_RUNBOOK,
        models.ExecuteRunbook(slug="hello", param_values={"limit": 20, "at": AT}),
        "/runbooks/execute",
        {"slug": "hello", "paramValues": {"limit": 20, "at": "2024-01-02T02:04:05Z"}},
    ),
    (
        EXECUTE_TASK,
        models.ExecuteTask(slug="t", param_values={"a": None}, resources={"db": "res1"}, allow_cached_max_age=60),
        "/tasks/execute",
        {"slug": "t", "paramValues": {"a": None}, "resources": {"db": "res1"}, "allowCachedMaxAge": 60},
    ),
    (CANCEL_RUN, models.CancelRun(run_id="run1"), "/runs/cancel", {"runID": "run1"}),
    (
        SUBMIT_PROMPT,
        models.SubmitPrompt(id="pmt1", values={"ok": True}),
        "/prompts/submit",
        {"id": "pmt1", "values": {"ok": True}},
    ),
    (CANCEL_PROMPT, models.CancelPrompt(id="pmt1"), "/prompts/cancel", {"id": "pmt1"}),
    (GET_SESSION, models.GetSession(id="ses1"), "/sessions/get?id=ses1", None),
    (GET_RUN, models.GetRun(id="a b&c=d/é"), "/runs/get?id=a+b%26c%3Dd%2F%C3%A9", None),
    (GET_RUN_OUTPUTS, models.GetRun(id="run1"), "/runs/getOutputs?id=run1", None),
    (
        GET_RUN_LOGS,
        models.GetLogs(run_id="run1", prev_token="1.2", level="debug"),
        "/runs/getLogs?runID=run1&prev_token=1.2&level=debug",
        None,
    ),
    (GET_PROMPT, models.GetPrompt(id="pmt1"), "/prompts/get?id=pmt1", None),
    (LIST_PROMPTS, models.ListPrompts(run_id="run1"), "/prompts/list?runID=run1", None),
    (LIST_RUNS, models.ListRuns(), "/runs/list", None),
    (LIST_RUNBOOKS, models.ListRunbooks(), "/runbooks/list", None),
    (LIST_TASKS, models.ListTasks(), "/tasks/list", None),
    (
        CREATE_UPLOAD,
        models.CreateUpload(file_name="a.csv", size_bytes=3),
        "/uploads/create",
        {"fileName": "a.csv", "sizeBytes": 3},
    ),
    (
        WRITE_UPLOAD,
        models.WriteUpload(id="upl1", offset=0, content=b"\xff\0\n"),
        "/uploads/write",
        {"id": "upl1", "offset": 0, "content": "/wAK"},
    ),
    (GET_UPLOAD, models.GetUpload(id="upl1"), "/uploads/get?id=upl1", None),
    (CANCEL_SESSION, models.CancelSession(id="ses1"), "/sessions/cancel", {"id": "ses1"}),
    (DELETE_SESSION, models.DeleteSession(id="ses1"), "/sessions/delete", {"id": "ses1"}),
    (RELEASE_SESSIONS, models.ReleaseSessions(all=True), "/sessions/release", {"all": True}),
    (
        LIST_RUNS,
        models.ListRuns(task_id="tsk1", task_slug="t", since=AT, until=AT, limit=50, page=0),
        "/runs/list?taskID=tsk1&taskSlug=t&since=2024-01-02T02%3A04%3A05Z&until=2024-01-02T02%3A04%3A05Z&limit=50&page=0",
        None,
    ),
    (
        LIST_SESSIONS,
        models.ListSessions(runbook_id="rbk1", updated_after=AT, updated_before=AT, limit=1, page=7),
        (
            "/sessions/list?runbookID=rbk1&updatedAfter=2024-01-02T02%3A04%3A05Z"
            "&updatedBefore=2024-01-02T02%3A04%3A05Z&limit=1&page=7"
        ),
        None,
    ),
]


@pytest.mark.parametrize(
    ("operation", "request_", "target", "body"), SENT, ids=lambda value: getattr(value, "name", None)
)
def test_a_request_goes_out_as_the_api_describes_it(operation, request_, target, body):
    operation.check(request_)
    sent = operation.body(request_)

    assert operation.target(request_, None) == target
    assert (None if sent is None else json.loads(sent)) == body


def test_every_operation_is_covered_here():
    assert {operation.name for operation, *_ in SENT} == {operation.name for operation in ALL.values()}
    assert len(ALL) == 21


@pytest.mark.parametrize("operation", ALL.values(), ids=ALL)
def test_an_operation_describes_itself_consistently(operation):
    fields = set(operation.request.__struct_fields__)

    assert repr(operation) == f"<Operation {operation.name}: {operation.method} {operation.path}>"
    assert operation.method in ("GET", "POST")
    assert set(operation.needs) <= fields
    assert set(operation.values) <= set(fields)
    assert operation.path.startswith(f"/{operation.name.partition('.')[0]}/")
    with pytest.raises(AttributeError, match="immutable"):
        operation.path = "/"


NEEDY = [operation for operation in ALL.values() if operation.needs]


@pytest.mark.parametrize("operation", NEEDY, ids=lambda operation: operation.name)
@pytest.mark.parametrize("empty", ["", None])
def test_a_request_without_what_it_needs_is_refused_by_name(operation, empty):
    request = operation.request(**dict.fromkeys(operation.needs, empty))

    with pytest.raises(ConfigurationError, match=f"^{operation.name} needs {' or '.join(operation.needs)}$"):
        operation.check(request)


@pytest.mark.parametrize("operation", NEEDY, ids=lambda operation: operation.name)
def test_a_request_with_an_object_in_place_of_an_id_is_refused(operation):
    request = operation.request(**{operation.needs[0]: models.StartedSession(session_id="ses1")})

    problem = f"^{operation.name}: {operation.needs[0]} must be a string, not StartedSession$"
    with pytest.raises(ConfigurationError, match=problem):
        operation.check(request)


@pytest.mark.parametrize("operation", NEEDY, ids=lambda operation: operation.name)
def test_either_of_what_is_needed_is_enough(operation):
    for name in operation.needs:
        operation.check(operation.request(**{name: "x"}))


@pytest.mark.parametrize("operation", [EXECUTE_RUNBOOK, EXECUTE_TASK])
def test_older_servers_are_told_the_environment_in_the_query(operation):
    assert operation.target(operation.request(id="x"), "a b") == f"{operation.path}?envSlug=a+b"


def test_other_operations_name_the_environment_in_headers_only():
    assert CANCEL_RUN.target(models.CancelRun(run_id="x"), "prod") == "/runs/cancel"
    assert GET_RUN.target(models.GetRun(id="x"), "prod") == "/runs/get?id=x"


@pytest.mark.parametrize("limit", [0, 51, -1])
@pytest.mark.parametrize(
    ("operation", "request_type"), [(LIST_RUNS, models.ListRuns), (LIST_SESSIONS, models.ListSessions)]
)
def test_a_page_size_out_of_bounds_is_refused(operation, request_type, limit):
    with pytest.raises(ConfigurationError, match=f"^{operation.name}: limit must be 1 to 50, not {limit}$"):
        operation.target(request_type(limit=limit), None)


def test_a_negative_page_is_refused():
    with pytest.raises(ConfigurationError, match=r"^runs.list: page must not be negative, not -1$"):
        LIST_RUNS.target(models.ListRuns(page=-1), None)


@pytest.mark.parametrize(
    ("moment", "problem"),
    [
        (datetime(2024, 1, 1), "is a datetime without a time zone"),  # noqa: DTZ001
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "is a datetime outside of the years 1 to 9999"),
    ],
)
def test_a_time_that_cannot_be_told_is_refused_by_name(moment, problem):
    with pytest.raises(ConfigurationError, match=f"^sessions.list: updated_after {problem}"):
        LIST_SESSIONS.target(models.ListSessions(updated_after=moment), None)


def test_microseconds_of_a_time_are_told():
    target = LIST_RUNS.target(models.ListRuns(since=datetime(2024, 1, 1, microsecond=1, tzinfo=UTC)), None)

    assert parse_qsl(urlsplit(target).query) == [("since", "2024-01-01T00:00:00.000001Z")]


def test_text_that_is_no_unicode_is_refused():
    with pytest.raises(ConfigurationError, match=r"^runs.get: a string has a lone surrogate"):
        GET_RUN.target(models.GetRun(id="\ud800"), None)
    with pytest.raises(ConfigurationError, match=r"^tasks.execute: a string has a lone surrogate"):
        EXECUTE_TASK.body(models.ExecuteTask(slug="\ud800"))


def test_any_mapping_of_resources_is_sent():
    body = EXECUTE_TASK.body(models.ExecuteTask(id="tsk1", resources=MappingProxyType({"db": "res1"})))

    assert json.loads(body)["resources"] == {"db": "res1"}


@pytest.mark.parametrize("resources", [object(), {"db": float("nan")}, {1: "res1"}])
def test_resources_are_held_to_the_same_rules_as_values(resources):
    with pytest.raises(ParamValueError, match=r"^resources"):
        EXECUTE_TASK.body(models.ExecuteTask(id="t", resources=resources))


def test_free_values_follow_their_own_rules():
    with pytest.raises(ParamValueError, match=r"^param_values\.x"):
        EXECUTE_TASK.body(models.ExecuteTask(id="t", param_values={"x": float("nan")}))
    with pytest.raises(ParamValueError, match=r"^values\.x"):
        SUBMIT_PROMPT.body(models.SubmitPrompt(id="p", values={"x": b""}))


def test_encoding_a_request_leaves_it_as_it_was():
    request = models.ExecuteRunbook(id="rbk1", param_values={"a": 1})
    EXECUTE_RUNBOOK.body(request)

    assert request == models.ExecuteRunbook(id="rbk1", param_values={"a": 1})


@pytest.mark.parametrize("operation", ALL.values(), ids=ALL)
def test_a_reply_decodes_to_its_type_or_fails_as_msgspec_does(operation):
    document = {"id": "x", "status": "Active", "sessionID": "s", "runID": "r", "output": 1, "prompt": {"id": "p"}}
    document["upload"] = {"id": "u"}

    assert type(operation.decode(msgspec.json.encode(document))) is operation.reply
    with pytest.raises(msgspec.DecodeError):
        operation.decode(b"<html>")
    with pytest.raises(msgspec.ValidationError):
        operation.decode(b"[]")
