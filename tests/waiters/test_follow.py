"""A session's runs, prompts and steps, and prompts answered by a handler, with either client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from airplane_runbooks import (
    CANCEL,
    NO_RETRY,
    BadRequest,
    CallOptions,
    Conflict,
    DeadlineExceeded,
    NotFound,
    ParamValueError,
    Response,
    SessionFailed,
    WaitTimeout,
)
from airplane_runbooks.models import ParameterSchema, Prompt
from airplane_runbooks.testing import json_response
from tests.support.clients import Either, Model

Make = Callable[..., Either]


class Approval(msgspec.Struct):
    """An answer, as a type."""

    approve: bool
    note: str | None = None


class Misspelt(msgspec.Struct):
    aprove: bool = True


BUSY = json_response({"error": "busy"}, status=503)


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda model, **options: Either(request.param, model.transport, **options)


@pytest.fixture(params=[True, False], ids=["filter", "no filter"])
def model(request: pytest.FixtureRequest) -> Model:
    """A session among others, on a server that can or cannot list the runs of one session alone."""
    made = Model()
    made.filters = request.param
    made.add_session("ses1", "Active", runbookID="rbk1")
    return made


class TestRuns:
    def test_runs_come_in_order_and_from_all_pages(self, make: Make, model: Model) -> None:
        for number in range(120):
            model.add_run(f"run{number}", "ses1" if number % 2 else "ses2")
        runs = make(model)(lambda airplane: airplane.sessions.runs("ses1"))
        assert [run.id for run in runs] == [f"run{number}" for number in range(1, 120, 2)]

    def test_runs_are_looked_for_since_the_start_of_the_session(self, make: Make, model: Model) -> None:
        make(model)(lambda airplane: airplane.sessions.runs("ses1"))
        path, values = model.calls[-1]
        assert (path, values["sessionID"]) == ("/runs/list", "ses1")
        since = datetime.fromisoformat(values["since"])
        assert datetime(2025, 12, 31, 23, tzinfo=UTC) < since < datetime(2026, 1, 1, tzinfo=UTC)

    def test_runs_of_a_session_of_unknown_age_are_looked_for_in_all(self, make: Make, model: Model) -> None:
        del model.sessions["ses1"]["createdAt"]
        model.add_run("run1", createdAt=None)
        runs = make(model)(lambda airplane: airplane.sessions.runs("ses1"))
        assert [run.id for run in runs] == ["run1"]
        assert "since" not in model.calls[-1][1]

    def test_runs_of_a_missing_session_are_not_found(self, make: Make, model: Model) -> None:
        with pytest.raises(NotFound) as caught:
            make(model)(lambda airplane: airplane.sessions.runs("ses9"))
        assert caught.value.session_id == "ses9"

    def test_looking_for_runs_takes_at_most_one_timeout(self, make: Make, model: Model) -> None:
        for number in range(500):
            model.add_run(f"run{number}")
        either = make(model)

        def slowly(path: str) -> None:
            either.clock.advance(3)

        model.each = slowly
        with pytest.raises(DeadlineExceeded):
            either(lambda airplane: airplane.sessions.runs("ses1", options=CallOptions(timeout=10)))


class TestPrompts:
    def test_prompts_are_the_open_ones_of_active_runs(self, make: Make, model: Model) -> None:
        model.add_run("run1", status="Succeeded")
        model.add_run("run2")
        model.add_run("run3", "ses2")
        model.add_prompt("pmt1", "run1")
        model.add_prompt("pmt2", "run2")
        model.add_prompt("pmt3", "run2")
        model.add_prompt("pmt4", "run3")
        model.prompts["pmt2"]["submittedAt"] = "2026-01-01T00:00:00Z"
        prompts = make(model)(lambda airplane: airplane.sessions.prompts("ses1"))
        assert [prompt.id for prompt in prompts] == ["pmt3"]

    def test_prompts_are_not_fetched_if_the_run_has_none(self, make: Make, model: Model) -> None:
        for waiting in (False, True, None):
            model.add_run(f"run{waiting}", isWaitingForUser=waiting)
            model.add_prompt(f"pmt{waiting}", f"run{waiting}")
        prompts = make(model)(lambda airplane: airplane.sessions.prompts("ses1"))
        assert [prompt.id for prompt in prompts] == ["pmtTrue", "pmtNone"]

    def test_an_ended_session_has_no_open_prompts(self, make: Make, model: Model) -> None:
        model.add_run("run1")
        model.add_prompt("pmt1", "run1")
        model.sessions["ses1"]["status"] = "Cancelled"
        assert make(model)(lambda airplane: airplane.sessions.prompts("ses1")) == ()
        assert [path for path, _ in model.calls] == ["/sessions/get"]


class TestSteps:
    def test_steps_tell_name_status_output_and_times(self, make: Make, model: Model) -> None:
        model.add_run("run0", taskID="rbk1", taskName="The runbook")
        model.add_run(
            "run1",
            status="Succeeded",
            taskName="Find",
            activeAt="2026-01-01T00:00:01Z",
            succeededAt="2026-01-01T00:00:02Z",
        )
        model.add_run("run2", status="Failed", taskID="tsk2", failedAt="2026-01-01T00:00:03Z")
        model.add_run("run3", status="Cancelled", cancelledAt="2026-01-01T00:00:04Z")
        model.add_run("run4", status="Queued", taskName="Tell")
        model.outputs = {"run1": [1, None], "run2": {"error": "no such thing"}, "run4": "too early"}
        steps = make(model)(lambda airplane: airplane.sessions.steps("ses1"))
        assert [(step.run_id, step.name, step.status, step.output, step.error) for step in steps] == [
            ("run1", "Find", "Succeeded", [1, None], None),
            ("run2", "tsk2", "Failed", {"error": "no such thing"}, "no such thing"),
            ("run3", "run3", "Cancelled", None, None),
            ("run4", "Tell", "Queued", None, None),
        ]
        assert [step.ended_at and step.ended_at.second for step in steps] == [2, 3, 4, None]
        assert steps[0].started_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert steps[0].created_at is not None

    def test_steps_of_a_session_without_a_runbook_are_all_its_runs(self, make: Make, model: Model) -> None:
        del model.sessions["ses1"]["runbookID"]
        model.add_run("run1", status="Active")
        assert len(make(model)(lambda airplane: airplane.sessions.steps("ses1"))) == 1


APPROVE = {"slug": "approve", "type": "boolean"}
NOTE = {"slug": "note", "type": "string", "constraints": {"optional": True, "regex": "^[a-z]+$"}}


class TestAnswering:
    @pytest.fixture(autouse=True)
    def _asking(self, model: Model) -> None:
        """The session asks two things, and ends when both are settled."""
        model.sessions["ses1"]["status"] = "Waiting"
        model.add_run("run1")
        model.add_run("run2")
        model.add_prompt("pmt1", "run1", APPROVE, NOTE)
        model.add_prompt("pmt2", "run2")
        self.model = model
        self.end_with(model.each)

    def end_with(self, each: Callable[[str], Response | None]) -> None:
        """Answer by `each`, once the session has been ended if nothing is open any more."""

        def answer(path: str) -> Response | None:
            if all({"submittedAt", "cancelledAt"} & prompt.keys() for prompt in self.model.prompts.values()):
                self.model.sessions["ses1"]["status"] = "Succeeded"
            return each(path)

        self.model.each = answer

    def posted(self) -> list[tuple[str, dict[str, Any]]]:
        return [(path, values) for path, values in self.model.calls if path in ("/prompts/submit", "/prompts/cancel")]

    def test_the_handler_is_asked_once_for_each_prompt(self, make: Make) -> None:
        asked: list[tuple[Prompt, ParameterSchema]] = []

        def handler(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
            asked.append((prompt, schema))
            return {"approve": True, "note": "fine"} if schema.parameters else {}

        ended = make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert ended.status == "Succeeded"
        assert [prompt.id for prompt, _ in asked] == ["pmt1", "pmt2"]
        assert [parameter.slug for parameter in asked[0][1].parameters] == ["approve", "note"]
        assert asked[0][1] == asked[0][0].schema
        assert self.posted() == [
            ("/prompts/submit", {"id": "pmt1", "values": {"approve": True, "note": "fine"}}),
            ("/prompts/submit", {"id": "pmt2", "values": {}}),
        ]

    def test_the_handler_may_be_a_coroutine_function(self, make: Make) -> None:
        async def handler(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
            return {"approve": False} if schema.parameters else {}

        make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert self.posted()[0] == ("/prompts/submit", {"id": "pmt1", "values": {"approve": False}})

    def test_an_answer_may_be_a_struct(self, make: Make) -> None:
        def handler(prompt: Prompt, schema: ParameterSchema) -> Approval | None:
            return Approval(approve=True) if schema.parameters else None

        with pytest.raises(WaitTimeout):
            make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert self.posted() == [("/prompts/submit", {"id": "pmt1", "values": {"approve": True}})]

    def test_a_prompt_that_the_handler_rejects_is_cancelled(self, make: Make) -> None:
        make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=lambda *_: CANCEL))
        assert self.posted() == [("/prompts/cancel", {"id": "pmt1"}), ("/prompts/cancel", {"id": "pmt2"})]

    def test_a_prompt_without_an_answer_is_left_to_others(self, make: Make) -> None:
        asked: list[str] = []
        with pytest.raises(WaitTimeout, match="last seen Waiting"):
            make(self.model)(
                lambda airplane: airplane.sessions.wait(
                    "ses1", wait_timeout=60, on_prompt=lambda prompt, _: asked.append(prompt.id)
                )
            )
        assert asked == ["pmt1", "pmt2"]
        assert self.posted() == []

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            ({}, r"values\.approve"),
            ({"approve": "yes"}, r"values\.approve"),
            ({"approve": True, "note": "NO"}, r"values\.note"),
            ({"approve": True, "other": 1}, r"values\.other"),
            ({"approve": True, "note": float("nan")}, r"values\.note"),
            (Misspelt(), r"values\.aprove: there is no such parameter"),
            (Approval(approve=True, note="NO"), r"values\.note"),
            ("yes", "a mapping, a struct, CANCEL or None, not str"),
        ],
    )
    def test_an_answer_that_does_not_fit_the_schema_is_not_sent(self, make: Make, answer: Any, problem: str) -> None:
        with pytest.raises(ParamValueError, match=problem) as caught:
            make(self.model)(
                lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=lambda *_: answer)
            )
        assert caught.value.session_id == "ses1"
        assert self.posted() == []

    def test_an_answer_of_another_reviewer_is_accepted(self, make: Make) -> None:
        def handler(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
            self.model.prompts[prompt.id]["submittedAt"] = "2026-01-01T00:00:00Z"
            return {"approve": True} if schema.parameters else {}

        ended = make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert ended.status == "Succeeded"

    @pytest.mark.parametrize(("status", "error"), [(400, BadRequest), (409, Conflict)])
    def test_a_refused_answer_raises_the_error_of_the_server(self, make: Make, status: int, error: type) -> None:
        refusal = json_response({"error": "not like this"}, status=status)
        self.end_with(lambda path: refusal if path == "/prompts/cancel" else None)
        with pytest.raises(error, match="not like this"):
            make(self.model)(
                lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=lambda *_: CANCEL)
            )

    def test_an_answer_is_sent_again_without_asking_again(self, make: Make) -> None:
        failures = iter([BUSY, BUSY, BUSY])
        asked: list[str] = []

        def handler(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
            asked.append(prompt.id)
            return {"approve": True} if schema.parameters else {}

        self.end_with(lambda path: next(failures, None) if path == "/prompts/submit" else None)
        make(self.model, retry=NO_RETRY)(
            lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler)
        )
        assert asked == ["pmt1", "pmt2"]
        assert len(self.posted()) == 5

    def test_a_held_prompt_is_asked_once_it_is_not_held(self, make: Make) -> None:
        self.model.prompts["pmt1"]["held"] = {"code": "code_changed", "message": "the session is held"}
        asked: list[str] = []

        def handler(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
            asked.append(prompt.id)
            self.model.prompts["pmt1"]["held"] = None
            return {"approve": True} if schema.parameters else {}

        make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert asked == ["pmt2", "pmt1"]

    def test_a_temporary_failure_to_list_prompts_is_survived(self, make: Make) -> None:
        failures = iter([BUSY, BUSY])
        self.end_with(lambda path: next(failures, None) if path == "/prompts/list" else None)
        either = make(self.model, retry=NO_RETRY)
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=lambda *_: CANCEL))
        assert len(self.posted()) == 2

    def test_an_endless_list_of_runs_does_not_hold_the_waiter(self, make: Make) -> None:
        either = make(self.model)
        numbers = iter(range(10**9))

        def endless(path: str) -> Response | None:
            either.clock.advance(1)
            if either.clock.now() > 1500:
                self.model.sessions["ses1"]["status"] = "Succeeded"
            runs = [{"id": f"run{next(numbers)}", "status": "Active"} for _ in range(50)]
            return json_response({"runs": runs}) if path == "/runs/list" else None

        self.model.each = endless
        waited = either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=None, on_prompt=lambda *_: CANCEL))
        assert waited.status == "Succeeded"
        assert len(self.model.calls) < 1000

    def test_answering_needs_no_deadline(self, make: Make) -> None:
        options = {"wait_timeout": None, "options": CallOptions(timeout=None), "on_prompt": lambda *_: CANCEL}
        make(self.model)(lambda airplane: airplane.sessions.wait("ses1", **options))
        assert len(self.posted()) == 2

    def test_an_answer_later_than_the_deadline_is_sent_all_the_same(self, make: Make) -> None:
        either = make(self.model)

        def handler(prompt: Prompt, schema: ParameterSchema) -> Any:
            either.clock.advance(100)
            return CANCEL

        with pytest.raises(WaitTimeout):
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert self.posted() == [("/prompts/cancel", {"id": "pmt1"}), ("/prompts/cancel", {"id": "pmt2"})]
        assert max(either.transport.timeouts[-2:]) <= 5

    def test_an_ended_session_is_not_asked_for_prompts(self, make: Make) -> None:
        self.model.sessions["ses1"]["status"] = "Failed"
        with pytest.raises(SessionFailed):
            make(self.model)(
                lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=lambda *_: CANCEL)
            )
        assert self.posted() == []

    def test_a_handler_that_raises_leaves_its_error_with_the_session(self, make: Make) -> None:
        def handler(prompt: Prompt, schema: ParameterSchema) -> Any:
            raise LookupError("no such reviewer")

        with pytest.raises(LookupError, match="no such reviewer") as caught:
            make(self.model)(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=handler))
        assert caught.value.__notes__ == ["Raised by on_prompt for pmt1, for which session ses1 still waits."]
        assert self.posted() == []

    def test_the_handler_may_make_calls_of_its_own(self, make: Make) -> None:
        either = make(self.model)

        def handler(prompt: Prompt, schema: ParameterSchema) -> Any:
            return either.client.prompts.cancel(prompt.id) and None

        async def handler_async(prompt: Prompt, schema: ParameterSchema) -> Any:
            await either.client.prompts.cancel(prompt.id)

        chosen = handler if hasattr(either.client, "close") else handler_async
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=chosen))
        assert [path for path, _ in self.posted()] == ["/prompts/cancel"] * 2
