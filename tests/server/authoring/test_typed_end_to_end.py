"""Typed calls, answers and results across HTTP: with the runbook's code, without it, and with a secret in the way."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import msgspec
import pytest

from airplane_runbooks import Airplane, AsyncAirplane, DecodeError, ParameterSchema, Prompt, RunbookCall, SessionFailed
from airplane_runbooks.server import AsyncContext, Context, Field, RunbookServer, runbook


class Approval(msgspec.Struct):
    approve: bool
    note: str | None = None


class Receipt(msgspec.Struct):
    day: date
    cents: int
    note: str | None


@runbook
def refund(context: Context, day: date, cents: int = 100) -> Receipt | None:
    answer = context.prompt("Refund?", Approval)
    return Receipt(day, cents, answer.note) if answer.approve else None


@runbook
async def double(context: AsyncContext, numbers: list[int]) -> dict[str, int]:
    return {str(number): 2 * number for number in numbers}


@runbook
def reveal(context: Context, pin: Annotated[str, Field(secret=True)]) -> dict[str, int]:
    return {"pin": int(pin)}


class Refund(RunbookCall[Receipt], slug="refund"):
    day: date
    cents: int = 5


def agree(prompt: Prompt, schema: ParameterSchema) -> Approval:
    return Approval(approve=True, note=prompt.description)


@pytest.fixture(scope="module")
def server():
    with RunbookServer([refund, double, reveal]) as server:
        yield server


@pytest.fixture
def airplane(server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        yield airplane


DAY = date(2026, 1, 31)


def test_a_runbook_is_called_by_its_code(airplane):
    result = airplane.runbooks.run(refund.call(DAY), wait_timeout=100, on_prompt=agree)
    assert result == Receipt(DAY, 100, "Refund?")


def test_a_runbook_is_called_without_its_code(airplane):
    result = airplane.runbooks.run(Refund(day=DAY), wait_timeout=100, on_prompt=agree)
    assert result == Receipt(DAY, 5, "Refund?")


def test_a_started_session_returns_its_result_as_a_type(airplane):
    started = airplane.runbooks.execute(double.call([1, 20]))
    result = airplane.sessions.result(started.session_id, wait_timeout=100, type=dict[int, float])
    assert result == {1: 2.0, 20: 40.0}


def test_an_async_client_returns_typed_results_as_well(server):
    async def use() -> object:
        async with AsyncAirplane(server.api_key, base_url=server.base_url) as airplane:
            return await airplane.runbooks.run(double.call([3]), wait_timeout=100)

    assert asyncio.run(use()) == {"3": 6}


def test_a_result_that_the_server_has_masked_says_so(airplane):
    with pytest.raises(DecodeError, match=r"at `\$\[\.\.\.\]`; a secret is masked there") as caught:
        airplane.runbooks.run(reveal.call("123456"), wait_timeout=100)
    assert b"123456" not in caught.value.response.body


def test_a_failed_session_raises_whatever_type_was_asked_for(airplane):
    with pytest.raises(SessionFailed, match="ValueError"):
        airplane.runbooks.run(reveal.call("no number"), wait_timeout=100)
