"""A thousand sessions at once, followed by one async client: nothing leaks, and no session starves."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from airplane_runbooks import AsyncAirplane, AsyncTransport, PollPolicy, WaitTimeout
from airplane_runbooks.models import ParameterSchema, Prompt, Session
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.clients import left_open, served

pytestmark = pytest.mark.once

SERVER = """
@runbook
def pause(context: Context, number: int) -> int:
    context.prompt("Go on?", go=bool)
    return number
"""


@pytest.fixture
def server() -> Iterator[tuple[str, str]]:
    with served(SERVER) as address:
        yield address


class Crowd:
    """All sessions, and the states that their followers have seen."""

    def __init__(self, airplane: AsyncAirplane, size: int) -> None:
        self.airplane = airplane
        self.size = size
        self.ids: list[str] = []
        self.looks: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    async def start(self) -> None:
        """Execute them all."""
        execute = self.airplane.runbooks.execute
        started = await asyncio.gather(
            *(execute(slug="pause", param_values={"number": one}) for one in range(self.size))
        )
        self.ids = [one.session_id for one in started]
        assert len(set(self.ids)) == self.size

    async def watch(self, seconds: float) -> None:
        """Follow them all without any answer, each polling again as soon as it is its turn."""
        eager = PollPolicy(initial_delay=0.1, max_delay=0.1)

        def count(session: Session, elapsed: float) -> None:
            self.looks[session.id] += 1

        async def wait(id: str) -> None:
            with pytest.raises(WaitTimeout):
                await self.airplane.sessions.wait(id, wait_timeout=seconds, poll=eager, on_progress=count)

        await asyncio.gather(*map(wait, self.ids))

    async def finish(self) -> list[Session]:
        """Follow them all to their end, answering their prompts."""

        async def answer(prompt: Prompt, schema: ParameterSchema) -> dict[str, bool]:
            self.asked[prompt.id] += 1
            return {"go": True}

        return await asyncio.gather(
            *(self.airplane.sessions.wait(one, wait_timeout=250, on_prompt=answer) for one in self.ids)
        )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(ThreadedTransport, id="threaded"),
        pytest.param(lambda: AsyncioTransport(pool_size=100), id="asyncio", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize(("size", "seconds"), [(100, 4), pytest.param(1000, 8, marks=pytest.mark.slow)])
def test_all_are_followed_to_their_end(
    make: Callable[[], AsyncTransport], server: tuple[str, str], size: int, seconds: float
) -> None:
    base_url, api_key = server

    async def main() -> None:
        async with AsyncAirplane(api_key, base_url=base_url, transport=make(), retry_budget=None) as airplane:
            crowd = Crowd(airplane, size)
            await crowd.start()
            await crowd.watch(seconds)
            while len(crowd.looks) < size or min(crowd.looks.values()) < 3:  # other work is slowing this down
                await crowd.watch(seconds)
            fewest, most = min(crowd.looks.values()), max(crowd.looks.values())
            assert fewest >= most / 4
            sessions = await crowd.finish()
            assert {str(session.status) for session in sessions} == {"Succeeded"}
            assert sorted(crowd.asked.values()) == [1] * size
            assert asyncio.all_tasks() == {asyncio.current_task()}

    before = left_open()
    asyncio.run(main())
    assert left_open() == before


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(ThreadedTransport, id="threaded", marks=pytest.mark.nightly),
        pytest.param(AsyncioTransport, id="asyncio"),
    ],
)
def test_following_takes_no_memory_that_it_does_not_give_back(
    make: Callable[..., AsyncTransport], server: tuple[str, str]
) -> None:
    base_url, api_key = server

    async def main() -> int:
        # Few connections, so that how many of them happen to be open makes no difference.
        async with AsyncAirplane(api_key, base_url=base_url, transport=make(pool_size=2)) as airplane:
            crowd = Crowd(airplane, 50)
            await crowd.start()
            await crowd.watch(1)
            before, seen = _memory(), crowd.looks.total()
            while crowd.looks.total() < seen + 1000:
                await crowd.watch(1)
            return _memory() - before

    tracemalloc.start()
    try:
        assert asyncio.run(main()) < 100_000  # bytes: keeping the results of polls takes more than ten times as much
    finally:
        tracemalloc.stop()


def _memory() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
