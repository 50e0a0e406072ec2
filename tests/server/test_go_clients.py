"""The official Go clients cannot be had here: these decoders are as strict as theirs, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
import pytest

from airplane_runbooks.server import Context, Field, Reviewers, runbook, task
from tests.server.support import eventually, served

Type = Literal[
    "any",
    "string",
    "boolean",
    "upload",
    "integer",
    "float",
    "date",
    "datetime",
    "configvar",
    "list",
    "map",
    "object",
]
Strings = dict[str, str]


class Constraints(msgspec.Struct, rename="camel"):
    optional: bool | None = None
    regex: str | None = None
    options: Any = None
    allow_unknown_keys: bool | None = None


class Parameter(msgspec.Struct):
    slug: str | None = None
    name: str | None = None
    desc: str | None = None
    type: Type | None = None
    component: Literal["", "editor-sql", "textarea"] | None = None
    default: Any = None
    constraints: Constraints | None = None
    params: list[Parameter] | None = None
    parameters: list[Parameter] | None = None
    values: Parameter | None = None


class Schema(msgspec.Struct):
    parameters: list[Parameter] | None = None


class Session(msgspec.Struct, rename="camel"):
    """As `GetSessionResponse`."""

    status: Literal["Pending", "Active", "Waiting", "Succeeded", "Failed", "Cancelling", "Cancelled"] | None = None
    id: str | None = None
    name: str | None = None
    runbook_id: str | None = msgspec.field(default=None, name="runbookID")
    param_values: Strings | None = None
    params: list[Parameter] | None = None
    is_private: bool | None = None
    permissions: list[Any] | None = None
    team_id: str | None = msgspec.field(default=None, name="teamID")
    created_at: str | None = None
    created_by: str | None = None
    updated_at: str | None = None
    updated_by: str | None = None


class Run(msgspec.Struct, rename="camel"):
    """As `GetRunResponse`."""

    status: Literal["NotStarted", "Queued", "Active", "Succeeded", "Failed", "Cancelled"] | None = None
    runtime: Literal["standard", "workflow"] | None = None
    id: str | None = None
    task_id: str | None = msgspec.field(default=None, name="taskID")
    session_id: str | None = msgspec.field(default=None, name="sessionID")
    team_id: str | None = msgspec.field(default=None, name="teamID")
    zone_id: str | None = msgspec.field(default=None, name="zoneID")
    timeout: int | None = None
    param_values: Strings | None = None
    params: list[Parameter] | None = None
    resources: Strings | None = None
    constraints: dict[str, list[Strings] | None] | None = None
    is_private: bool | None = None
    permissions: list[Any] | None = None
    created_at: str | None = None
    created_by: str | None = None
    active_at: str | None = None
    succeeded_at: str | None = None
    failed_at: str | None = None
    cancelled_at: str | None = None
    cancelled_by: str | None = None


class PromptReviewers(msgspec.Struct, rename="camel"):
    allow_self_approvals: bool | None = None
    groups: list[str] | None = None
    users: list[str] | None = None


class Prompt(msgspec.Struct, rename="camel"):
    """As `PromptsifacePrompt`."""

    id: str | None = None
    run_id: str | None = msgspec.field(default=None, name="runID")
    schema: Schema | None = None
    values: Strings | None = None
    reviewers: PromptReviewers | None = None
    description: str | None = None
    confirm_text: str | None = None
    cancel_text: str | None = None
    created_at: str | None = None
    submitted_at: str | None = None
    submitted_by: str | None = None
    cancelled_at: str | None = None
    cancelled_by: str | None = None


class CommandLineRun(msgspec.Struct, rename="camel"):
    """As the command line's `Run`: with times, which Go reads in RFC 3339 only."""

    run_id: str = msgspec.field(name="runID")
    task_id: str = msgspec.field(name="taskID")
    task_name: str
    team_id: str = msgspec.field(name="teamID")
    status: str
    param_values: dict[str, Any]
    parameters: Schema
    created_at: datetime
    creator_id: str = msgspec.field(name="creatorID")
    env_slug: str
    queued_at: datetime | None
    active_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str | None


