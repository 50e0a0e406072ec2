"""A batch: one session for each item, many of them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from airplane_runbooks import AirplaneError, AsyncAirplane, CallOptions

from .journal import Journal

LONGEST_SESSION = 600.0  # seconds for which a run of the batch follows one session


@dataclass
class Report:
    """Outcome of one run of a batch.

    Attributes:
        failed: Items whose sessions have failed or were cancelled, now or earlier, with the reasons.
        undone: Items that have no outcome yet because a call failed. The next run takes them up again.
        unsure: Items that may have a session already. Look for it before you do anything about them.
    """

    failed: dict[str, str] = field(default_factory=dict[str, str])
    undone: dict[str, str] = field(default_factory=dict[str, str])
    unsure: list[str] = field(default_factory=list[str])


@dataclass
class Batch:
    """A batch that executes one runbook for each item.

    Attributes:
        airplane: The client.
        runbook: Slug of the runbook.
        parameter: Slug of the parameter that takes the item.
        journal: The journal, which has the outcomes so far.
    """

    airplane: AsyncAirplane
    runbook: str
    parameter: str
    journal: Journal

    async def run(
        self, items: Iterable[str], *, concurrency: int, on_item: Callable[[], object] = lambda: None
    ) -> Report:
        """Bring each item to an outcome, unless it has one, and call `on_item` after each.

        At most `concurrency` sessions run at a time. A session that has failed is an outcome, and is not repeated.
        """
        report = Report()
        remaining = iter(dict.fromkeys(items))  # each item once
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work(remaining, report, on_item))
        return report

    async def _work(self, remaining: Iterator[str], report: Report, on_item: Callable[[], object]) -> None:
        for item in remaining:
            try:
                if item not in self.journal.ended:
                    await self._follow(item)
            except AirplaneError as error:
                report.undone[item] = str(error)
            except LookupError:
                report.unsure.append(item)
            else:
                status, why = self.journal.ended[item]
                if status != "Succeeded":
                    report.failed[item] = why
            on_item()

    async def _follow(self, item: str) -> None:
        """Follow the session of an item to its end. Raises AirplaneError, and LookupError as `_start` does."""
        session_id = self.journal.sessions.get(item) or await self._start(item)
        session = await self.airplane.sessions.wait(session_id, wait_timeout=LONGEST_SESSION, raise_on_failure=False)
        self.journal.end(item, str(session.status), session.error.message if session.error else "")

    async def _start(self, item: str) -> str:
        """Start the session of an item, and return its ID.

        Raises AirplaneError, and LookupError if an earlier run may have started it without learning the ID.
        """
        if not self.journal.may_send(item):
            raise LookupError(item)
        is_first = self.journal.send(item)
        options = CallOptions(idempotency_key=self.journal.key(item))
        try:
            started = await self.airplane.runbooks.execute(self.runbook, {self.parameter: item}, options=options)
        except AirplaneError as error:
            if is_first and not error.maybe_processed:
                self.journal.take_back(item)
            raise
        self.journal.start(item, started.session_id)
        return started.session_id
