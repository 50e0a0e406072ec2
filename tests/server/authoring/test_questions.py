"""Questions of prompts: odd ones are refused before anything is recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import pytest

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import AsyncContext, Context, Field, runbook
from tests.support.servers import served

BROKEN = "caf\udce9"

QUESTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "description": ({"description": BROKEN}, ValueError, "the description of a prompt has a lone surrogate"),
    "no description": ({"description": 3}, TypeError, "the description of a prompt must be text, not int"),
    "confirm": ({"confirm_text": BROKEN}, ValueError, "the confirm_text of a prompt has a lone surrogate"),
    "cancel": ({"cancel_text": BROKEN}, ValueError, "in place of character 4"),
    "user": ({"reviewers": Reviewers(users=(BROKEN,))}, ValueError, "a user in Reviewers.users has a lone surrogate"),
    "group": ({"reviewers": Reviewers(groups=(BROKEN,))}, ValueError, "a group in Reviewers.groups"),
    "label": ({"go": Field(bool, name=BROKEN)}, ValueError, "go: its name has a lone surrogate"),
    "explanation": ({"go": Field(bool, description=BROKEN)}, ValueError, "go: its description has a lone surrogate"),
    "option": ({"go": Field(str, options=["a", BROKEN])}, ValueError, "go: "),
    "regex": ({"go": Field(str, regex=BROKEN)}, ValueError, "go: its regex has a lone surrogate"),
    "default": ({"go": Field(str, default=BROKEN)}, ValueError, "go: "),
    "type as text": (
        {"confirm_text": str},
        TypeError,
        "confirm_text= is an option of the prompt",
    ),
    "field as text": (
        {"cancel_text": Field(str)},
        TypeError,
        "must be str, not Field",
    ),
    "type as reviewers": ({"reviewers": list[str]}, TypeError, "a field needs another name"),
    "type as limit": (
        {"expires_in": timedelta},
        TypeError,
        "must be timedelta, not type",
    ),
    "seconds as limit": ({"expires_in": 3}, TypeError, "not int"),
    "one reviewer": ({"reviewers": Reviewers(users="ada")}, TypeError, "Reviewers.users must be a sequence of strings"),
    "endless": ({"expires_in": timedelta.max}, ValueError, "must be positive and at most 1,000 years"),
    "no time": ({"expires_in": timedelta(0)}, ValueError, "must be positive"),
}


def asks(prompt, how):
    options = dict(QUESTIONS[how][0])
    return prompt(options.pop("description", "Go on?"), **options)


@runbook
def does_not_ask(context: Context, how: str) -> str:
    try:
        asks(context.prompt, how)
    except Exception as problem:  # noqa: BLE001 - its class is part of the answer
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@runbook
async def does_not_ask_async(context: AsyncContext, how: str) -> str:
    try:
        await asks(context.prompt, how)
    except Exception as problem:  # noqa: BLE001 - its class is part of the answer
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@pytest.fixture(scope="module")
def api():
    with served(does_not_ask, does_not_ask_async) as client:
        yield client


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", QUESTIONS)
def test_a_prompt_refuses_odd_options_and_says_why(api, how, kind):
    _, problem, message = QUESTIONS[how]
    session_id = api.execute(f"does_not_ask{kind}", {"how": how})
    api.reaches(session_id, "Succeeded")
    (whole,) = api.runs(session_id)  # and nothing beside it
    output = api.output(whole)
    assert output.startswith(f"{problem.__name__}: ")
    assert message in output


def test_texts_of_runbooks_are_checked_when_they_are_decorated():
    with pytest.raises(ValueError, match="broken: its name has a lone surrogate"):
        runbook(slug="broken", name=BROKEN)(lambda context: None)

    def labelled(context, what: Annotated[str, Field(description=BROKEN)]) -> None: ...

    with pytest.raises(ValueError, match="what: its description has a lone surrogate"):
        runbook(labelled)
