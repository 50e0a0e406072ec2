"""A batch on a real server: as a whole, interrupted, and with calls that fail."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from batch.journal import Journal
from batch.runner import Batch, Report
from conftest import sent

from airplane_runbooks import AsyncAirplane, ConnectionLost, Next, Request, Response
from airplane_runbooks.server import RunbookServer

COUNT = 10_000 if "AIRPLANE_NIGHTLY" in os.environ else 100
CUSTOMERS = [f"customer-{number}" for number in range(COUNT)]


async def lose_replies(request: Request, call_next: Next, /) -> Response:
    """Let a call reach the server, and lose its reply."""
    await call_next(request)
    raise ConnectionLost("the reply is lost")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a journal."""
    return tmp_path / "statements.journal"


def run(
    server: RunbookServer, path: Path, customers: list[str], runbook: str = "send_statement", **client: Any
) -> Report:
    """Run a batch with a client and a journal of its own, as a new process would."""

    async def follow() -> Report:
        async with AsyncAirplane(server.api_key, base_url=server.base_url, **client) as airplane:
            return await Batch(airplane, runbook, "customer", journal).run(customers, concurrency=20)

    with Journal(path) as journal:
        return asyncio.run(follow())


def test_a_batch_executes_a_session_for_each_item(server: RunbookServer, path: Path) -> None:
    assert run(server, path, CUSTOMERS) == Report()
    assert sent == Counter(CUSTOMERS)


def test_an_item_that_is_there_twice_counts_once(server: RunbookServer, path: Path) -> None:
    assert run(server, path, ["ada", "ada", "bob"]) == Report()
    assert sent == Counter(["ada", "bob"])


def test_failed_sessions_are_collected_with_their_reasons(server: RunbookServer, path: Path) -> None:
    for _ in range(2):  # a failure is an outcome: the second run tells of it again, and repeats nothing
        report = run(server, path, ["ada", "bad-1", "bob", "bad-2"])
        assert report == Report(failed={"bad-1": "no address", "bad-2": "no address"})
    assert sent == Counter(["ada", "bob"])


def test_an_interrupted_batch_goes_on_and_repeats_nothing(server: RunbookServer, path: Path) -> None:
    async def be_interrupted(journal: Journal) -> None:
        done = asyncio.Event()

        def note() -> None:
            if len(journal.ended) >= COUNT // 3:
                done.set()

        async with AsyncAirplane(server.api_key, base_url=server.base_url) as airplane:
            batch = Batch(airplane, "send_statement", "customer", journal)
            task = asyncio.create_task(batch.run(CUSTOMERS, concurrency=20, on_item=note))
            await done.wait()
            task.cancel()
            await asyncio.wait([task])

    with Journal(path) as journal:
        asyncio.run(be_interrupted(journal))
    assert 0 < len(journal.ended) < COUNT
    assert run(server, path, CUSTOMERS) == Report()
    assert sent == Counter(CUSTOMERS)


def test_a_lost_reply_leads_to_the_same_session(server: RunbookServer, path: Path) -> None:
    report = run(server, path, ["ada", "bob"], middleware=[lose_replies])
    assert report.undone == {"ada": "the reply is lost", "bob": "the reply is lost"}
    assert run(server, path, ["ada", "bob"]) == Report()
    assert sent == Counter(["ada", "bob"])


def test_a_lost_reply_of_long_ago_is_not_sent_again(server: RunbookServer, path: Path) -> None:
    with Journal(path) as journal:
        journal.send("ada")
    path.write_text(path.read_text().replace(str(journal.sent_at["ada"]), str(journal.sent_at["ada"] - 3600)))
    assert run(server, path, ["ada", "bob"]) == Report(unsure=["ada"])
    assert sent == Counter(["bob"])


def test_a_call_that_the_server_refuses_leaves_no_doubt(server: RunbookServer, path: Path) -> None:
    report = run(server, path, ["ada"], runbook="absent")
    assert report.undone["ada"].startswith("404")
    with Journal(path) as journal:
        assert not journal.sent_at
    assert run(server, path, ["ada"]) == Report()
