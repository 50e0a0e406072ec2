"""The server under test, in a process of its own: `python -m benchmarks.server.program URL PORT [TRACE]`.

It prints a line when a session asks, and one when it has ended, with the time at which that was committed. With a file
for a trace, it also writes each statement that it hands to SQLite, and each call that it has answered, into that file.
"""

from __future__ import annotations

import os
import sys

import airplane_runbooks
from airplane_runbooks.server import Context, events, runbook, serve

from .processes import KEY
from .tracing import open_trace, trace_sqlite

OUT = os.dup(1)


def same(number: int) -> int:
    return number


@runbook
def w1(context: Context, number: int, steps: int = 1) -> int:
    """Take parameters, and nothing but steps that do nothing."""
    for step in range(steps):
        context.step(same, number, name=f"step {step}")
    return number


@runbook
def w2(context: Context, number: int, steps: int = 1) -> int:
    """Take some steps, wait for a human, and take a last one."""
    for step in range(steps):
        context.step(same, number, name=f"step {step}")
    context.prompt("Go on?", go=bool)
    return context.step(same, number, name="last step")


class Reporter:
    """An observer that writes lines. The times are those of the events, so that it may be late."""

    def __init__(self, trace: int | None) -> None:
        self._trace = trace

    def observe(self, event: events.Event) -> None:
        if isinstance(event, events.PromptOpened):
            say(f"asked {event.root.session_id} {event.at.timestamp():.6f} {event.run_id}")
        elif isinstance(event, events.SessionEnded):
            say(f"ended {event.root.session_id} {event.at.timestamp():.6f} {event.status}")
        elif self._trace is not None and isinstance(event, events.RequestAnswered):
            os.write(self._trace, f"http\t{event.route}\n".encode())


def say(line: str) -> None:
    os.write(OUT, f"{line}\n".encode())


def main() -> None:
    url, port, *files = sys.argv[1:]
    trace = open_trace(files[0]) if files else None
    if trace is not None:
        trace_sqlite(trace)
    say(f"code {airplane_runbooks.__file__}")
    serve([w1, w2], database=url, port=int(port), api_key=KEY, observers=[Reporter(trace)])


if __name__ == "__main__":
    main()
