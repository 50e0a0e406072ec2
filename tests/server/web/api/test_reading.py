from __future__ import annotations

import re

import msgspec
import pytest

from airplane_runbooks import models
from airplane_runbooks.server import Context, Reviewers, runbook, task
from tests.support.servers import eventually, served

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@runbook
def asks(context: Context, topic: str = "money") -> None:
    """Ask for a decision."""
    context.step(double, 2)
    context.prompt(
        f"Really, about {topic}?",
        reviewers=Reviewers(groups=("ops",), users=("a@example.com",), allow_self_approvals=False),
        confirm_text="Do it",
        cancel_text="Leave it",
        sure=bool,
    )


@runbook
def quick(context: Context) -> None:
    """Do nothing."""


@task
def double(number: int) -> int:
    """Double a number."""
    return number * 2


@pytest.fixture(scope="module")
def api():
    with served(asks, quick, tasks=[double]) as client:
        yield client


@pytest.fixture(scope="module")
def waiting(api):
    session_id = api.execute("asks")
    api.reaches(session_id, "Waiting")
    return session_id


def ids(items):
    return [item["id"] for item in items]


def test_identifiers_have_the_api_s_form(api, waiting):
    prompt = api.open_prompt(waiting)
    for prefix, one in (("ses", waiting), ("run", prompt["runID"]), ("pmt", prompt["id"]), ("rbk", asks.id)):
        assert re.fullmatch(prefix + r"\d{8}z[a-z0-9]{10}", one)


def test_a_session_has_every_field(api, waiting):
    session = api.session(waiting)
    assert {key: session[key] for key in ("id", "name", "runbookID", "status", "paramValues", "isPrivate")} == {
        "id": waiting,
        "name": "Asks",
        "runbookID": asks.id,
        "status": "Waiting",
        "paramValues": {"topic": "money"},
        "isPrivate": False,
    }
    assert isinstance(session["params"], list)
    assert session["permissions"] == []
    assert session["teamID"].startswith("tea")
    assert session["createdBy"] == session["updatedBy"]
    assert STAMP.fullmatch(session["createdAt"])
    assert STAMP.fullmatch(session["updatedAt"])


def test_a_run_has_the_fields_of_both_shapes(api, waiting):
    runbook_run, step, prompt = api.runs(waiting)
    for run in (runbook_run, step, prompt):
        assert run["id"] == run["runID"]
        assert run["createdBy"] == run["creatorID"]
        assert run["parameters"] == {"parameters": run["params"]}
        assert run["zoneID"] is None
        assert run["sessionID"] == waiting
        assert run["constraints"] == {"labels": []}
        assert {run[key] for key in ("failedAt", "cancelledAt", "cancelledBy")} == {None}
        assert STAMP.fullmatch(run["createdAt"])
        assert STAMP.fullmatch(run["activeAt"])
    assert [run["status"] for run in (runbook_run, step, prompt)] == ["Active", "Succeeded", "Active"]
    assert [run["isWaitingForUser"] for run in (runbook_run, step, prompt)] == [False, False, True]
    assert [run["parentID"] for run in (runbook_run, step, prompt)] == [None, runbook_run["id"], runbook_run["id"]]
    assert (step["taskID"], step["taskSlug"], step["taskName"]) == (double.id, "double", "double")
    assert step["paramValues"] == {"number": 2}
    assert STAMP.fullmatch(step["succeededAt"])
    assert runbook_run["succeededAt"] is None


def test_every_reply_is_read_by_our_own_models(api, waiting):
    def read(path, model, **query):
        return msgspec.json.decode(api.get(path, **query).body, type=model)

    session = read("/sessions/get", models.Session, id=waiting)
    assert session.status is models.SessionStatus.WAITING
    assert read("/sessions/list", models.SessionPage).sessions[0].id == waiting
    runs = read("/runs/list", models.RunPage, sessionID=waiting).runs
    assert read("/runs/get", models.Run, id=runs[0].id) == runs[0]
    assert read("/runs/getOutputs", models.RunOutputs, id=runs[1].id).output == 4
    (prompt,) = read("/prompts/list", models.PromptPage, runID=runs[0].id).prompts
    assert prompt.is_open
    assert prompt.schema.parameters[0].type is models.ParameterType.BOOLEAN
    assert read("/prompts/get", models.PromptReply, id=prompt.id).prompt == prompt


def test_an_open_prompt_has_null_for_its_answer(api, waiting):
    prompt = api.open_prompt(waiting)
    assert {prompt[key] for key in ("submittedAt", "submittedBy", "cancelledAt", "cancelledBy")} == {None}
    assert prompt["values"] == {}
    assert prompt["description"] == "Really, about money?"
    assert (prompt["confirmText"], prompt["cancelText"]) == ("Do it", "Leave it")
    assert prompt["reviewers"] == {"groups": ["ops"], "users": ["a@example.com"], "allowSelfApprovals": False}
    assert [parameter["slug"] for parameter in prompt["schema"]["parameters"]] == ["sure"]
    assert "zoneToken" not in prompt
    assert api.get("/prompts/get", id=prompt["id"]).json == {"prompt": prompt}


