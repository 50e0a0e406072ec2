from __future__ import annotations

import pytest

from airplane_runbooks.models import RunStatus, SessionStatus
from airplane_runbooks.server.errors import Conflict
from airplane_runbooks.server.memory import MemoryStore
from airplane_runbooks.server.records import Outcome, Prompt, Run, RunKind, Session


def run(run_id, kind=RunKind.RUNBOOK, parent_id=None):
    return Run(
        id=run_id, kind=kind, parent_id=parent_id, session_id="s", task_id="t", slug="a", name="A", env_slug="prod"
    )


@pytest.fixture
def store():
    """A store with one session, asking its first question."""
    store = MemoryStore()
    store.add(run("r"), Session(id="s", run_id="r", runbook_id="b", name="B"))
    assert store.begin("r", 1).status is RunStatus.ACTIVE
    prompt = Prompt(id="p", run_id="q", parent_id="r", description="?")
    assert store.add_child(run("q", RunKind.PROMPT, "r"), 1, prompt)
    return store


def status(store):
    return store.session("s").status


def test_a_session_waits_while_its_prompt_is_open_and_is_active_from_the_answer_on(store):
    assert not store.pause("r", 1)
    assert status(store) is SessionStatus.WAITING
    assert store.begin("r", 1) is None
    store.answer("p", b"{}", "me")
    assert status(store) is SessionStatus.ACTIVE
    assert store.begin("r", 1) is None
    assert store.begin("r", 2).id == "r"


@pytest.mark.parametrize("values", [b"{}", None])
def test_an_answer_ahead_of_the_pause_is_not_lost(store, values):
    store.answer("p", values, "me")
    assert store.pause("r", 1)
    assert status(store) is SessionStatus.ACTIVE


def test_a_cancellation_ahead_of_the_pause_is_not_lost(store):
    store.cancel("q", "me")
    assert status(store) is SessionStatus.CANCELLING
    assert store.pause("r", 1)
    assert store.begin("r", 1) is None
    assert status(store) is SessionStatus.CANCELLED


def test_a_cancelled_session_takes_no_steps_and_no_result(store):
    store.cancel("r", "me")
    assert not store.add_child(run("x", RunKind.STEP, "r"), 1)
    assert not store.finish("r", Outcome.succeeded(b"1"), 1)
    assert status(store) is SessionStatus.CANCELLED
    assert store.run("r").output == b"null"


def test_the_end_of_a_session_cancels_what_is_still_open(store):
    assert store.finish("r", Outcome.succeeded(b"1"), 1)
    assert status(store) is SessionStatus.SUCCEEDED
    assert store.run("q").status is RunStatus.CANCELLED
    assert store.prompt("p").cancelled_at is not None
    with pytest.raises(Conflict):
        store.answer("p", b"{}", "me")
    with pytest.raises(Conflict):
        store.cancel("r", "me")


def test_what_has_been_forgotten_is_left_in_peace(store):
    store.finish("r", Outcome.succeeded(b"1"), 1)
    assert store.drop(1) == []
    assert [dropped.id for dropped in store.drop(0)] == ["r"]
    assert store.session("s") is store.run("r") is store.run("q") is store.prompt("p") is None
    assert store.begin("r", 1) is None
    assert not store.pause("r", 1)
    assert not store.finish("r", Outcome.succeeded(b"1"), 1)
    assert not store.add_child(run("x", RunKind.STEP, "r"), 1)
    assert list(store.history("r")) == list(store.prompts("q")) == []
