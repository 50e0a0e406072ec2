"""An answer is checked once, wherever it comes from, and not again when its runbook continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import pytest

from airplane_runbooks.schema.regex.matcher import Matcher
from airplane_runbooks.server import Context, Field, runbook
from tests.support.browsing import Browser
from tests.support.servers import Client, served


@runbook
def asks(context: Context, token: Annotated[str, Field(secret=True)] = "") -> list[str]:
    """Ask for two codes, one of them beside a secret."""
    field = Field(str, regex="[a-z]+")
    return [
        context.prompt("Which code?", code=field)["code"],
        context.prompt("Which other one?", code=field, note=Field(str, description=f"not {token}"))["code"],
    ]


@pytest.fixture
def api() -> Iterator[Client]:
    with served(asks) as client:
        yield client


@pytest.fixture
def browser(api: Client) -> Iterator[Browser]:
    with closing(Browser(api.url, api.headers["X-Airplane-API-Key"])) as browser:
        yield browser


@pytest.fixture
def matched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that a regex is matched with."""
    found: list[str] = []
    full_match = Matcher.full_match

    def spy(matcher: Matcher, pattern: str, text: str) -> bool | None:
        found.extend([text] if text else [])  # authors match the empty text to try a regex
        return full_match(matcher, pattern, text)

    monkeypatch.setattr(Matcher, "full_match", spy)
    return found


def test_an_answer_from_a_page_or_the_api_is_checked_once(api, browser, matched):
    session_id = api.execute("asks")

    assert browser.answer(api.open_prompt(session_id)["id"], code="first").status == 303
    assert api.answer(session_id, code="second", note="").status == 200
    api.reaches(session_id, "Succeeded")

    assert api.output(api.runs(session_id)[0]) == ["first", "second"]
    assert matched == ["first", "second"]


def test_a_form_that_hides_a_secret_is_checked_by_what_was_asked(api, browser, matched):
    session_id = api.execute("asks", {"token": "hush-hush"})
    assert api.answer(session_id, code="first").status == 200
    prompt_id = api.open_prompt(session_id)["id"]

    assert browser.answer(prompt_id, code="SECOND", note="a").status == 422
    assert browser.answer(prompt_id, code="second", note="a").status == 303
    api.reaches(session_id, "Succeeded")

    assert matched == ["first", "SECOND", "second", "second"]
