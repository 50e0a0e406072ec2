from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from airplane_runbooks.server import Context, runbook
from tests.support.servers import served

pytestmark = pytest.mark.once

CALLS = Counter()
LOCK = threading.Lock()


def count(name):
    with LOCK:
        CALLS[name] += 1
    return CALLS[name]


@runbook
def two_prompts(context: Context, name: str) -> None:
    """Count each part of the way."""
    for number in range(3):
        context.step(count, f"{name} {number}")
        if number < 2:
            context.prompt(f"Prompt {number}?", go=bool)


@pytest.fixture(scope="module")
def api():
    with served(two_prompts, workers=3) as client:
        yield client


def together(calls):
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait(100)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


@pytest.mark.parametrize("paths", [["/prompts/submit"] * 8, ["/prompts/submit", "/prompts/cancel"] * 4])
def test_only_one_of_many_answers_at_once_counts(api, paths):
    session_id = api.execute("two_prompts", {"name": f"one of {paths[1]}"})
    prompt_id = api.open_prompt(session_id)["id"]
    calls = [lambda path=path: api.post(path, {"id": prompt_id, "values": {"go": True}}).status for path in paths]
    assert sorted(together(calls)) == [200] + [409] * 7


def test_sessions_that_are_answered_at_once_each_end_once(api):
    def drive(name):
        session_id = api.execute("two_prompts", {"name": name})
        for _ in range(2):
            assert api.answer(session_id, go=True).status == 200
        api.reaches(session_id, "Succeeded")
        return len(api.runs(session_id))

    names = [f"driven {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(drive, names)) == [6] * len(names)
    assert [CALLS[f"{name} {number}"] for name in names for number in range(3)] == [1] * 3 * len(names)


def test_a_cancellation_at_any_moment_ends_the_session_for_good(api):
    def cancel(name):
        session_id = api.execute("two_prompts", {"name": name})
        (run, *_) = api.runs(session_id)
        assert api.post("/runs/cancel", {"runID": run["id"]}).status == 200
        api.reaches(session_id, "Cancelled")
        return {run["status"] for run in api.runs(session_id)} - {"Succeeded"}, session_id

    with ThreadPoolExecutor(8) as threads:
        ends = list(threads.map(cancel, [f"cancelled {number}" for number in range(40)]))
    assert [statuses for statuses, _ in ends] == [{"Cancelled"}] * 40
    assert {api.session(session_id)["status"] for _, session_id in ends} == {"Cancelled"}