@runbook
def greet(context: Context, name: str, tone: Literal["warm", "cold"] = "warm") -> dict[str, str]:
    """Greet somebody, if a human agrees."""
    context.step(spell, name)
    answer = context.prompt(
        "Really?",
        note=Field(str, optional=True),
        why=Literal["a", "b"],
        reviewers=Reviewers(allow_self_approvals=True),
    )
    return {"note": answer["why"]}


@runbook
def of_any_type(
    context: Context,
    anything: Any | None = None,
    rows: list[dict[str, int]] | None = None,
    tags: list[str] | None = None,
    at: datetime | None = None,
) -> None:
    """Show every type of a parameter."""


@task
def spell(name: str) -> dict[str, str]:
    """Spell a name."""
    return {"first": name[0]}


@pytest.fixture(scope="module")
def api():
    with served(greet, of_any_type, tasks=[spell]) as client:
        yield client


def decode(answer, model):
    """Read a reply as the generated client does: nothing but 200, nothing but JSON, nothing of another type."""
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return msgspec.json.decode(answer.body, type=model)


def test_the_generated_client_reads_all_of_a_session_whose_values_are_strings(api):
    started = api.send(
        "POST", "/runbooks/execute?envSlug=dev", body=b'{"id":"","paramValues":{"name":"Ada"},"slug":"greet"}'
    )
    session_id = decode(started, Strings)["sessionID"]
    prompt = api.open_prompt(session_id)
    shown = decode(api.get("/prompts/get", id=prompt["id"]), dict[Literal["prompt"], Prompt])["prompt"]
    assert decode(api.get("/prompts/list", runID=prompt["runID"]), dict[str, list[Prompt]])["prompts"] == [shown]
    answer = api.post("/prompts/submit", {"id": prompt["id"], "values": {"why": "a"}})
    assert decode(answer, Strings) == {"id": prompt["id"]}
    api.reaches(session_id, "Succeeded")
    session = decode(api.get("/sessions/get", id=session_id), Session)
    assert (session.status, session.param_values) == ("Succeeded", {"name": "Ada", "tone": "warm"})
    assert session in decode(api.get("/sessions/list", limit="50", page="0"), dict[str, list[Session]])["sessions"]
    runs = decode(api.get("/runs/list", limit="50", page="0"), dict[str, list[Run]])["runs"]
    assert [run.runtime for run in runs] == ["workflow"] * 3
    for run in runs:
        assert decode(api.get("/runs/get", id=run.id), Run) == run
    outputs = [decode(api.get("/runs/getOutputs", id=run.id), dict[str, Strings | None])["output"] for run in runs]
    assert outputs[1:] == [{"first": "A"}, {"note": "a"}]


def test_the_generated_client_reads_the_schema_of_any_runbook(api):
    session = decode(api.get("/sessions/get", id=api.execute("of_any_type")), Session)
    types = {parameter.slug: parameter.type for parameter in session.params}
    assert types == {"anything": "any", "rows": "list", "tags": "string", "at": "datetime"}


def test_the_command_line_reads_runs_in_its_own_shape(api):
    body = {"taskID": None, "slug": "spell", "paramValues": {"name": "Ada"}, "envSlug": "dev", "resources": {}}
    run_id = decode(api.post("/tasks/execute?envSlug=dev", body), dict[str, Any])["runID"]
    run = eventually(
        lambda: (run := decode(api.get("/runs/get", runID=run_id), dict[str, Any])["run"])["succeededAt"] and run
    )
    run = msgspec.convert(run, CommandLineRun)
    assert (run.run_id, run.status, run.env_slug, run.created_at.utcoffset().seconds) == (run_id, "Succeeded", "dev", 0)
    assert run.parameters.parameters[0].slug == "name"
    assert run in decode(api.get("/runs/list", envSlug="dev"), dict[str, list[CommandLineRun]])["runs"]
    assert decode(api.get("/runs/getOutputs", runID=run_id), dict[str, Any])["outputs"] == {"first": "A"}
