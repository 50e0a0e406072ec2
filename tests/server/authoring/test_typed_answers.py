"""Answers of prompts as structs: their fields make the form, and the runbook gets an object."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest

from airplane_runbooks.server import AsyncContext, Context, Field, runbook
from tests.support.servers import served


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    approve: bool
    level: Level = Level.LOW
    note: str | None = None
    limit: Annotated[int, Field(options=[1, 2])] = msgspec.field(default=1, name="most")
    tags: list[str] = []


def shown(answer: Approval) -> list[Any]:
    return [type(answer).__name__, answer.approve, answer.level is Level.HIGH, answer.note, answer.limit, answer.tags]


@runbook
def asks(context: Context) -> list[Any]:
    return shown(context.prompt("Refund?", Approval, confirm_text="Do it"))


@runbook
async def asks_async(context: AsyncContext) -> list[Any]:
    return shown(await context.prompt("Refund?", Approval))


@runbook
def asks_oddly(context: Context) -> list[str]:
    problems = []
    wrong: Any
    for wrong, fields in ((dict, {}), (Approval(approve=True), {}), (Approval, {"go": bool})):
        try:
            context.prompt("Go?", wrong, **fields)
        except TypeError as problem:
            problems.append(str(problem))
    return problems


@pytest.fixture(scope="module")
def api():
    with served(asks, asks_async, asks_oddly) as client:
        yield client


@pytest.mark.parametrize("name", ["asks", "asks_async"])
def test_a_runbook_gets_its_answer_as_a_struct(api, name):
    session_id = api.execute(name)
    api.answer(session_id, approve=True, level="high", most=2)
    api.reaches(session_id, "Succeeded")

    assert api.output(api.runs(session_id)[0]) == ["Approval", True, True, None, 2, []]


def test_the_form_has_the_types_and_defaults_of_the_struct(api):
    fields = {one["slug"]: one for one in api.open_prompt(api.execute("asks"))["schema"]["parameters"]}

    assert {slug: (one["type"], one.get("default")) for slug, one in fields.items()} == {
        "approve": ("boolean", None),
        "level": ("string", "low"),
        "note": ("string", None),
        "most": ("integer", 1),
        "tags": ("string", []),
    }
    assert fields["note"]["constraints"]["optional"]


def test_an_answer_needs_a_struct_and_no_other_fields(api):
    assert api.finishes("asks_oddly") == [
        "the answer of a prompt is described by a msgspec struct, not by type",
        "the answer of a prompt is described by a msgspec struct, not by Approval",
        "the fields of this prompt are those of Approval: add go to it",
    ]
