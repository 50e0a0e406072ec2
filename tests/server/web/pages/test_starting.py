"""Runbooks are started from their pages: once for each form, with the values that were shown."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import pytest

from airplane_runbooks.models import Constraints, Parameter, ParameterType
from airplane_runbooks.server import Context, Field, User, runbook
from airplane_runbooks.server.web.pages import forms
from airplane_runbooks.server.web.pages.markdown import render_markdown
from tests.support.browsing import Browser, filled
from tests.support.servers import served

ADA = User("ada@example.com", "tkn_ada_1")


@runbook(name="Rotate & tell")
def rotate(
    context: Context,
    host: str,
    *,
    sure: bool,
    level: Literal["low", "high"] = "low",
    at: datetime | None = None,
    tags: list[str] | None = None,
    more: Any = None,
    token: Annotated[str, Field(secret=True)] = "none-at-all",
) -> dict[str, Any]:
    """Rotate the keys of a *host*.

    See [the rules](https://example.com/rules), but not <script>alert(1)</script> nor [this](javascript:alert(1)).

    Args:
        host: Its name.
    """
    return {"host": host, "sure": sure, "level": level, "tags": tags, "more": more, "token": len(token)}


@runbook(confirm="All users are signed out.")
def restart(context: Context) -> str:
    """Restart."""
    return "done"


@pytest.fixture(scope="module")
def api():
    with served(rotate, restart, users=[ADA], environments=["prod", "staging"]) as client:
        yield client


@pytest.fixture
def ada(api):
    with closing(Browser(api.url, "tkn_ada_1")) as browser:
        yield browser


def sessions(api, slug):
    found = api.get("/sessions/list").json["sessions"]
    return [one["id"] for one in found if one["name"] == slug.name]


def test_all_runbooks_are_listed_with_their_first_sentences(ada):
    page = ada.get("/runbooks")
    assert '<a href="/runbooks/rotate"><bdi>Rotate &amp; tell</bdi></a>' in page.text
    assert "<bdi>Rotate the keys of a *host*.</bdi>" in page.text
    assert page.text.index("Restart") < page.text.index("Rotate")
    assert 'href="/runbooks"' in ada.get("/").text


def test_the_documentation_of_a_runbook_is_safe_markdown(ada):
    page = ada.get("/runbooks/rotate").text
    assert "<p>Rotate the keys of a <em>host</em>.</p>" in page
    assert '<a href="https://example.com/rules">the rules</a>' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page
    assert 'href="javascript' not in page
    assert re.search('id="field-host-about">Its name.</p>', page)


def test_headings_and_images_of_markdown_fit_the_page():
    html = render_markdown("## Two\n\n###### Six\n\n## Again\n\n![x](http://example.com/x.png)\n\n|a|\n|-|\n|1|")
    assert "<h2>Two</h2>\n<h3>Six</h3>\n<h2>Again</h2>" in html
    assert "<img" not in html
    assert "<td>1</td>" in html


def test_a_session_is_started_from_the_form_of_its_runbook(api, ada):
    page = ada.get("/runbooks/rotate")
    assert "field-sure" not in page.form.by_name()  # neither yes nor no
    started = ada.post("/runbooks/rotate", filled(page, host="db1", sure="0", tags="a\r\nb", environment="staging"))
    assert started.status == 303
    session_id = started.location.removeprefix("/sessions/")
    api.reaches(session_id, "Succeeded")
    (run,) = api.runs(session_id)
    assert run["envSlug"] == "staging"
    assert run["createdBy"] == ADA.id
    assert api.output(run) == {
        "host": "db1",
        "sure": True,
        "level": "low",
        "tags": ["a", "b"],
        "more": None,
        "token": len("none-at-all"),
    }


def test_a_form_that_is_sent_twice_starts_one_session(api, ada):
    before = sessions(api, rotate)
    fields = filled(ada.get("/runbooks/rotate"), host="db1", sure="1")
    first, second = (ada.post("/runbooks/rotate", fields) for _ in range(2))
    assert (first.status, first.location) == (second.status, second.location)
    changed = ada.post("/runbooks/rotate", {**fields, "field-host": "db2"})
    assert changed.status == 409
    assert "with other values" in changed.text
    assert changed.form.controls["field-host"]["value"] == "db2"
    assert len(sessions(api, rotate)) == len(before) + 1
    assert ada.post("/runbooks/rotate", filled(changed)).status == 303
    assert len(sessions(api, rotate)) == len(before) + 2


def test_a_form_with_invalid_values_starts_nothing(api, ada):
    before = sessions(api, rotate)
    refused = ada.post("/runbooks/rotate", filled(ada.get("/runbooks/rotate"), host="", more="{"))
    assert (refused.status, refused.headers["Content-Type"]) == (422, "text/html; charset=utf-8")
    for text in ("Host: Enter a value.", "Sure: Choose one.", "More: This is not JSON."):
        assert text in refused.text
    assert "<title>Error: " in refused.text
    nowhere = ada.post("/runbooks/rotate", filled(ada.get("/runbooks/rotate"), host="x", sure="0", environment="moon"))
    assert nowhere.status == 422
    assert "Environment: Choose one of those on the list." in nowhere.text
    assert sessions(api, rotate) == before


def test_a_runbook_with_a_confirmation_asks_for_it(api, ada):
    page = ada.get("/runbooks/restart")
    assert "All users are signed out." in page.text
    refused = ada.post("/runbooks/restart", filled(page))
    assert refused.status == 422
    assert '<a href="#confirmed">Tick the box to agree before it starts.</a>' in refused.text
    assert sessions(api, restart) == []
    assert ada.post("/runbooks/restart", {**filled(refused), "confirmed": "yes"}).status == 303
    assert len(sessions(api, restart)) == 1


def test_a_form_to_start_needs_its_token_and_its_key(api, ada):
    fields = {**filled(ada.get("/runbooks/restart")), "confirmed": "yes"}
    other = filled(ada.get("/runbooks/rotate"))
    before = sessions(api, restart)
    for name, value, status in (
        ("token", "x", 403),
        ("token", other["token"], 403),
        ("key", "", 400),
        ("key", "é", 400),
    ):
        assert ada.post("/runbooks/restart", {**fields, name: value}).status == status
    assert ada.post("/runbooks/restart", fields, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert sessions(api, restart) == before
    assert ada.get("/runbooks/nope").status == 404


def test_a_link_fills_the_form_in(ada):
    query = {
        "host": "<b>db1",
        "sure": "true",
        "level": "high",
        "at": "2024-01-31T12:00:00Z",
        "tags": ["a", "b"],
        "more": '{"a": 1}',
        "token": "hush-hush",
        "envSlug": "staging",
    }
    page = ada.get("/runbooks/rotate?" + urlencode(query, doseq=True))
    posted = page.form.by_name()
    assert posted["field-host"] == ["<b>db1"]
    assert posted["field-sure"] == ["0"]
    assert posted["field-level"] == ["1"]
    assert posted["field-at"] == ["2024-01-31T12:00:00"]
    assert posted["field-tags"] == ["a\r\nb"]
    assert posted["field-more"] == ['{"a": 1}']
    assert posted["field-token"] == [""]
    assert "hush-hush" not in page.text
    assert posted["environment"] == ["staging"]


def test_a_link_with_values_that_do_not_fit_says_so(ada):
    page = ada.get("/runbooks/rotate?level=extreme&sure=perhaps&envSlug=moon")
    assert page.status == 200
    assert page.text.count("does not fit: enter it anew.") == 4  # two fields, and above all fields
    assert "field-sure" not in page.form.by_name()
    assert "environment" not in page.form.by_name()


def test_a_link_survives_a_sign_in(ada):
    ada.cookie = ""
    address = "/runbooks/rotate?host=db1&tags=a&tags=b%20c"
    away = ada.get(address)
    assert away.location == "/sign-in?" + urlencode({"next": address})
    assert ada.get(away.location).form.by_name()["next"] == [address]
    assert ada.sign_in("tkn_ada_1", next=address).location == address
    assert ada.sign_in("tkn_ada_1", next='/runbooks/rotate?"><x').location == "/"


def test_a_session_is_run_again_with_its_values_but_secrets(api, ada):
    values = {"host": "db7", "sure": False, "level": "high", "tags": ["x"], "more": [1], "token": "hush-hush-hush"}
    session_id = api.execute("rotate", values, **{"X-Airplane-Env-Slug": "staging"})
    api.reaches(session_id, "Succeeded")
    link = f"/runbooks/rotate?sessionID={session_id}"
    assert f'href="{link}"' in ada.get(f"/sessions/{session_id}").text
    page = ada.get(link)
    posted = page.form.by_name()
    assert {name: posted[f"field-{name}"] for name in ("host", "sure", "level", "tags", "more", "token")} == {
        "host": ["db7"],
        "sure": ["1"],
        "level": ["1"],
        "tags": ["x"],
        "more": ["[\r\n  1\r\n]"],
        "token": [""],
    }
    assert posted["environment"] == ["staging"]
    assert "hush" not in page.text
    assert ada.post("/runbooks/rotate", filled(page)).status == 303
    assert ada.get("/runbooks/rotate?sessionID=ses_nope").status == 404


@pytest.mark.parametrize(
    ("kind", "multi", "options", "texts", "shown"),
    [
        ("integer", False, None, ["20"], ["20"]),
        ("string", False, None, ["two\nlines"], None),
        ("string", True, None, ["a\nb"], None),
        ("string", True, ["a", "b", "c"], ["c", "a"], ["0", "2"]),
        ("string", True, ["a"], ["a", "x"], None),
        ("integer", False, [5, 10], ["10"], ["1"]),
        ("date", False, None, ["yesterday"], None),
        ("json", False, None, ["not JSON"], None),
        ("json", False, None, ["[1]"], ["[1]"]),
    ],
)
def test_a_text_of_a_link_gets_into_its_control(kind, multi, options, texts, shown):
    limits = Constraints(options=options)
    parameter = Parameter(slug="p", type=ParameterType(kind), multi=multi, constraints=limits)
    (field,) = forms.of_link([parameter], {"p": texts}.__getitem__)
    assert (None if field.error else field.texts) == shown
