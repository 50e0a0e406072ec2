"""A prompt that asks for a yes or no alone: two buttons that answer it, and a third one, set apart, that cancels it."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from airplane_runbooks.server import Context, runbook
from tests.support.browsing import Browser
from tests.support.servers import served


@runbook
def decides(context: Context, label: str = "") -> bool:
    """Ask for a yes or no."""
    return bool(context.prompt("Refund?", confirm_text=label, sure=bool)["sure"])


@runbook
def asks(context: Context) -> bool:
    """Ask for a yes or no, and for a reason."""
    return bool(context.prompt("Refund?", sure=bool, why=str)["sure"])


@pytest.fixture(scope="module")
def api():
    with served(decides, asks) as client:
        yield client


@pytest.fixture(scope="module")
def browser(api):
    with closing(Browser(api.url, api.headers["X-Airplane-API-Key"])) as browser:
        yield browser


def asked(api, slug, **values):
    session_id = api.execute(slug, values)
    return session_id, api.open_prompt(session_id)["id"]


def buttons(page):
    """Return the name, value and label of each button in the form of a prompt."""
    form = re.search('<form class="prompt".*?</form>', page.text, re.DOTALL)[0]
    return re.findall('<button[^>]* name="([^"]*)" value="([^"]*)"[^>]*><bdi>([^<]*)</bdi>', form)


@pytest.mark.parametrize(("given", "shown"), [("Refund it", "Refund it"), ("", "Yes")])
def test_a_decision_has_a_button_for_yes_and_one_for_no(api, browser, given, shown):
    _, prompt_id = asked(api, "decides", label=given)
    page = browser.get(f"/prompts/{prompt_id}")
    assert buttons(page) == [
        ("field-sure", "0", shown),
        ("field-sure", "1", "No"),
        ("action", "cancel", "Cancel this prompt"),
    ]


@pytest.mark.parametrize(("pressed", "output"), [("0", True), ("1", False)])
def test_the_button_that_was_pressed_is_the_answer(api, browser, pressed, output):
    session_id, prompt_id = asked(api, "decides")
    assert browser.answer(prompt_id, sure=pressed).status == 303
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) is output


def test_the_third_button_cancels_although_yes_comes_first(api, browser):
    session_id, prompt_id = asked(api, "decides")
    fields = {"token": browser.token(prompt_id), "action": ["submit", "cancel"]}  # as the browser sends them
    assert browser.post(f"/prompts/{prompt_id}", fields).status == 303
    api.reaches(session_id, "Cancelled")


def test_a_form_without_a_decision_is_not_a_no(api, browser):
    session_id, prompt_id = asked(api, "asks")
    refused = browser.answer(prompt_id, why="because")
    assert refused.status == 422
    assert '<a href="#field-sure-0">Sure: Choose one.</a>' in refused.text
    assert api.session(session_id)["status"] == "Waiting"
    assert browser.answer(prompt_id, why="because", sure="1").status == 303
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) is False
