"""The watchdog renews the leases of what this server has been executing for a while."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from airplane_runbooks.server.execution import watchdog
from airplane_runbooks.server.execution.execution import Execution
from airplane_runbooks.server.execution.threads import Workers
from airplane_runbooks.server.storage.records import Run, RunKind
from tests.support.servers import eventually


class Store:
    """Notes what it is asked to renew, and calls nothing gone."""

    def __init__(self):
        self.renewed = []
        self.looks = 0

    def renew(self, fencing_tokens):
        self.renewed.append(fencing_tokens)

    def gone(self, fencing_tokens):
        self.looks += 1
        return ()


def executing(run_id, fencing_token):
    run = Run(id=run_id, kind=RunKind.TASK, task_id="t", slug="s", name="n", env_slug="x", fencing_token=fencing_token)
    return Execution(run, Workers(4), None)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def watching(store, monkeypatch):
    """Watch some executions, and look at them often."""
    monkeypatch.setattr(watchdog, "POLL", 0.01)
    one = watchdog.Watchdog(store, lambda execution: None)
    with ExitStack() as stack:
        yield lambda execution: stack.enter_context(one.watching(execution))
    one.close()


def test_all_leases_are_renewed_in_one_call(store, watching, monkeypatch):
    monkeypatch.setattr(watchdog, "RENEWAL", 0.05)
    for number in range(3):
        watching(executing(f"r{number}", number))
    eventually(lambda: {"r0": 0, "r1": 1, "r2": 2} in store.renewed)


def test_what_has_just_begun_needs_no_renewal(store, watching, monkeypatch):
    monkeypatch.setattr(watchdog, "RENEWAL", 1000.0)
    watching(executing("r", 1))
    eventually(lambda: store.looks > 5)
    assert store.renewed == []
