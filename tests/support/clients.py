"""Both clients, driven alike, and a model of the API for them to talk to."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from airplane_runbooks import Airplane, AsyncAirplane, Request, Response
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response
from tests.support.processes import running

Act = Callable[[Any], Any]


class Either:
    """A sync or an async client on fake time. Calling it with what to do returns the result of that.

    `kind` is "sync" or "async".
    """

    def __init__(self, kind: str, transport: FakeTransport, api_key: Any = "tkn_test", **options: Any) -> None:
        self.clock = FakeClock()
        self.transport = transport
        self.client: Any
        if kind == "sync":
            self.client = Airplane(api_key, transport=transport, clock=self.clock, **options)
        else:
            self.client = AsyncAirplane(api_key, transport=transport.as_async(), clock=self.clock, **options)

    def __call__(self, act: Act) -> Any:
        result = act(self.client)
        if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
            return asyncio.run(_finish(result))
        return list(result) if hasattr(result, "__next__") else result


async def _finish(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else [item async for item in result]


@contextmanager
def served(runbooks: str) -> Iterator[tuple[str, str]]:
    """Serve what a piece of source decorates, in a process of its own; yield base URL and API key.

    A server in this process would mix its threads and sockets with those of the client.
    """
    code = f"""
import sys
from datetime import date
from airplane_runbooks.server import Context, RunbookServer, runbook, task
from airplane_runbooks.server import Runbook, Task
{runbooks}
things = list(vars().values())
books = [thing for thing in things if isinstance(thing, Runbook)]
with RunbookServer(books, [thing for thing in things if isinstance(thing, Task)]) as server:
    print(server.base_url, server.api_key, flush=True)
    sys.stdin.read()
"""
    with running([sys.executable, "-c", code]) as one:
        assert one.stdout is not None
        base_url, api_key = one.stdout.readline().split()
        yield base_url, api_key
        one.communicate(timeout=100)


def left_open() -> tuple[int, int]:
    """Count this process's threads and open files."""
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


class Model:
    """Model of a server that tests can change, with the handler that answers from it.

    Attributes:
        sessions: Sessions by ID.
        runs: Runs, the newest first.
        prompts: Prompts by ID.
        outputs: Outputs by run.
        filters: Whether lists of runs can be narrowed to a session.
        calls: What was called, and with what.
        each: Called before each answer; returns a response to give instead, or None.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.runs: list[dict[str, Any]] = []
        self.prompts: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, Any] = {}
        self.filters = True
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.each: Callable[[str], Response | None] = lambda _: None

    @property
    def transport(self) -> FakeTransport:
        return FakeTransport(self.answer)

    def answer(self, request: Request) -> Response:
        parts = urlsplit(request.target)
        values = {key: value[0] for key, value in parse_qs(parts.query).items()}
        values |= msgspec.json.decode(request.body or b"{}")
        path = parts.path.removeprefix("/v0")
        self.calls.append((path, values))
        return self.each(path) or self._paths[path](self, values)

    def add_session(self, id: str = "ses1", status: str = "Active", **fields: Any) -> None:
        self.sessions[id] = {"id": id, "status": status, "createdAt": "2026-01-01T00:00:00Z", **fields}

    def add_run(self, id: str, session_id: str = "ses1", status: str = "Active", **fields: Any) -> None:
        created = f"2026-01-01T00:00:00.{len(self.runs):06}Z"
        run = {"id": id, "sessionID": session_id, "status": status, "createdAt": created, **fields}
        self.runs.insert(0, run)

    def add_prompt(self, id: str, run_id: str, *parameters: Mapping[str, Any]) -> None:
        self.prompts[id] = {"id": id, "runID": run_id, "schema": {"parameters": parameters}}

    def _get_session(self, values: dict[str, Any]) -> Response:
        return _found(self.sessions.get(values["id"]))

    def _list_sessions(self, values: dict[str, Any]) -> Response:
        return json_response({"sessions": _page(list(self.sessions.values()), values)})

    def _execute(self, values: dict[str, Any]) -> Response:
        started = f"ses{len(self.sessions) + 1}"
        self.add_session(started, "Pending")
        return json_response({"sessionID": started})

    def _get_run(self, values: dict[str, Any]) -> Response:
        return _found(next((run for run in self.runs if run["id"] == values["id"]), None))

    def _get_outputs(self, values: dict[str, Any]) -> Response:
        return json_response({"output": self.outputs.get(values["id"])})

    def _list_runs(self, values: dict[str, Any]) -> Response:
        wanted = values.get("sessionID") if self.filters else None
        return json_response({"runs": _page([run for run in self.runs if wanted in (None, run["sessionID"])], values)})

    def _get_prompt(self, values: dict[str, Any]) -> Response:
        prompt = self.prompts.get(values["id"])
        return _found(None if prompt is None else {"prompt": prompt})

    def _list_prompts(self, values: dict[str, Any]) -> Response:
        return json_response({"prompts": [one for one in self.prompts.values() if one["runID"] == values["runID"]]})

    def _submit(self, values: dict[str, Any]) -> Response:
        return self._close(values["id"], submittedAt="2026-01-01T00:01:00Z", values=values.get("values", {}))

    def _cancel(self, values: dict[str, Any]) -> Response:
        return self._close(values["id"], cancelledAt="2026-01-01T00:01:00Z")

    def _close(self, id: str, **fields: Any) -> Response:
        prompt = self.prompts[id]
        if "submittedAt" in prompt or "cancelledAt" in prompt:
            return json_response({"error": "answered already"}, status=409)
        prompt.update(fields)
        return json_response({"id": id})

    _paths: dict[str, Callable[[Model, dict[str, Any]], Response]] = {
        "/sessions/get": _get_session,
        "/sessions/list": _list_sessions,
        "/runbooks/execute": _execute,
        "/runs/get": _get_run,
        "/runs/getOutputs": _get_outputs,
        "/runs/list": _list_runs,
        "/prompts/get": _get_prompt,
        "/prompts/list": _list_prompts,
        "/prompts/submit": _submit,
        "/prompts/cancel": _cancel,
    }


def _page(items: list[dict[str, Any]], values: dict[str, Any]) -> list[dict[str, Any]]:
    limit, page = int(values.get("limit", 50)), int(values.get("page", 0))
    return items[limit * page : limit * (page + 1)]


def _found(item: object) -> Response:
    return json_response({"error": "no such thing"}, status=404) if item is None else json_response(item)
