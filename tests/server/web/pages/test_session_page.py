"""The page of a session: its result as a table and as files, and how it is cancelled."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from typing import Any

import pytest

from airplane_runbooks.server import Context, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import served

ADA = User("ada@example.com", "tkn_ada_1")
ROWS = [{"name": "<b>=1+1", "count": -5}, {"name": '=cmd|"a"', "paid": True}]


@runbook
def reports(context: Context, rows: Any) -> Any:
    """Return what it was given."""
    return context.step(list, rows, name="copy") if isinstance(rows, list) else rows


@runbook
def waits(context: Context) -> str:
    """Wait for an answer."""
    return str(context.prompt("Go on?", reason=str))


@pytest.fixture(scope="module")
def api():
    with served(reports, waits, users=[ADA]) as client:
        yield client


@pytest.fixture
def ada(api):
    with closing(Browser(api.url, "tkn_ada_1")) as browser:
        yield browser


def reported(api, rows):
    session_id = api.execute("reports", {"rows": rows})
    api.reaches(session_id, "Succeeded")
    return session_id, api.runs(session_id)[0]["id"]


def test_a_list_of_flat_objects_is_a_table_to_download(api, ada):
    session_id, run_id = reported(api, ROWS)
    page = ada.get(f"/sessions/{session_id}").text
    assert page.index("<table>") < page.index(">Parameters</h2>")
    assert '<th scope="col"><bdi>paid</bdi></th>' in page
    assert "<td><bdi>&lt;b&gt;=1+1</bdi></td><td><bdi>-5</bdi></td><td><bdi></bdi></td>" in page
    for ending in ("json", "csv"):
        assert f'href="/runs/{run_id}/output.{ending}"' in page
    whole = ada.get(f"/runs/{run_id}/output.json")
    assert whole.headers["Content-Type"] == "application/json"
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{run_id}.json"'
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert api.output({"id": run_id}) == ROWS
    text = ada.get(f"/runs/{run_id}/output.csv").text
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "count", "paid"],
        ["<b>=1+1", "-5", ""],
        ['\'=cmd|"a"', "", "true"],
    ]


def test_an_output_that_is_not_a_table_has_no_csv(api, ada):
    session_id, run_id = reported(api, {"a": [1, 2]})
    page = ada.get(f"/sessions/{session_id}").text
    assert "output.csv" not in page
    assert "<table>" not in page
    refused = ada.get(f"/runs/{run_id}/output.csv")
    assert (refused.status, refused.title) == (404, "There is nothing here")
    assert ada.get("/runs/run_nope/output.json").status == 404


def test_a_long_output_is_cut_with_a_link_to_all_of_it(api, ada):
    session_id, run_id = reported(api, ["long"] * 20_000)
    page = ada.get(f"/sessions/{session_id}").text
    assert len(page) < 30_000
    assert page.count("Not all of it is shown.") == 2  # as the result and as the output of the step
    assert len(ada.get(f"/runs/{run_id}/output.json").text) == 140_001


def test_downloads_need_a_sign_in(api, ada):
    _, run_id = reported(api, ROWS)
    ada.cookie = ""
    for ending in ("json", "csv"):
        assert ada.get(f"/runs/{run_id}/output.{ending}").status == 303


def test_a_session_is_cancelled_after_a_confirmation(api, ada):
    session_id = api.execute("waits")
    api.reaches(session_id, "Waiting")
    assert f'href="/sessions/{session_id}/cancel"' in ada.get(f"/sessions/{session_id}").text
    question = ada.get(f"/sessions/{session_id}/cancel")
    assert question.title == "Cancel this session?"
    assert api.session(session_id)["status"] == "Waiting"
    fields = {"token": list(question.tokens())[1], "action": "cancel"}
    assert ada.post(f"/sessions/{session_id}", {**fields, "token": "x"}).status == 403
    done = ada.post(f"/sessions/{session_id}", fields)
    assert (done.status, done.location) == (303, f"/sessions/{session_id}")
    api.reaches(session_id, "Cancelled")
    page = ada.get(f"/sessions/{session_id}").text
    assert "Cancelled by <strong>ada@example.com</strong>" in page
    assert "/cancel" not in page
    assert ada.get(f"/sessions/{session_id}/cancel").location == f"/sessions/{session_id}"
    again = ada.post(f"/sessions/{session_id}", fields)
    assert (again.status, again.title) == (409, "This has been done already")


def test_the_question_whether_to_cancel_survives_a_sign_in(api, ada):
    session_id = api.execute("waits")
    address = f"/sessions/{session_id}/cancel"
    assert ada.sign_in("tkn_ada_1", next=address).location == address
