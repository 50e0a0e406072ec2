"""Threads that decode for the first time, all at once: none may see a half-built plan of msgspec."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from airplane_runbooks import operations
from airplane_runbooks.operations import Operation

sys.setswitchinterval(1e-6)
parameter = b'{"slug": "a", "type": "object", "params": [{"slug": "b", "constraints": {}}]}'
session = b'{"id": "s", "status": "Active", "params": [%s], "createdAt": "2026-01-01T00:00:00Z"}' % parameter
run = session
prompt = b'{"id": "p", "schema": {"parameters": [%s]}}' % parameter
bodies = {
    "sessions.get": session,
    "sessions.list": b'{"sessions": [%s]}' % session,
    "runs.get": run,
    "runs.list": b'{"runs": [%s]}' % run,
    "prompts.get": b'{"prompt": %s}' % prompt,
    "prompts.list": b'{"prompts": [%s]}' % prompt,
}
found = {one.name: one for one in vars(operations).values() if isinstance(one, Operation)}
work = [(found[name], body) for name, body in bodies.items()]
barrier = threading.Barrier(24)


def decode(turn):
    barrier.wait()
    for number in range(len(work)):
        operation, body = work[(turn + number) % len(work)]
        operation.decode(body)


threads = [threading.Thread(target=decode, args=[turn]) for turn in range(24)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("_", [0, 1, *(pytest.param(number, marks=pytest.mark.nightly) for number in range(2, 5))])
def test_threads_can_decode_a_model_for_the_first_time(_):
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
