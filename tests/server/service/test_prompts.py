from __future__ import annotations

from datetime import date

import pytest

from airplane_runbooks.server import Context, Field, PromptCancelled, runbook
from tests.support.servers import served

FIELDS = {
    "approve": bool,
    "amount": Field(int, options=[10, 20], default=10),
    "code": Field(str, regex="[a-z]+", optional=True),
    "due": Field(date | None, name="Due on"),
    "notes": list[str],
}


@runbook
def decide(context: Context) -> str:
    """Ask for a lot."""
    answer = context.prompt("Well?", **FIELDS)
    return repr(answer)


@runbook
def insists(context: Context) -> str:
    """Take no cancellation for an answer."""
    try:
        context.prompt("First?", sure=bool)
    except PromptCancelled as problem:
        return context.prompt(f"{problem.description} Still?", sure=bool) and "second"
    return "first"


@pytest.fixture(scope="module")
def api():
    with served(decide, insists) as client:
        yield client


def test_an_answer_resumes_the_session_with_python_values(api):
    session_id = api.execute("decide")
    prompt = api.open_prompt(session_id)
    values = {"approve": True, "due": "2022-02-03", "notes": ["x"], "amount": None}
    answer = api.post("/prompts/submit", {"id": prompt["id"], "values": values})
    assert (answer.status, answer.json) == (200, {"id": prompt["id"]})
    assert api.session(session_id)["status"] != "Waiting"
    api.reaches(session_id, "Succeeded")
    runbook_run, prompt_run = api.runs(session_id)
    assert api.output(runbook_run) == repr(
        {"approve": True, "amount": 10, "code": None, "due": date(2022, 2, 3), "notes": ["x"]}
    )
    submitted = api.get("/prompts/get", id=prompt["id"]).json["prompt"]
    assert submitted["values"] == {"approve": True, "due": "2022-02-03", "notes": ["x"], "amount": 10}
    assert submitted["submittedAt"].endswith("Z")
    assert submitted["submittedBy"].startswith("usr")
    assert submitted["cancelledAt"] is submitted["cancelledBy"] is None
    assert prompt_run["status"] == "Succeeded"
    assert api.output(prompt_run) == submitted["values"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"notes": []}, "values.approve: a value is required"),
        ({"approve": "yes", "notes": []}, "values.approve: expected a boolean, got a string"),
        ({"approve": True, "notes": [], "amount": 30}, "values.amount: the value is not among the options"),
        ({"approve": True, "notes": [], "amount": True}, "values.amount: expected an integer, got a boolean"),
        ({"approve": True, "notes": [], "code": "ab1"}, "values.code: the value does not match [a-z]+"),
        ({"approve": True, "notes": [1]}, "values.notes[0]: expected a string, got a number"),
        ({"approve": True, "notes": [], "extra": 1}, "values.extra: there is no such parameter"),
        (None, "values.approve: a value is required"),
    ],
)
def test_an_answer_that_does_not_fit_leaves_the_prompt_open(api, values, message):
    session_id = api.execute("decide")
    prompt = api.open_prompt(session_id)
    answer = api.post("/prompts/submit", {"id": prompt["id"], "values": values})
    assert (answer.status, answer.error) == (400, message)
    assert api.open_prompt(session_id) == prompt


@pytest.mark.parametrize("first", ["/prompts/submit", "/prompts/cancel"])
@pytest.mark.parametrize("second", ["/prompts/submit", "/prompts/cancel"])
def test_only_the_first_answer_counts(api, first, second):
    prompt = api.open_prompt(api.execute("decide"))
    body = {"id": prompt["id"], "values": {"approve": False, "notes": []}}
    assert api.post(first, body).status == 200
    before = api.get("/prompts/get", id=prompt["id"]).json
    answer = api.post(second, {**body, "values": {}})
    assert (answer.status, answer.code) == (409, "prompt_already_answered")
    assert answer.headers["X-Airplane-Retryable"] == "false"
    assert api.get("/prompts/get", id=prompt["id"]).json == before


def test_a_cancelled_prompt_cancels_a_session_that_does_not_mind(api):
    session_id = api.execute("decide")
    prompt = api.open_prompt(session_id)
    assert api.post("/prompts/cancel", {"id": prompt["id"]}).json == {"id": prompt["id"]}
    api.reaches(session_id, "Cancelled")
    assert [run["status"] for run in api.runs(session_id)] == ["Cancelled", "Cancelled"]
    assert api.output(api.runs(session_id)[0]) == {"error": "the prompt 'Well?' was cancelled"}
    cancelled = api.get("/prompts/get", id=prompt["id"]).json["prompt"]
    assert cancelled["cancelledAt"].endswith("Z")
    assert cancelled["cancelledBy"].startswith("usr")
    assert cancelled["submittedAt"] is cancelled["submittedBy"] is None


def test_a_runbook_may_go_on_after_a_cancelled_prompt(api):
    session_id = api.execute("insists")
    api.post("/prompts/cancel", {"id": api.open_prompt(session_id)["id"]})
    prompt = api.open_prompt(session_id)
    assert prompt["description"] == "First? Still?"
    api.answer(session_id, sure=True)
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == "second"


@pytest.mark.parametrize("path", ["/prompts/submit", "/prompts/cancel"])
def test_a_prompt_must_be_named_and_exist(api, path):
    assert api.post(path, {}).status == api.post(path, {"id": ""}).status == 400
    answer = api.post(path, {"id": "nope"})
    assert (answer.status, answer.code) == (404, "prompt_not_found")
