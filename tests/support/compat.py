"""Server for the official clients, and a way to run their programs."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from airplane_runbooks.server import Context, runbook, task
from tests.support.servers import served


@task
def echo(value: Any = None) -> Any:
    """Return what came."""
    return value


@task
def typed(day: date, moment: datetime, number: int = 7, tags: list[str] | None = None) -> list[Any]:
    """Return what came, as Python has it."""
    return [day, moment, number, tags]


@task
def fail(reason: str) -> None:
    """Fail."""
    raise ValueError(reason)


@runbook
def plain(context: Context, value: str = "") -> str:
    """Return what came and where."""
    return f"{value} in {context.env_slug}"


@runbook
def asks(context: Context) -> Any:
    """Ask a human."""
    return context.prompt("Go on?", go=bool, note=str, confirm_text="Go")


@runbook
def fails(context: Context) -> None:
    """Fail."""
    raise ValueError("no luck")


@contextmanager
def serving():
    """Run a server, and yield a client that follows what others do there."""
    with served(plain, asks, fails, tasks=[echo, typed, fail]) as client:
        yield client


def start(command, api, **environment):
    """Start a program that finds the server by the environment variables of the official clients."""
    known = {
        "AIRPLANE_API_HOST": api.url.removesuffix("/v0"),
        "AIRPLANE_TOKEN": api.headers["X-Airplane-API-Key"],
        "AIRPLANE_ENV_ID": "compat",
        "AIRPLANE_TEAM_ID": "tea20220103zvy4auu",
    }
    env = {**os.environ, **known, **environment}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result_of(process):
    """Wait for a program and return the JSON of its last line."""
    out, err = process.communicate(timeout=100)
    assert out, err
    return json.loads(out.splitlines()[-1])
