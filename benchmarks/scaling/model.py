"""A model of a deployment: events in order of time, stations with queues, and a disk that flushes commits in groups.

A session of one step is a row of stages. Each takes time on a core of its server, then on a core of its database, and
then waits for the commit. From the second stage on it holds a worker. The same seed gives the same result.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

Event = Callable[[], None]
WARM = 0.2  # share of the sessions at either end that are left out: the first find empty queues
CLIENTS = 16  # of each server, when all of them are to be busy


class Costs(NamedTuple):
    """Costs of a session of one step, in seconds on a core that has no other work.

    Attributes:
        server_cpu: CPU of the server.
        database_cpu: CPU of the database.
        commits: Commits, one after the other.
        flush: Time in which the disk makes a group of commits durable.
        idle_database_cpu: Share of a core of the database that each server takes by being there.
    """

    server_cpu: float
    database_cpu: float
    commits: int
    flush: float
    idle_database_cpu: float = 0.0


class Deployment(NamedTuple):
    """Servers, each of which is a process that computes on one core, and the databases that they are divided among."""

    servers: int
    database_cores: int
    databases: int = 1
    workers: int = 16


class Outcome(NamedTuple):
    """Results of a simulation: rates per second, times in seconds, and the share of the time that each was busy."""

    ended: float
    p50: float
    p99: float
    servers_busy: float
    databases_busy: float
    group: float


class Timeline:
    """Events in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Event]] = []
        self._number = 0

    def after(self, delay: float, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + delay, self._number, event))

    def run(self) -> None:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()


class Station:
    """Places that are taken for a time, in the order of asking."""

    def __init__(self, timeline: Timeline, places: int) -> None:
        self._timeline = timeline
        self._free = places
        self._queue: deque[Event] = deque()
        self.busy = 0.0

    def take(self, then: Event) -> None:
        """Go on as soon as a place is free, and hold it until `leave`."""
        if self._free:
            self._free -= 1
            then()
        else:
            self._queue.append(then)

    def leave(self) -> None:
        if self._queue:
            self._queue.popleft()()
        else:
            self._free += 1

    def use(self, seconds: float, then: Event) -> None:
        """Take a place for some time, and go on afterwards."""

        def done() -> None:
            self.leave()
            then()

        def taken() -> None:
            self.busy += seconds
            self._timeline.after(seconds, done)

        self.take(taken)


class Disk:
    """A log that is flushed again and again while commits wait. All that wait at its begin are durable at its end."""

    def __init__(self, timeline: Timeline, flush: float) -> None:
        self._timeline = timeline
        self._flush = flush
        self._waiting: list[Event] = []
        self._flushing = False
        self.flushes = 0

    def commit(self, then: Event) -> None:
        self._waiting.append(then)
        if not self._flushing:
            self._begin()

    def _begin(self) -> None:
        group, self._waiting, self._flushing = self._waiting, [], True
        self.flushes += 1

        def done() -> None:
            self._flushing = False
            if self._waiting:
                self._begin()
            for then in group:
                then()

        self._timeline.after(self._flush, done)


class _Database(NamedTuple):
    cores: Station
    disk: Disk
    slower: float  # by being shared with the looks of idle servers


class _Simulation:
    """One run: sessions that arrive at random, and the times at which they end."""

    def __init__(self, deployment: Deployment, costs: Costs, seed: int) -> None:
        self._costs = costs
        self._draw = random.Random(seed)
        self.timeline = timeline = Timeline()
        idle = costs.idle_database_cpu * deployment.servers / deployment.databases / deployment.database_cores
        slower = 1 / (1 - idle)
        self.servers = [Station(timeline, 1) for _ in range(deployment.servers)]
        self._workers = [Station(timeline, deployment.workers) for _ in range(deployment.servers)]
        self.databases = [
            _Database(Station(timeline, deployment.database_cores), Disk(timeline, costs.flush), slower)
            for _ in range(deployment.databases)
        ]
        self.started = 0
        self.ended: list[tuple[float, float]] = []

    def arrive(self, rate: float, sessions: int) -> None:
        """Let a session arrive, and the next one after a while."""
        self._begin(lambda: None)
        if sessions > 1:
            self.timeline.after(self._draw.expovariate(rate), lambda: self.arrive(rate, sessions - 1))

    def keep_busy(self, sessions: int) -> None:
        """Let clients start a session each, and the next one as soon as it has ended."""

        def follow() -> None:
            if self.started < sessions:
                self._begin(follow)

        for _ in range(min(CLIENTS * len(self.servers), sessions)):
            self._begin(follow)

    def _begin(self, then: Event) -> None:
        server, start, left = self.started % len(self.servers), self.timeline.now, self._costs.commits
        self.started += 1
        workers = self._workers[server]

        def stage() -> None:
            nonlocal left
            left -= 1
            self._stage(server, stage if left else end)

        def end() -> None:
            workers.leave()
            self.ended.append((start, self.timeline.now))
            then()

        left -= 1
        self._stage(server, lambda: workers.take(stage))

    def _stage(self, server: int, then: Event) -> None:
        costs, database = self._costs, self.databases[server % len(self.databases)]
        of_server = self._draw.expovariate(costs.commits / costs.server_cpu)
        of_database = self._draw.expovariate(costs.commits / costs.database_cpu) * database.slower
        self.servers[server].use(of_server, lambda: database.cores.use(of_database, lambda: database.disk.commit(then)))

    def outcome(self, deployment: Deployment) -> Outcome:
        """Return the results, once all sessions have ended."""
        cut = int(len(self.ended) * WARM)
        kept = self.ended[cut : len(self.ended) - cut]
        times = sorted(end - start for start, end in kept)
        cores = deployment.databases * deployment.database_cores
        return Outcome(
            ended=(len(kept) - 1) / (kept[-1][1] - kept[0][1]),
            p50=times[len(times) // 2],
            p99=times[len(times) * 99 // 100],
            servers_busy=sum(server.busy for server in self.servers) / self.timeline.now / deployment.servers,
            databases_busy=sum(database.cores.busy for database in self.databases) / self.timeline.now / cores,
            group=self.started * self._costs.commits / sum(database.disk.flushes for database in self.databases),
        )


def simulate(deployment: Deployment, costs: Costs, rate: float | None, sessions: int, seed: int = 1) -> Outcome:
    """See sessions through that arrive at random, so many a second; None keeps all servers busy.

    Raises ValueError for a session of less than two commits, or a database that is busy with idle servers.
    """
    if costs.commits < 2:
        raise ValueError(f"a session has at least 2 commits, its start and its end, not {costs.commits}")
    if bounds(deployment, costs)["databases"] <= 0:
        raise ValueError(f"{deployment.servers} servers keep their databases busy by being there")
    run = _Simulation(deployment, costs, seed)
    if rate is None:
        run.keep_busy(sessions)
    else:
        run.arrive(rate, sessions)
    run.timeline.run()
    return run.outcome(deployment)


def bounds(deployment: Deployment, costs: Costs) -> dict[str, float]:
    """Return the sessions per second that each part could do if the others took no time."""
    idle = costs.idle_database_cpu * deployment.servers
    cores = max(0.0, deployment.databases * deployment.database_cores - idle)
    return {"servers": deployment.servers / costs.server_cpu, "databases": cores / costs.database_cpu}
