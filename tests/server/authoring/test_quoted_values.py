"""Strings that spell numbers and flags, as clients send them that know nothing but strings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from math import copysign
from typing import Annotated, Any, Literal

import pytest

from airplane_runbooks.server import Context, Field, runbook, task
from airplane_runbooks.server.authoring.fields import parameter
from tests.support.servers import Client, served

SEEN: list[Any] = []


@runbook
def spelled(
    context: Context,
    limit: int = 1,
    ratio: float = 0.5,
    *,
    urgent: bool = False,
    day: date | None = None,
    at: datetime | None = None,
    level: Literal[1, 2] = 1,
    share: Annotated[float, Field(options=[0.25, 0.5])] = 0.5,
    counts: list[int] | None = None,
    grid: list[list[float]] | None = None,
    maybe: list[int | None] | None = None,
    name: str = "",
    anything: Any | None = None,
    sizes: dict[str, int] | None = None,
    rows: list[dict[str, Any]] | None = None,
) -> None:
    """See what arrives."""
    SEEN.append(
        {"limit": limit, "ratio": ratio, "urgent": urgent, "day": day, "at": at, "level": level, "share": share}
        | {"counts": counts, "grid": grid, "maybe": maybe, "name": name, "anything": anything, "rows": rows}
    )


@runbook
def asks(context: Context) -> None:
    """Ask a human for values of every kind."""
    answer = context.prompt(
        "Well?", approve=bool, cents=int, ratio=float, day=date, at=datetime, ids=list[int], note=str, more=Any
    )
    SEEN.append(answer)


@task
def doubles(number: int) -> int:
    """Double a number."""
    return number * 2


@pytest.fixture(scope="module")
def module_api() -> Iterator[Client]:
    with served(spelled, asks, tasks=[doubles]) as client:
        yield client


@pytest.fixture
def api(module_api):
    SEEN.clear()
    return module_api


def executed(api, **values):
    """Return what the runbook got and what is stored of it."""
    session_id = api.execute("spelled", values)
    api.reaches(session_id, "Succeeded")
    return SEEN[-1], api.session(session_id)["paramValues"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"limit": "20"}, 20),
        ({"limit": "-20"}, -20),
        ({"limit": "20.0"}, 20),
        ({"limit": "2e1"}, 20),
        ({"limit": "9" * 400}, int("9" * 400)),
        ({"limit": "-0"}, 0),
        ({"ratio": "2.50"}, 2.5),
        ({"ratio": "20"}, 20.0),
        ({"ratio": "-0"}, -0.0),
        ({"ratio": "1E-3"}, 0.001),
        ({"ratio": "0.10000000000000001"}, 0.1),
        ({"urgent": "true"}, True),
        ({"urgent": "false"}, False),
        ({"level": "2"}, 2),
        ({"share": "0.25"}, 0.25),
        ({"counts": ["1", 2, "3"]}, [1, 2, 3]),
        ({"grid": [["1", "2.5"], []]}, [[1.0, 2.5], []]),
        ({"maybe": [None, "1"]}, [None, 1]),
    ],
)
def test_a_quoted_value_arrives_and_is_stored_as_its_type(api, values, expected):
    (slug,) = values
    seen, stored = executed(api, **values)
    assert exact(seen[slug]) == exact(expected)
    assert exact(stored[slug]) == exact(expected)


def exact(value):
    """Return what tells 1, 1.0 and true apart, and the zeros."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value), value, copysign(1, value) if isinstance(value, float) else 0


def test_dates_and_times_are_read_in_the_documented_forms(api):
    seen, stored = executed(api, day="2026-01-31", at="2026-01-31 11:30:00+00")
    assert (seen["day"], seen["at"]) == (date(2026, 1, 31), datetime(2026, 1, 31, 11, 30, tzinfo=UTC))
    assert stored["day"] == "2026-01-31"


def test_a_value_not_declared_as_a_scalar_stays_a_string(api):
    values = {"name": "20", "anything": "20", "rows": [{"n": "20", "flag": "true"}]}
    seen, stored = executed(api, **values)
    assert {slug: seen[slug] for slug in values} == values
    assert {slug: stored[slug] for slug in values} == values


