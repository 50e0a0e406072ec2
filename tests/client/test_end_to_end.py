"""The client against the server, over real HTTP: every operation, and a session from its start to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import pytest

from airplane_runbooks import Airplane, BadRequest, CallOptions, Conflict, NotFound, SessionFailed, Unauthorized
from airplane_runbooks.models import ParameterType, RunStatus, SessionStatus
from airplane_runbooks.server import Context, RunbookServer, runbook, task
from tests.support.timing import PATIENCE

T = TypeVar("T")


def double(number: int) -> int:
    return number * 2


def echo(**values: Any) -> dict[str, Any]:
    return values


@runbook
def approval(context: Context, number: int, note: str = "none") -> str:
    """Double a number, if a human agrees."""
    doubled = context.step(double, number)
    answer = context.prompt(f"Keep {doubled}?", approve=bool)
    context.step(echo, doubled=doubled, note=note)
    return "kept" if answer["approve"] else "dropped"


@runbook
def dated(context: Context, day: date, moment: datetime, extra: Any = None) -> str:
    context.step(echo, day=day.isoformat(), moment=moment.isoformat(), extra=extra)
    return "done"


@runbook
def padded(context: Context, size: int) -> dict[str, str]:
    """Return a result of any size."""
    return {"padding": "x" * size}


def break_down(number: int) -> None:
    raise LookupError(f"no {number}")


@runbook
def breaking(context: Context) -> None:
    """Fail in a step."""
    context.step(break_down, 7)


@task
def doubling(number: int) -> int:
    return number * 2


@pytest.fixture(scope="module")
def server() -> Iterator[RunbookServer]:
    with RunbookServer([approval, dated, padded, breaking], [doubling]) as running:
        yield running


@pytest.fixture(scope="module")
def airplane(server: RunbookServer) -> Iterator[Airplane]:
    with Airplane(server.api_key, base_url=server.base_url) as client:
        yield client


def eventually(look: Callable[[], T], fits: Callable[[T], bool]) -> T:
    """Poll until the result fits."""
    give_up = time.monotonic() + PATIENCE
    while not fits(seen := look()):
        assert time.monotonic() < give_up, f"still {seen!r}"
        time.sleep(0.01)
    return seen


def waiting_prompt(airplane: Airplane, session_id: str) -> Any:
    """Return the open prompt of a session, as the public API lets one find it."""
    eventually(lambda: airplane.sessions.get(session_id).status, lambda status: status is SessionStatus.WAITING)
    runs = [run for run in airplane.runs.list() if run.session_id == session_id]
    (prompt,) = (prompt for run in runs for prompt in airplane.prompts.list(run.id) if prompt.is_open)
    return prompt


def test_a_session_runs_asks_a_human_and_succeeds(airplane: Airplane) -> None:
    session_id = airplane.runbooks.execute("approval", param_values={"number": 21, "note": "ünï"}).session_id
    prompt = waiting_prompt(airplane, session_id)
    assert prompt.description == "Keep 42?"
    assert [(field.slug, field.type) for field in prompt.schema.parameters] == [("approve", ParameterType.BOOLEAN)]

    assert airplane.prompts.submit(prompt.id, values={"approve": True}).id == prompt.id
    session = eventually(lambda: airplane.sessions.get(session_id), lambda session: session.status.is_terminal)
    assert session.status is SessionStatus.SUCCEEDED
    assert session.param_values == {"number": 21, "note": "ünï"}
    assert session.created_at is not None
    assert session.created_at.tzinfo is UTC

    answered = airplane.prompts.get(prompt.id)
    assert answered.values == {"approve": True}
    assert not answered.is_open
    runs = [run for run in airplane.runs.list() if run.session_id == session_id]
    assert all(run.status is RunStatus.SUCCEEDED for run in runs)
    outputs = [airplane.runs.get_outputs(run.id).output for run in runs]
    assert 42 in outputs
    assert {"doubled": 42, "note": "ünï"} in outputs


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_runbook_is_run_for_its_result(airplane: Airplane, size: int) -> None:
    assert airplane.runbooks.run("padded", {"size": size}, wait_timeout=PATIENCE) == {"padding": "x" * size}


def test_the_result_of_a_session_is_waited_for(airplane: Airplane) -> None:
    session_id = airplane.runbooks.execute("approval", {"number": 1}).session_id
    result = airplane.sessions.result(session_id, wait_timeout=PATIENCE, on_prompt=lambda *_: {"approve": True})
    assert result == airplane.sessions.get(session_id).output == "kept"


def test_a_failed_session_names_its_step(airplane: Airplane) -> None:
    with pytest.raises(SessionFailed, match="failed in step 'break_down': LookupError: no 7") as caught:
        airplane.runbooks.run("breaking", wait_timeout=PATIENCE)
    (step,) = airplane.sessions.steps(caught.value.session.id)
    assert caught.value.failure is not None
    assert caught.value.failure.step_run_id == step.run_id
    assert step.failure is not None
    assert (step.failure.kind, step.failure.message) == ("LookupError", step.error)


def test_a_rejected_prompt_cancels_the_session(airplane: Airplane) -> None:
    session_id = airplane.runbooks.execute("approval", param_values={"number": 1}).session_id
    airplane.prompts.cancel(waiting_prompt(airplane, session_id).id)
    ended = eventually(lambda: airplane.sessions.get(session_id).status, lambda status: status.is_terminal)
    assert ended is SessionStatus.CANCELLED


def test_a_prompt_takes_one_fitting_answer(airplane: Airplane) -> None:
    session_id = airplane.runbooks.execute("approval", param_values={"number": 1}).session_id
    prompt = waiting_prompt(airplane, session_id)
    with pytest.raises(BadRequest, match="approve"):
        airplane.prompts.submit(prompt.id, values={"approve": "maybe"})
    airplane.prompts.submit(prompt.id, values={"approve": False})
    with pytest.raises(Conflict):
        airplane.prompts.submit(prompt.id, values={"approve": True})
    with pytest.raises(Conflict):
        airplane.prompts.cancel(prompt.id)


def test_dates_arrive_as_dates_and_moments_as_moments(airplane: Airplane) -> None:
    moment = datetime(2024, 5, 1, 12, 30, 0, 250_000, tzinfo=UTC)
    extra = {"rows": [1, 2.5, None, {"deep": ["ü", "\N{PILE OF POO}"]}]}
    values = {"day": date(2024, 2, 29), "moment": moment.astimezone(None), "extra": extra}
    session_id = airplane.runbooks.execute("dated", param_values=values).session_id
    eventually(lambda: airplane.sessions.get(session_id).status, lambda status: status.is_terminal)
    (run,) = (run for run in airplane.runs.list() if run.session_id == session_id and run.task_name == "echo")
    assert airplane.runs.get_outputs(run.id).output == {
        "day": "2024-02-29",
        "moment": moment.isoformat(),
        "extra": extra,
    }


def test_a_task_is_a_run_of_its_own(airplane: Airplane) -> None:
    run_id = airplane.tasks.execute("doubling", param_values={"number": 4}).run_id
    run = eventually(lambda: airplane.runs.get(run_id), lambda run: run.status.is_terminal)
    assert run.status is RunStatus.SUCCEEDED
    assert run.session_id is None
    assert airplane.runs.get_outputs(run_id).output == 8
    with pytest.raises(Conflict):
        airplane.runs.cancel(run_id)


def test_lists_are_paged_and_filtered(airplane: Airplane) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    ids = {airplane.tasks.execute("doubling", param_values={"number": n}).run_id for n in range(7)}
    listed = [run.id for run in airplane.runs.list(task_slug="doubling", since=before, page_size=3)]
    assert ids <= set(listed)
    assert len(listed) == len(set(listed))
    assert airplane.runs.list_page(task_slug="doubling", until=before) == ()
    for number in range(2):
        airplane.runbooks.execute("approval", param_values={"number": number})
    assert len(airplane.sessions.list_page(limit=2)) == 2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda a: a.runbooks.execute("nothing_like_it"), NotFound),
        (lambda a: a.runbooks.execute("approval"), BadRequest),
        (lambda a: a.runbooks.execute("approval", param_values={"number": "many"}), BadRequest),
        (lambda a: a.tasks.execute(id="tsk20240101zzzzzzz"), NotFound),
        (lambda a: a.sessions.get("ses20240101zzzzzzz"), NotFound),
        (lambda a: a.runs.get("run20240101zzzzzzz"), NotFound),
        (lambda a: a.runs.get_outputs("run20240101zzzzzzz"), NotFound),
        (lambda a: a.prompts.get("pmt20240101zzzzzzz"), NotFound),
        (lambda a: a.prompts.list("run20240101zzzzzzz"), NotFound),
    ],
)
def test_what_does_not_fit_is_a_typed_error(airplane: Airplane, call: Callable[[Airplane], Any], error: type) -> None:
    with pytest.raises(error) as caught:
        call(airplane)
    assert caught.value.attempts == 1
    assert caught.value.message


def test_a_wrong_key_is_unauthorized(server: RunbookServer) -> None:
    with Airplane("tkn_wrong", base_url=server.base_url) as stranger, pytest.raises(Unauthorized):
        stranger.runbooks.execute("approval", param_values={"number": 1})


def test_a_repeated_key_starts_nothing_twice(airplane: Airplane) -> None:
    options = CallOptions(idempotency_key="order-77")
    first, second = (
        airplane.runbooks.execute("approval", param_values={"number": 3}, options=options) for _ in range(2)
    )
    assert first == second


def test_the_served_runbooks_and_tasks_are_listed(airplane: Airplane) -> None:
    listed = {one.slug: one for one in airplane.runbooks.list()}
    assert listed["approval"].parameters.validate({"number": 1})["number"] == 1
    session = airplane.sessions.get(airplane.runbooks.execute("approval", {"number": 1}).session_id)
    assert listed["approval"].id == session.runbook_id
    assert "doubling" in {one.slug for one in airplane.tasks.list() if one.id}


def test_a_waiting_session_is_cancelled_once(airplane: Airplane) -> None:
    session_id = airplane.runbooks.execute("approval", {"number": 1}).session_id
    airplane.sessions.cancel(session_id)
    assert airplane.sessions.wait(session_id, wait_timeout=120, raise_on_failure=False).status == "Cancelled"
    with pytest.raises(Conflict):
        airplane.sessions.cancel(session_id)
    with pytest.raises(NotFound):
        airplane.sessions.cancel("ses0")
