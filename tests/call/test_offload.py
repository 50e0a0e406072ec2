"""Work beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airplane_runbooks._call.offload import call_in_thread
from airplane_runbooks.models.decoding import OutOfTime


def test_a_function_is_called_on_another_thread() -> None:
    assert asyncio.run(call_in_thread(threading.get_ident, None)) != threading.get_ident()


def test_nobody_waits_for_a_function_beyond_its_time() -> None:
    release = threading.Event()

    async def scenario() -> None:
        with pytest.raises(OutOfTime):
            await call_in_thread(release.wait, 0.05)
        release.set()

    asyncio.run(scenario())


def test_a_function_is_called_here_if_there_are_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)

    assert asyncio.run(call_in_thread(threading.get_ident, 1.0)) == threading.get_ident()
