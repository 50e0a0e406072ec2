"""The official Go clients: their requests, and decoders as strict as theirs, field by field.

The clients themselves were built and run against the server; CI has no Go.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, Field, Reviewers, RunbookServer, User, runbook, task
from airplane_runbooks.server.storage.idempotency import StoredReply
from airplane_runbooks.server.web.api import generated_clients
from airplane_runbooks.server.web.api.command_line import COMMAND_LINE
from tests.support.servers import Client, eventually

ADA = User("ada@example.com", "tkn_ada_0123456789abcdef")
GENERATED = "speakeasy-sdk/go 3.2.3 2.291.0 0.0.1 github.com/speakeasy-sdks/airplane-go-sdk"

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


class Option(msgspec.Struct):
    label: str
    value: str


class Constraints(msgspec.Struct, rename="camel"):
    optional: bool | None = None
    regex: str | None = None
    options: list[Option] | None = None  # the client takes anything, and its users have strings to compare with
    allow_unknown_keys: bool | None = None


class Parameter(msgspec.Struct):
    slug: str | None = None
    name: str | None = None
    desc: str | None = None
    type: Type | None = None
    component: Literal["", "editor-sql", "textarea"] | None = None
    default: str | None = None  # likewise
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


class CommandLineParameter(msgspec.Struct):
    """As the command line's `Parameter`, whose values may be anything."""

    slug: str
    name: str
    desc: str
    type: Type
    component: str
    default: Any
    constraints: dict[str, Any]


class CommandLineSchema(msgspec.Struct):
    parameters: list[CommandLineParameter]


class CommandLineTask(msgspec.Struct, rename="camel"):
    """As the command line's `Task`, as far as the server fills it."""

    task_id: str = msgspec.field(name="taskID")
    name: str
    slug: str
    description: str
    parameters: CommandLineSchema
    timeout: int
    is_archived: bool
    created_at: datetime
    updated_at: datetime


class TemplateSession(msgspec.Struct):
    id: str
    configs: list[Any]
    constraints: dict[Literal["labels"], list[Any]]


class CommandLineRunbook(msgspec.Struct, rename="camel"):
    id: str
    name: str
    slug: str
    parameters: CommandLineSchema
    template_session: TemplateSession


class TaskBlock(msgspec.Struct, rename="camel"):
    task_id: str = msgspec.field(name="taskID")
    param_values: dict[str, Any]


class FormBlock(msgspec.Struct, rename="camel"):
    parameters: CommandLineSchema
    param_values: dict[str, Any]


class BlockConfig(msgspec.Struct):
    task: TaskBlock | None = None
    form: FormBlock | None = None


class Block(msgspec.Struct, rename="camel"):
    id: str
    kind: Literal["task", "form"]
    kind_config: BlockConfig
    start_condition: str
    slug: str


class LogItem(msgspec.Struct, rename="camel"):
    timestamp: datetime
    insert_id: str = msgspec.field(name="insertID")
    text: str
    level: Literal["info", "debug"]
    task_slug: str


class Logs(msgspec.Struct):
    run_id: str = msgspec.field(name="runID")
    logs: list[LogItem]
    next_token: str
    prev_token: str


class Named(msgspec.Struct):
    id: str
    name: str
    email: str = ""


class AuthInfo(msgspec.Struct):
    user: Named | None
    team: Named


class CommandLineRun(msgspec.Struct, rename="camel"):
    """As the command line's `Run`: with times, which Go reads in RFC 3339 only."""

    run_id: str = msgspec.field(name="runID")
    task_id: str = msgspec.field(name="taskID")
    task_name: str
    team_id: str = msgspec.field(name="teamID")
    status: str
    param_values: dict[str, Any]
    parameters: CommandLineSchema
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
    """Greet a customer, if a human agrees."""
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


OUTPUTS: list[Any] = ["text", "", 12, 0.1, True, None, [1, "a"], {}, {"a": 1, "b": "c", "d": None, "e": [1], "": {}}]


class Level(Enum):
    LOW = 1
    HIGH = 2


