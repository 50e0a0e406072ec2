"""Values that runbooks show, on the page of their session and on that of a prompt."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import pytest

from airplane_runbooks.server import Context, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import served

ADA = User("ada@example.com", "tkn_ada_1")


@runbook
def explain(context: Context, value: Any) -> None:
    """Show six values and the given one, and ask."""
    for number in range(6):
        context.show(f"number *{number}*", name=f"Number {number}")
    context.show(value, name="Last <b>")
    context.prompt("Go on?", go=bool)


@pytest.fixture(scope="module")
def api():
    with served(explain, users=[ADA]) as client:
        yield client


def pages(api, value):
    """Return the page of a session and that of its prompt, and the ID of the run of what it has shown last."""
    session_id = api.execute("explain", {"value": value})
    prompt = api.open_prompt(session_id)
    last = api.runs(session_id)[-2]["id"]
    with closing(Browser(api.url, "tkn_ada_1")) as ada:
        return ada.get(f"/sessions/{session_id}").text, ada.get(f"/prompts/{prompt['id']}").text, last


def test_a_text_is_shown_as_markdown_without_html(api):
    page, prompt, last = pages(api, "## Mind\n\n<script>alert(1)</script> [a](javascript:x) **bold**")
    for text in (page, prompt):
        assert "<h2>Mind</h2>" in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "<strong>bold</strong>" in text
        assert 'href="javascript' not in text
        assert "<bdi>Last &lt;b&gt;</bdi>" in text
    step = re.search(rf'<li id="step-{last}" class="step display depth-0">(.*?)</li>', page, re.DOTALL)[1]
    assert "badge" not in step
    assert "number <em>0</em>" in page


def test_a_prompt_shows_the_last_values_before_its_form(api):
    _, prompt, last = pages(api, "x")
    shown = re.findall(r'<section class="shown" aria-labelledby="shown-(\w+)">', prompt)
    assert len(shown) == 5
    assert shown[-1] == last
    assert prompt.index(f"shown-{last}") < prompt.index('<form class="prompt"')


def test_a_list_of_flat_objects_is_shown_as_a_table(api):
    page, _, last = pages(api, [{"invoice": 1, "cents": 4200}, {"invoice": 2, "cents": 7}])
    assert '<th scope="col"><bdi>cents</bdi></th>' in page
    assert f'<a href="/runs/{last}/output.csv">CSV</a>' in page


def test_a_long_text_is_shown_as_it_is(api):
    page, _, last = pages(api, "*a* " * 5_000)
    assert "*a* *a*" in page
    assert "<em>a</em>" not in page
    page, _, last = pages(api, "*a* " * 20_000)
    assert "Too long for this page." in page
    assert f'<a href="/runs/{last}/output.json">JSON</a>' in page
