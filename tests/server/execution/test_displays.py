"""Values that runbooks show: recorded once, masked and bounded, in plain and async runbooks."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from airplane_runbooks import Airplane
from airplane_runbooks.server import AsyncContext, Context, Field, runbook
from tests.support.servers import served

SHOWN: list[int] = []
TABLE = [{"invoice": 1, "cents": 4200}, {"invoice": 2, "cents": 100}]


def count() -> int:
    """Return another number at each call."""
    SHOWN.append(1)
    return len(SHOWN)


@runbook
def explain(context: Context, token: Annotated[str, Field(secret=True)]) -> int:
    """Show a text, ask, and show a table."""
    context.show(f"**Attempt** {count()} with `{token}`", name=f"Before {token}")
    context.prompt("Go on?", go=bool)
    context.show(TABLE)
    return context.step(len, TABLE)


@runbook
async def explain_async(context: AsyncContext, token: Annotated[str, Field(secret=True)]) -> int:
    """Do the same."""
    await context.show(f"**Attempt** {count()} with `{token}`", name=f"Before {token}")
    await context.prompt("Go on?", go=bool)
    await context.show(TABLE)
    return await context.step(len, TABLE)


@runbook
def show_in_branches(context: Context) -> None:
    """Show values in branches, one of which asks."""

    def ask() -> None:
        context.show("left", name="left")
        context.prompt("Go on?", go=bool)

    context.parallel(ask, lambda: context.show("right", name="right"))


@runbook
def show_inside_of_a_step(context: Context) -> None:
    """Use the context where it cannot be used."""
    context.step(lambda: context.show("x"), name="inner")


@runbook
def show_what_cannot_be_shown(context: Context, kind: str) -> str:
    """Show values that are refused, each with a message."""
    values: dict[str, Any] = {"long": "x" * 100_001, "large": ["x" * 1000] * 1000, "object": object(), "nan": [1e999]}
    try:
        context.show(values[kind])
    except (TypeError, ValueError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return "shown"


@pytest.fixture(scope="module")
def api():
    with served(explain, explain_async, show_in_branches, show_inside_of_a_step, show_what_cannot_be_shown) as client:
        yield client


@pytest.mark.parametrize("slug", ["explain", "explain_async"])
def test_what_is_shown_is_recorded_once_and_masked(api, slug):
    session_id = api.execute(slug, {"token": "hush-hush"})
    api.open_prompt(session_id)
    before = api.runs(session_id)
    assert [one["taskSlug"] for one in before[1:]] == ["display", "prompt"]
    assert api.answer(session_id, go=True).status == 200
    api.reaches(session_id, "Succeeded")
    runs = api.runs(session_id)
    assert [one["id"] for one in runs[:3]] == [one["id"] for one in before]
    assert [one["taskSlug"] for one in runs[1:]] == ["display", "prompt", "display", "len"]
    assert (runs[1]["taskName"], runs[3]["taskName"]) == ("Before ********", "Note")
    assert (runs[1]["status"], runs[1]["paramValues"]) == ("Succeeded", {})
    text = api.output(runs[1])
    assert text.startswith("**Attempt** ")
    assert text.endswith(" with `********`")
    assert api.output(runs[3]) == TABLE
    with Airplane(api.headers["X-Airplane-API-Key"], base_url=api.url) as airplane:
        steps = airplane.sessions.steps(session_id)
    assert [(one.name, one.output) for one in steps if one.name == "Note"] == [("Note", TABLE)]


def test_branches_show_values_of_their_own(api):
    session_id = api.execute("show_in_branches")
    api.open_prompt(session_id)
    assert api.answer(session_id, go=True).status == 200
    api.reaches(session_id, "Succeeded")
    shown = [api.output(one) for one in api.runs(session_id) if one["taskSlug"] == "display"]
    assert sorted(shown) == ["left", "right"]


def test_a_step_cannot_show_anything(api):
    session_id = api.execute("show_inside_of_a_step")
    api.reaches(session_id, "Failed")
    assert "the context cannot be used inside step 'inner'" in api.session(session_id)["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("long", "ValueError: a text to be shown has at most 100,000 characters, not 100,001"),
        ("large", "ValueError: a value to be shown takes at most 1,000,000 bytes of JSON, not 1,003,001"),
        ("object", "TypeError: the value to be shown cannot be written as JSON: "),
        ("nan", "TypeError: the value to be shown cannot be written as JSON: NaN and infinities have no form in JSON"),
    ],
)
def test_what_cannot_be_shown_is_refused(api, kind, message):
    session_id = api.execute("show_what_cannot_be_shown", {"kind": kind})
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]).startswith(message)


def test_a_display_is_a_note_among_the_blocks(api):
    session_id = api.execute("explain", {"token": "hush-hush"})
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    blocks = api.get("/sessions/listBlocks", sessionID=session_id).json["blocks"]
    assert [one["kind"] for one in blocks] == ["note", "form", "note", "task"]
    assert blocks[0]["kindConfig"]["note"]["content"].startswith("**Attempt** ")
    assert blocks[2]["kindConfig"]["note"]["content"].startswith('```json\n[{"invoice":1,')
