"""Sends what is in the outbox, on threads of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from ...errors import ClientClosed
from ...http import Transport
from ...transports.urllib3 import Urllib3Transport
from ..logs import describe
from ..notifications import Notifications
from ..storage.changes import CHANGES, OUTBOX
from ..storage.deliveries import SqlDeliveries
from ..storage.ids import now
from ..storage.records import Delivery
from .schedule import LONGEST_RETRY_AFTER, delay_after
from .sending import MAX_RESPONSE_BYTES, Failed, send
from .targets import Target

logger = logging.getLogger(__name__)

MOST_AT_A_TIME = 8  # attempts of one server
MOST_PER_TARGET = 2
LONGEST_BLINDNESS = 30.0  # seconds without a look at what other servers may have left, where there are others
_CONTESTED = 1.0  # seconds until the next look where other servers got what was due
_UNAVAILABLE = 5.0  # seconds until the next look if the database cannot be reached
_UNKNOWN_EVERY = 3600.0  # seconds between two looks at what no server has a target for
_UNKNOWN_AFTER = timedelta(days=1)
_UNKNOWN = "no server has a target of this name in its settings"


class Deliverer:
    """Sends deliveries to their targets, some at a time, until each has arrived or was given up.

    It asks the database only after something has been added, when a further attempt is due, and where
    other servers share the database every 30 seconds. Without targets it does nothing.

    Attributes:
        deliveries: The outbox.
        targets: The targets of this server, by their names.
    """

    def __init__(
        self,
        deliveries: SqlDeliveries,
        targets: Mapping[str, Target],
        notifications: Notifications,
        *,
        is_shared: bool,
        transport: Transport | None = None,
    ) -> None:
        self.deliveries = deliveries
        self.targets = targets
        self._notifications = notifications
        self._is_shared = is_shared
        self._transport = transport
        self._changed = threading.Condition()
        self._is_woken = False
        self._stopping = False
        self._in_progress: Counter[str] = Counter()  # attempts by target
        self._paused: dict[str, float] = {}  # by target: until when it is left alone, by the monotonic clock
        self._next_unknown = 0.0
        self._is_away = False
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._luck = random.Random()  # noqa: S311 - no secret; of its own, to leave the application's seed alone

    def open(self) -> None:
        """Start to send, if there are targets."""
        if self.targets and self._thread is None:
            self._transport = self._transport or Urllib3Transport(
                pool_size=MOST_PER_TARGET, max_response_bytes=MAX_RESPONSE_BYTES
            )
            self._unsubscribe = self._notifications.subscribe(CHANGES, self._note_changes)
            self._thread = threading.Thread(target=self._loop, name="runbook-deliverer", daemon=True)
            self._thread.start()

    def hurry(self) -> None:
        """Look soon at what is due, also of targets that wanted a pause. Returns at once."""
        with self._changed:
            self._paused.clear()
        self._wake()

    def stop(self) -> None:
        """Begin no further attempt. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for attempts in progress. Those that last longer are made again later."""
        self.stop()
        deadline = time.monotonic() + timeout
        if self._thread is not None:
            self._thread.join(timeout)
        with self._changed:
            self._changed.wait_for(lambda: not self._in_progress.total(), max(0.0, deadline - time.monotonic()))
        self._unsubscribe()
        if self._transport is not None:
            self._transport.close()

    def _note_changes(self, changes: Collection[str] | None) -> None:
        if changes is None or OUTBOX in changes:
            self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def _loop(self) -> None:
        is_first = True
        while not self._stopping:
            try:
                if is_first and not self._is_shared:  # what the process before had leased
                    self.deliveries.end_leases()
                is_first = False
                seconds = self._look()
                self._is_away = False
            except Exception as problem:  # noqa: BLE001 - it must keep trying after any failure
                if not self._is_away and not self._stopping:
                    logger.error("deliveries cannot be read: %s", describe(problem))  # noqa: TRY400 - see describe
                self._is_away, seconds = True, _UNAVAILABLE
            with self._changed:
                self._changed.wait_for(lambda: self._is_woken or self._stopping, seconds)
                self._is_woken = False

    def _look(self) -> float | None:
        """Begin the attempts that are due, and return the seconds until the next look; None if it has to be woken."""
        self._give_up_unknown()
        while not self._stopping:
            room, paused_for = self._room()
            limit = MOST_AT_A_TIME - self._in_progress.total()
            due = self.deliveries.next_due(room) if room and limit > 0 else None
            seconds = _until(due)
            if seconds is None or seconds > 0:
                return _earliest(seconds, paused_for, LONGEST_BLINDNESS if self._is_shared else None)
            claimed = self.deliveries.claim(room, limit)
            if not claimed:
                return _CONTESTED * self._luck.uniform(0.5, 1.5)
            for delivery in claimed:
                self._begin(delivery)
        return None

    def _room(self) -> tuple[Mapping[str, int], float | None]:
        """Return how many attempts may begin by target, and the seconds until a target that is paused is ready."""
        moment = time.monotonic()
        with self._changed:
            paused = {name: until - moment for name, until in self._paused.items() if until > moment}
            room = {
                name: MOST_PER_TARGET - self._in_progress[name]
                for name in self.targets
                if name not in paused and self._in_progress[name] < MOST_PER_TARGET
            }
        return room, min(paused.values(), default=None)

    def _begin(self, delivery: Delivery) -> None:
        with self._changed:
            self._in_progress[delivery.target] += 1
        thread = threading.Thread(target=self._deliver, args=(delivery,), name="runbook-delivery", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # out of threads: the lease will lapse
            logger.error("a delivery cannot be sent: %s", describe(problem))  # noqa: TRY400 - see describe
            self._end(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            assert self._transport is not None  # noqa: S101 - for type checkers
            failed = send(self._transport, self.targets[delivery.target], delivery)
            if failed is None:
                self.deliveries.settle(delivery)
            else:
                self._fail(delivery, failed)
        except ClientClosed:
            pass  # the server is closing; the lease will lapse
        except Exception as problem:  # noqa: BLE001 - the lease will lapse, and it is sent again
            if not self._stopping:
                logger.error("a delivery to %s is left: %s", delivery.target, describe(problem))  # noqa: TRY400 - see describe
        finally:
            self._end(delivery)

    def _end(self, delivery: Delivery) -> None:
        with self._changed:
            self._in_progress[delivery.target] -= 1
        self._wake()

    def _fail(self, delivery: Delivery, failed: Failed) -> None:
        delay = None if failed.is_final else delay_after(delivery.attempts, failed.retry_after, self._luck.uniform)
        if failed.retry_after:
            with self._changed:
                self._paused[delivery.target] = time.monotonic() + min(failed.retry_after, LONGEST_RETRY_AFTER)
        names = delivery.event_type, delivery.session_id, delivery.target, failed.problem
        if delay is None:
            if self.deliveries.give_up(delivery, failed.problem):
                logger.warning("%s of %s could not be delivered to %s, and is given up: %s", *names)
        elif self.deliveries.retry(delivery, failed.problem, now() + timedelta(seconds=delay)):
            logger.info("%s of %s will be sent again to %s: %s", *names)

    def _give_up_unknown(self) -> None:
        moment = time.monotonic()
        if moment >= self._next_unknown:
            for delivery in self.deliveries.give_up_unknown(self.targets, now() - _UNKNOWN_AFTER, _UNKNOWN):
                logger.warning("%s of %s is given up: %s", delivery.event_type, delivery.session_id, _UNKNOWN)
            self._next_unknown = moment + _UNKNOWN_EVERY


def _until(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - now()).total_seconds()


def _earliest(*seconds: float | None) -> float | None:
    return min((one for one in seconds if one is not None), default=None)