def test_a_run_is_found_by_id_or_run_id(api, waiting):
    run = api.runs(waiting)[1]
    both = api.get("/runs/get", id=run["id"]).json
    assert both == {**run, "run": run}
    assert api.get("/runs/get", runID=run["id"]).json == both
    assert api.get("/runs/getOutputs", runID=run["id"]).json == {"output": 4, "outputs": 4}
    assert api.get("/runs/get", id="", runID=run["id"]).json == both


def test_the_output_of_a_run_is_null_until_it_ends(api, waiting):
    assert api.get("/runs/getOutputs", id=api.runs(waiting)[0]["id"]).json == {"output": None, "outputs": None}


@pytest.mark.parametrize("path", ["/sessions/get", "/runs/get", "/runs/getOutputs", "/prompts/get", "/prompts/list"])
def test_a_read_needs_an_id_that_exists(api, path):
    assert api.get(path).status == api.get(path, id="").status == 400
    answer = api.get(path, id="nope")
    assert (answer.status, answer.headers["X-Airplane-Retryable"]) == (404, "false")
    assert answer.code.endswith("_not_found")


def test_lists_are_paged_from_the_newest_on():
    with served(quick, asks) as api:
        started = [api.execute("quick") for _ in range(55)][::-1]
        everything = api.get("/sessions/list").json["sessions"]
        assert ids(everything) == started[:50]
        assert ids(api.get("/sessions/list", page="1").json["sessions"]) == started[50:]
        assert ids(api.get("/sessions/list", limit="20", page="1").json["sessions"]) == started[20:40]
        assert api.get("/sessions/list", page="1000000000").json["sessions"] == []
        assert ids(api.get("/sessions/list", limit="0").json["sessions"]) == started[:50]
        assert ids(api.get("/sessions/list", limit="", page="").json["sessions"]) == started[:50]
        assert len(api.get("/runs/list", limit="7").json["runs"]) == 7


@pytest.mark.parametrize(
    "query", [{"limit": "51"}, {"limit": "-1"}, {"limit": "x"}, {"page": "-1"}, {"page": "1.0"}, {"page": "9" * 5000}]
)
@pytest.mark.parametrize("path", ["/sessions/list", "/runs/list"])
def test_a_page_out_of_range_is_refused(api, path, query):
    answer = api.get(path, **query)
    assert (answer.status, answer.code) == (400, "invalid_query")
    assert next(iter(query)) in answer.error


def test_lists_are_filtered(api, waiting):
    other = api.execute("quick")
    task_run = api.post("/tasks/execute?envSlug=dev", {"slug": "double", "paramValues": {"number": 1}}).json["runID"]
    by_runbook = api.get("/sessions/list", runbookID=quick.id).json["sessions"]
    assert other in ids(by_runbook)
    assert waiting not in ids(by_runbook)
    by_slug = ids(api.get("/runs/list", taskSlug="double").json["runs"])
    assert by_slug == [task_run, api.runs(waiting)[1]["id"]]
    assert ids(api.get("/runs/list", taskID=double.id).json["runs"]) == by_slug
    assert ids(api.get("/runs/list", envSlug="dev").json["runs"]) == [task_run]
    assert api.get("/runs/list", taskSlug="nope").json == {"runs": []}


@pytest.mark.parametrize(
    ("path", "items", "after", "before"),
    [("/sessions/list", "sessions", "updatedAfter", "updatedBefore"), ("/runs/list", "runs", "since", "until")],
)
def test_lists_are_filtered_by_the_last_update_inclusively(api, path, items, after, before):
    session_id = api.execute("quick")
    api.reaches(session_id, "Succeeded")
    run = api.runs(session_id)[0]
    one, moment = (
        (run["id"], run["succeededAt"]) if items == "runs" else (session_id, api.session(session_id)["updatedAt"])
    )
    moment = eventually(lambda: moment)
    latest = "2999-01-01T00:00:00-00:00"
    assert one in ids(api.get(path, **{after: "2022-01-01T00:00:00Z", before: latest}).json[items])
    assert api.get(path, **{after: latest}).json[items] == []
    assert one not in ids(api.get(path, **{before: "2022-01-11 22:32:45.6+00"}).json[items])
    if items == "sessions":
        assert one in ids(api.get(path, **{after: moment, before: moment}).json[items])
    unescaped = api.send("GET", f"{path}?{after}=2022-01-01T00:00:00+00:00&{before}=")
    assert one in ids(unescaped.json[items])
    answer = api.get(path, **{after: "yesterday"})
    assert (answer.status, answer.error) == (400, f"{after}: expected a time (RFC 3339)")