@runbook
def everything(
    context: Context,
    limit: int = 1,
    ratio: float = 0.5,
    *,
    urgent: bool = False,
    day: date | None = None,
    level: Level = Level.LOW,
    name: str = "20",
    tags: list[int] = [1, 2],  # noqa: B006 - never changed
    rates: dict[str, float] = {"a": 1.5},  # noqa: B006 - likewise
    anything: Any = {"a": [None]},  # noqa: B006 - likewise
) -> str:
    """Have values of every kind everywhere."""
    for output in OUTPUTS:
        context.step(lambda output: output, output, name="gives")
    answer = context.prompt(
        "Well?",
        approve=bool,
        cents=Field(int, options=[12, 13], default=13),
        on=date,
        at=Field(datetime, optional=True),
        sizes=Field(list[int], default=[1]),
    )
    return f"{limit * 2} {ratio} {urgent} {day!r} {level.name} {answer['approve']} {answer['cents'] + 1} {answer['on']}"


@task
def doubles(number: int) -> int:
    """Double a number."""
    return number * 2


@task
def breaks(number: int = 1) -> None:
    """Fail."""
    raise ValueError(f"no {number}")


@pytest.fixture(scope="module")
def server():
    runbooks, tasks = [greet, of_any_type, everything], [spell, doubles, breaks]
    with RunbookServer(runbooks, tasks, environments=["prod", "dev"], users=[ADA]) as server:
        yield server


