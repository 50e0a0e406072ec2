"""Attempts of steps: one after the other, until one succeeds or there are no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from ..authoring.errors import StepFailed
from ..logs import original
from ..observers.emitter import Emitter
from ..storage.encoding import decode
from ..storage.records import Outcome, Run
from .branches import enter_step, leave_step
from .recorder import Recorder
from .sealing import SealedValues
from .signals import FirstSignal, ServerStopping, Signal
from .step_logs import StepLog, attempt_logged

_FIRST_DELAY = 0.1  # seconds
_LONGEST_DELAY = 5.0


class Attempts:
    """Calls the functions of steps and records how they end."""

    def __init__(
        self,
        root: Run,
        recorder: Recorder,
        values: SealedValues,
        first_signal: FirstSignal,
        emitter: Emitter,
        *,
        open_log: Callable[[Run], StepLog | None],
    ) -> None:
        self._root = root
        self._recorder = recorder
        self._values = values
        self._first_signal = first_signal
        self._emitter = emitter
        self._open_log = open_log

    async def perform(
        self,
        run: Run,
        call: Callable[[], Awaitable[Any]],
        retries: int,
        wait: Callable[[float], Awaitable[bool]],
    ) -> Any:
        """Call until it succeeds or has failed once more than `retries` times, record the end, and return the result.

        `wait` waits some seconds and returns True if the server is stopping. Raises StepFailed, Signal.
        """
        await self._recorder.begin(run, wait)
        log = self._open_log(run)
        attempt = partial(self._attempt, call=call, log=log)
        try:
            shown, sealed, plain = self._values.encode(await self._last_attempt(run, attempt, retries, wait))
        except Signal:
            raise
        except BaseException as problem:  # noqa: BLE001 - every exception becomes the failure of the step
            failure = self._values.failure(problem)
            self._recorder.finish(run, Outcome.failed(failure), log)
            raise StepFailed(run.name, failure.kind, failure.message, run.id) from original(problem)
        self._recorder.finish(run, Outcome.succeeded(shown, sealed), log)
        return decode(plain)

    async def _last_attempt(
        self,
        run: Run,
        attempt: Callable[[Run, int], Awaitable[Any]],
        retries: int,
        wait: Callable[[float], Awaitable[bool]],
    ) -> Any:
        """Return the value of the first attempt that succeeds, or raise the exception of the last one."""
        delay = _FIRST_DELAY
        last = run.attempt + retries
        for number in range(run.attempt, last):
            try:
                return await attempt(run, number)
            except Exception as problem:  # noqa: BLE001 - the runbook asked for another attempt after any exception
                run = run.with_earlier(self._values.failure(problem))
                self._recorder.keep_failures(run)
                if await wait(delay):
                    raise self._first_signal.record(ServerStopping()) from None
                run = msgspec.structs.replace(run, attempt=number + 1)
                await self._recorder.begin_again(run, wait)
                delay = min(delay * 2, _LONGEST_DELAY)
        return await attempt(run, last)

    async def _attempt(self, run: Run, number: int, call: Callable[[], Awaitable[Any]], log: StepLog | None) -> Any:
        token = enter_step(run.name)
        try:
            with self._emitter.attempt(self._root, run, number), attempt_logged(log, number):
                return await call()
        finally:
            leave_step(token)
