# ruff: noqa: T201 - what is printed is what is tested
"""Logs of steps on the page of their session, and as files."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

import pytest

from airplane_runbooks.server import Context, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import eventually, served

ADA = User("ada@example.com", "tkn_ada_1")
DOOR = threading.Event()  # steps hang until it is set
CALLS: list[int] = []


@pytest.fixture(autouse=True)
def door():
    DOOR.clear()
    CALLS.clear()
    yield DOOR
    DOOR.set()


def stumble() -> None:
    CALLS.append(1)
    print(f"<b>call {len(CALLS)}</b>")
    if len(CALLS) == 1:
        logging.getLogger("tests").error("no luck")
        raise RuntimeError("again")


def count(number: int) -> None:
    for one in range(number):
        print("line", one)


def hang() -> None:
    print("begun")
    DOOR.wait(100)


@runbook
def writes(context: Context) -> None:
    context.step(stumble, retries=1)
    context.step(count, 250)
    context.step(hang)


def test_a_page_shows_the_logs_of_steps_while_they_run():
    with served(writes, users=[ADA], capture_logs=True) as api, closing(Browser(api.url, "tkn_ada_1")) as ada:
        session_id = api.execute("writes")
        page = eventually(lambda: "<bdi>begun</bdi>" in (text := ada.get(f"/sessions/{session_id}").text) and text)
        assert api.session(session_id)["status"] == "Active"
        first, second = page.index("<bdi>&lt;b&gt;call 1&lt;/b&gt;</bdi>"), page.index("&lt;b&gt;call 2&lt;/b&gt;")
        assert first < page.index(">Attempt 2</li>") < second
        assert '<li class="error"><span class="label">Error</span> <bdi>no luck</bdi></li>' in page
        assert [f"<bdi>line {number}</bdi>" in page for number in (149, 150, 249)] == [False, True, True]
        assert page.count("Only the last lines are shown.") == 1
        steps = api.runs(session_id)[1:]
        whole = ada.get(f"/runs/{steps[1]['id']}/log.txt")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert [line.partition("Z ")[2] for line in whole.text.splitlines()] == [
            f"[1] info line {number}" for number in range(250)
        ]
        assert ada.get("/runs/run_nope/log.txt").status == 404
        DOOR.set()
        api.reaches(session_id, "Succeeded")


def test_a_long_log_is_downloaded_as_a_whole(monkeypatch):
    monkeypatch.setattr("airplane_runbooks.server.service.logs._MOST_LINES", 7)
    DOOR.set()
    with served(writes, users=[ADA], capture_logs=True) as api, closing(Browser(api.url, "tkn_ada_1")) as ada:
        session_id = api.execute("writes")
        api.reaches(session_id, "Succeeded")
        step = api.runs(session_id)[2]
        assert len(ada.get(f"/runs/{step['id']}/log.txt").text.splitlines()) == 250


def test_a_step_without_a_log_has_none_on_its_page():
    DOOR.set()
    with served(writes, users=[ADA]) as api, closing(Browser(api.url, "tkn_ada_1")) as ada:
        session_id = api.execute("writes")
        api.reaches(session_id, "Succeeded")
        assert 'class="log"' not in ada.get(f"/sessions/{session_id}").text