@pytest.mark.parametrize(
    "values",
    [
        *(
            {"limit": text}
            for text in ("", " 20", "20 ", "+20", "020", "0x14", "2_0", "\u0662\u0660", "20.5", "1e400", "twenty")
        ),
        *({"limit": text} for text in ("9007199254740993.0", "1e23", "1" * 5000, "true", "null", '"20"', "NaN", "-")),
        *({"ratio": text} for text in ("", ".5", "5.", "2,5", "1e400", "-1e400", "1e-400", "nan", "inf", "Infinity")),
        *({"ratio": text} for text in ("9007199254740993", "0.1000000000000000055", "1e99999999999999999999", "1 ")),
        *({"urgent": text} for text in ("True", "TRUE", "yes", "1", "0", "", " true", "null")),
        *({"level": text} for text in ("3", "true", "1.5")),
        {"share": "0.75"},
        {"counts": "[1, 2]"},
        {"counts": ["1", "x"]},
        {"grid": ["1"]},
        {"sizes": {"a": "1"}},
        {"sizes": "{}"},
        {"day": "2026-1-31"},
        {"day": "2026-W05-6"},
        {"day": "20260131"},
        {"at": "2026-01-31x11:30:00"},
        {"at": "2026-01-31"},
        {"at": "20"},
    ],
    ids=repr,
)
def test_a_string_in_any_other_spelling_is_refused(api, values):
    answer = api.post("/runbooks/execute", {"slug": "spelled", "paramValues": values})
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.error.startswith(f"paramValues.{next(iter(values))}")


@pytest.mark.parametrize(
    "values", [{"ratio": 2**53 + 1}, {"grid": [[2**53 + 1]]}, {"ratio": 10**400}, {"limit": 1e23}, {"limit": 2.0**53}]
)
def test_a_number_that_its_type_cannot_hold_is_refused(api, values):
    answer = api.post("/runbooks/execute", {"slug": "spelled", "paramValues": values})
    assert (answer.status, answer.code) == (400, "invalid_parameter")


def test_integers_of_any_size_are_exact(api):
    for number in (2**53 + 1, -(2**63) - 1, 2**64, 10**300):
        assert executed(api, limit=number)[0]["limit"] == number
        assert executed(api, limit=str(number))[0]["limit"] == number
    assert executed(api, ratio=2**60)[0]["ratio"] == 2.0**60


def test_an_author_cannot_write_a_number_that_no_float_holds():
    for wrong in (
        Field(float, default=2**53 + 1),
        Field(float, options=[2**53 + 1]),
        Field(list[float], options=[2**53 + 1]),
        Field(list[float], default=[2**53 + 1]),
        Field(dict[str, float], default={"a": 2**53 + 1}),
    ):
        with pytest.raises(ValueError, match="more digits than a float holds"):
            parameter("p", wrong)


@pytest.mark.parametrize("wrong", [Field(int, default="20"), Field(bool, default="true"), Field(int, options=["1"])])
def test_an_author_writes_values_not_their_spelling(wrong):
    with pytest.raises(ValueError, match="got a string"):
        parameter("p", wrong)


def test_quoted_values_in_an_answer_are_read_alike(api):
    session_id = api.execute("asks")
    strings = {
        "approve": "true",
        "cents": "12900",
        "ratio": "0.5",
        "day": "2026-01-31",
        "at": "2026-01-31T11:30:00Z",
        "ids": ["1", "2"],
        "note": "true",
        "more": "1",
    }
    prompt = api.open_prompt(session_id)
    for wrong in ({"approve": "yes"}, {"cents": "12900.5"}, {"ids": "[1]"}):
        refused = api.post("/prompts/submit", {"id": prompt["id"], "values": {**strings, **wrong}})
        assert (refused.status, refused.code) == (400, "invalid_parameter")
    assert api.answer(session_id, **strings).status == 200
    api.reaches(session_id, "Succeeded")
    assert SEEN[-1] == {
        "approve": True,
        "cents": 12900,
        "ratio": 0.5,
        "day": date(2026, 1, 31),
        "at": datetime(2026, 1, 31, 11, 30, tzinfo=UTC),
        "ids": [1, 2],
        "note": "true",
        "more": "1",
    }
    shown = api.get("/prompts/get", id=prompt["id"]).json["prompt"]["values"]
    assert (shown["approve"], shown["cents"], shown["ids"], shown["note"]) == (True, 12900, [1, 2], "true")


@pytest.mark.parametrize(
    ("path", "member"), [("/tasks/execute", "paramValues"), ("/runs/create", "params"), ("/runs/create", "paramValues")]
)
def test_quoted_values_of_a_task_are_read_alike(api, path, member):
    run_id = api.post(path, {"slug": "doubles", member: {"number": "21"}}).json["runID"]
    shown = api.get("/runs/get", id=run_id).json
    assert shown["paramValues"] == {"number": 21}
    assert api.post(path, {"slug": "doubles", member: {"number": "x"}}).status == 400