@pytest.fixture(scope="module")
def api(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture(scope="module")
def go(server):
    client = Client(server, **{"User-Agent": GENERATED})
    yield client
    client.close()


def decode(answer, model):
    """Read a reply as the generated client does: nothing but 200, nothing but JSON, nothing of another type."""
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return msgspec.json.decode(answer.body, type=model)


def test_the_generated_client_reads_a_session_of_strings(go):
    api = go
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
    runs = decode(api.get("/runs/list", sessionID=session_id, limit="50", page="0"), dict[str, list[Run]])["runs"]
    assert [run.runtime for run in runs] == ["workflow"] * 3
    for run in runs:
        assert decode(api.get("/runs/get", id=run.id), Run) == run
    outputs = [decode(api.get("/runs/getOutputs", id=run.id), dict[str, Strings | None])["output"] for run in runs]
    assert outputs[1:] == [{"first": "A"}, {"note": "a"}]


def test_the_generated_client_reads_the_schema_of_any_runbook(go):
    session = decode(go.get("/sessions/get", id=go.execute("of_any_type")), Session)
    types = {parameter.slug: parameter.type for parameter in session.params}
    assert types == {"anything": "any", "rows": "list", "tags": "string", "at": "datetime"}


def test_the_generated_client_reads_values_of_every_kind(go):
    values = {"limit": "20", "ratio": "2.5", "urgent": "true", "day": "2026-01-31", "level": "2"}
    body = {"id": "", "slug": "everything", "paramValues": values}
    session_id = decode(go.send("POST", "/runbooks/execute?envSlug=dev", json=body), Strings)["sessionID"]
    go.reaches(session_id, "Waiting")

    listed = decode(go.get("/runs/list", limit="50", page="0"), dict[str, list[Run]])["runs"]
    of_session = [run for run in listed if run.session_id == session_id]
    asked = [decode(go.get("/prompts/list", runID=run.id), dict[str, list[Prompt]])["prompts"] for run in of_session]
    (prompt,) = [prompt for prompts in asked for prompt in prompts]
    assert decode(go.get("/prompts/get", id=prompt.id), dict[str, Prompt]) == {"prompt": prompt}
    fields = {field.slug: field for field in prompt.schema.parameters}
    assert [option.value for option in fields["cents"].constraints.options] == ["12", "13"]
    assert (fields["cents"].default, fields["sizes"].default, fields["approve"].default) == ("13", "[1]", None)

    answer = {"approve": "true", "cents": fields["cents"].constraints.options[0].value, "on": "2026-01-31"}
    assert decode(go.post("/prompts/submit", {"id": prompt.id, "values": answer}), Strings) == {"id": prompt.id}
    go.reaches(session_id, "Succeeded")
    answered = decode(go.get("/prompts/get", id=prompt.id), dict[str, Prompt])["prompt"]
    assert answered.values == {**answer, "sizes": "[1]"}

    session = decode(go.get("/sessions/get", id=session_id), Session)
    rest = {"name": "20", "tags": "[1,2]", "rates": '{"a":1.5}', "anything": '{"a":[null]}'}
    assert session.param_values == {**values, **rest}
    assert session in decode(go.get("/sessions/list"), dict[str, list[Session]])["sessions"]
    assert {one.slug: one.default for one in session.params} == {
        **rest,
        "day": None,
        "limit": "1",
        "ratio": "0.5",
        "urgent": "false",
        "level": "1",
    }
    runs = [decode(go.get("/runs/get", id=run.id), Run) for run in of_session]
    outputs = [decode(go.get("/runs/getOutputs", id=run.id), dict[str, Strings])["output"] for run in runs][::-1]
    assert outputs[0] == {"output": '"40 2.5 True datetime.date(2026, 1, 31) HIGH True 13 2026-01-31"'}
    assert [msgspec.json.decode(one["output"]) for one in outputs[1:8]] == OUTPUTS[:7]
    assert outputs[8:] == [{}, {"a": "1", "b": "c", "d": "null", "e": "[1]", "": "{}"}, answered.values]


def test_the_generated_client_reads_pages_with_any_values(api, go):
    api.finishes("of_any_type", {"anything": {"a": 1}, "rows": [{"n": 1}], "tags": ["a"], "at": "2026-01-31T11:30:00Z"})
    decode(go.get("/runs/list"), dict[str, list[Run]])
    decode(go.get("/sessions/list"), dict[str, list[Session]])


def test_the_generated_client_executes_tasks(go):
    body = {"slug": "doubles", "paramValues": {"number": "21"}, "resources": {}}
    run_id = decode(go.post("/tasks/execute", body), dict[str, Any])["runID"]
    assert ended(go, run_id).param_values == {"number": "21"}
    assert go.get("/runs/getOutputs", id=run_id).json["output"] == {"output": "42"}
    run_id = go.post("/tasks/execute", {"slug": "breaks"}).json["runID"]
    assert ended(go, run_id).status == "Failed"
    assert decode(go.get("/runs/getOutputs", id=run_id), dict[str, Strings])["output"] == {"error": "no 1"}
    refused = go.post("/tasks/execute", {**body, "paramValues": {"number": "x"}})
    assert (refused.status, refused.code) == (400, "invalid_parameter")


def ended(api, run_id):
    """Wait for the end of a run and return it as the generated client reads it."""
    ends = ("Succeeded", "Failed", "Cancelled")
    return eventually(lambda: (run := decode(api.get("/runs/get", id=run_id), Run)).status in ends and run)


def test_only_the_generated_client_gets_strings(api, go):
    session_id = api.execute("everything")
    plain, strings = (client.get("/sessions/get", id=session_id) for client in (api, go))
    assert (plain.json["paramValues"]["limit"], strings.json["paramValues"]["limit"]) == (1, "1")
    answers = (plain, strings, go.get("/runs/list"), api.get("/runs/list"))
    assert all("User-Agent" in answer.headers["Vary"] for answer in answers)


def test_an_idempotency_key_works_across_clients(api, go):
    first = go.post("/tasks/execute", {"slug": "doubles", "paramValues": {"number": "1"}}, **{"Idempotency-Key": "k1"})
    again = go.post("/tasks/execute", {"slug": "doubles", "paramValues": {"number": "1"}}, **{"Idempotency-Key": "k1"})
    other = api.post("/tasks/execute", {"slug": "doubles", "paramValues": {"number": "1"}}, **{"Idempotency-Key": "k1"})
    assert first.json == again.json == other.json


def test_a_stored_reply_is_rendered_for_the_calling_client():
    stored = StoredReply(200, msgspec.json.encode({"output": 1, "runID": "run1"}))
    assert generated_clients.with_string_values(stored).body == b'{"output":{"output":"1"},"runID":"run1"}'
    assert stored.body == b'{"output":1,"runID":"run1"}'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_any_output_can_be_restored_from_its_strings(output):
    reply = generated_clients.with_string_values(
        StoredReply(200, msgspec.json.encode({"output": output, "outputs": output}))
    )
    texts = msgspec.json.decode(reply.body, type=dict[str, Strings])
    assert texts["output"] == texts["outputs"]
    if isinstance(output, dict):
        strings = {key for key, value in output.items() if isinstance(value, str)}
        assert {
            key: text if key in strings else msgspec.json.decode(text) for key, text in texts["output"].items()
        } == output
    else:
        assert msgspec.json.decode(texts["output"]["output"]) == output


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


def test_the_command_line_executes_a_task_and_follows_it(api):
    task = decode(api.get("/tasks/get", slug="doubles", envSlug="dev"), CommandLineTask)
    assert (task.slug, task.name, task.description) == ("doubles", "Doubles", "Double a number.")
    assert (task.timeout, task.is_archived, task.created_at.utcoffset().seconds) == (3600, False, 0)
    assert [(one.slug, one.type) for one in task.parameters.parameters] == [("number", "integer")]
    body = {"taskID": task.task_id, "slug": None, "paramValues": {"number": 21}, "envSlug": "dev"}
    run_id = decode(api.post("/tasks/execute?envSlug=dev", body), dict[str, Any])["runID"]
    token = ""

    def watched():
        nonlocal token
        logs = decode(api.get("/runs/getLogs", runID=run_id, **{"prev_token": token} if token else {}), Logs)
        assert (logs.run_id, logs.logs) == (run_id, [])
        token = logs.prev_token
        return decode(api.get("/runs/get", runID=run_id), dict[str, Any])["run"]["status"] == "Succeeded"

    eventually(watched)
    assert decode(api.get("/runs/getOutputs", runID=run_id), dict[str, Any])["outputs"] == 42


def test_the_command_line_lists_tasks(api):
    tasks = decode(api.get("/tasks/list", envSlug="dev"), dict[str, list[CommandLineTask]])["tasks"]
    assert [task.slug for task in tasks] == ["spell", "doubles", "breaks"]
    assert tasks[0] == decode(api.get("/tasks/get", slug="spell"), CommandLineTask)
    assert tasks[0] == decode(api.get("/tasks/get", id=tasks[0].task_id), CommandLineTask)


def test_the_command_line_shows_a_runbook_and_its_session(api):
    runbook = decode(api.get("/runbooks/get", runbookSlug="greet", envSlug="dev"), dict[str, CommandLineRunbook])
    template = runbook["runbook"].template_session.id
    assert [one.slug for one in runbook["runbook"].parameters.parameters] == ["name", "tone"]
    assert blocks(api, template) == []

    session_id = api.execute("greet", {"name": "Ada"})
    prompt = api.open_prompt(session_id)
    step, form = blocks(api, session_id)
    assert (step.kind, step.kind_config.task.task_id, step.kind_config.task.param_values) == (
        "task",
        spell.id,
        {"name": "Ada"},
    )
    assert (form.id, form.kind, form.kind_config.form.param_values) == (prompt["runID"], "form", {})
    assert [one.slug for one in form.kind_config.form.parameters.parameters] == ["note", "why"]
    api.answer(session_id, why="a")
    assert blocks(api, session_id)[1].kind_config.form.param_values == {"why": "a"}


def blocks(api, session_id):
    return decode(api.get("/sessions/listBlocks", sessionID=session_id), dict[Literal["blocks"], list[Block]])["blocks"]


def test_the_command_line_learns_the_owner_of_its_key(api):
    team = decode(api.get("/auth/info"), AuthInfo).team
    assert decode(api.get("/auth/info"), AuthInfo) == AuthInfo(None, team)
    as_ada = api.send("GET", "/auth/info", headers={"X-Airplane-API-Key": "tkn_ada_0123456789abcdef"})
    assert decode(as_ada, AuthInfo) == AuthInfo(Named(ADA.id, "ada@example.com", "ada@example.com"), team)


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/tasks/get", {"slug": "nope"}, "task_not_found"),
        ("/tasks/get", {"slug": "doubles", "envSlug": "nowhere"}, "environment_not_found"),
        ("/tasks/list", {"envSlug": "nowhere"}, "environment_not_found"),
        ("/runbooks/get", {"runbookSlug": "nope"}, "runbook_not_found"),
        ("/runbooks/get", {"runbookSlug": "greet", "envSlug": "nowhere"}, "environment_not_found"),
        ("/sessions/listBlocks", {"sessionID": "ses1"}, "session_not_found"),
        ("/runs/getLogs", {"runID": "run1"}, "run_not_found"),
    ],
)
def test_an_unknown_object_is_404_with_its_code(api, path, query, code):
    answer = api.get(path, **query)
    assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize("path", ["/tasks/get", "/runbooks/get", "/sessions/listBlocks", "/runs/getLogs"])
def test_routes_of_the_command_line_need_their_parameters(api, path):
    answer = api.get(path)
    assert (answer.status, answer.code) == (400, "missing_field")


@pytest.mark.parametrize("path", [path for _, path in COMMAND_LINE])
def test_routes_of_the_command_line_need_a_key(api, path):
    assert api.send("GET", path, headers={"X-Airplane-API-Key": "tkn_wrong"}).status == 401
