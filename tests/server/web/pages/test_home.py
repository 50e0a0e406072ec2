"""The first page: prompts that wait for the user, sessions that run, and those that have failed."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import Context, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import served

ADA = User("ada@example.com", "tkn_ada_1", groups=["finance"])
BOB = User("bob@example.com", "tkn_bob_2")
GO_ON = threading.Event()


def pause() -> None:
    """Wait for the test."""
    assert GO_ON.wait(60)


@runbook
def pays(context: Context, cents: int) -> bool:
    """Ask finance."""
    context.step(abs, -cents, name="look up")
    return bool(
        context.prompt(
            f"Pay {cents} cents?",
            reviewers=Reviewers(groups=("finance",)),
            expires_in=timedelta(days=1),
            sure=bool,
        )["sure"]
    )


@runbook
def runs_long(context: Context) -> None:
    """Take a step that lasts."""
    context.step(pause)


@runbook
def fails(context: Context) -> None:
    """Fail."""
    raise ValueError(context.session_id)


@pytest.fixture(scope="module")
def api():
    with served(pays, runs_long, fails, users=[ADA, BOB]) as client:
        yield client
        GO_ON.set()


def sections(api, key):
    with closing(Browser(api.url, key)) as browser:
        page = browser.get("/").text
    return dict(re.findall(r'<h2 id="(\w+)">(.*?)</section>', page, re.DOTALL))


def test_the_first_page_shows_prompts_to_their_reviewers(api):
    assert "No prompt waits for you." in sections(api, "tkn_ada_1")["waiting"]
    session_id = api.execute("pays", {"cents": 4200})
    prompt_id = api.open_prompt(session_id)["id"]
    waiting = sections(api, "tkn_ada_1")["waiting"]
    assert f'<a href="/prompts/{prompt_id}"><bdi>Pay 4200 cents?</bdi></a>' in waiting
    assert "expires at" in waiting
    assert "No prompt waits for you." in sections(api, "tkn_bob_2")["waiting"]
    with closing(Browser(api.url, "tkn_ada_1")) as ada:
        assert ada.answer(prompt_id, sure="0").status == 303
    assert prompt_id not in sections(api, "tkn_ada_1")["waiting"]


def test_the_first_page_shows_what_runs_and_what_has_failed(api):
    failed, running = api.execute("fails"), api.execute("runs_long")
    api.reaches(failed, "Failed")
    api.reaches(running, "Active")
    found = sections(api, "tkn_bob_2")
    assert running in found["running"]
    assert failed not in found["running"]
    assert failed in found["failed"]
    assert running not in found["failed"]
    GO_ON.set()
    api.reaches(running, "Succeeded")
    assert running not in sections(api, "tkn_bob_2")["running"]


def test_a_prompt_shows_the_steps_so_far(api):
    session_id = api.execute("pays", {"cents": 99})
    prompt_id = api.open_prompt(session_id)["id"]
    with closing(Browser(api.url, "tkn_ada_1")) as ada:
        page = ada.get(f"/prompts/{prompt_id}").text
    steps = re.search(r"<summary>Steps so far</summary>(.*?)<form class=", page, re.DOTALL)[1]
    assert "<h3><bdi>look up</bdi></h3>" in steps
    assert "<code>99</code>" in steps
