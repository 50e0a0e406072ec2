"""Helpers of the tests of the server: a bare HTTP client, and waiting without guessing how long."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any, NamedTuple

import urllib3

from airplane_runbooks.server import RunbookServer
from tests.support.timing import PATIENCE, eventually


class Answer(NamedTuple):
    status: int
    json: Any
    headers: Any
    body: bytes

    @property
    def error(self):
        return self.json["error"]

    @property
    def code(self):
        return self.json["code"]


class Client:
    """Speaks the API with plain urllib3, and follows sessions by it alone."""

    def __init__(self, server, **headers):
        self.url = server.base_url
        self.headers = {"X-Airplane-API-Key": server.api_key, **headers}
        self.pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=PATIENCE)

    def send(self, method, path, **options):
        options["headers"] = {**self.headers, **options.pop("headers", {})}
        reply = self.pool.request(method, self.url + path, **options)
        assert reply.headers["content-type"] == "application/json"
        return Answer(reply.status, json.loads(reply.data) if reply.data else None, reply.headers, reply.data)

    def get(self, path, **query):
        return self.send("GET", path, fields=query)

    def post(self, path, body=None, **headers):
        return self.send("POST", path, json={} if body is None else body, headers=headers)

    def execute(self, slug, values=None, **headers):
        answer = self.post("/runbooks/execute", {"slug": slug, "paramValues": values}, **headers)
        assert answer.status == 200, answer.json
        return answer.json["sessionID"]

    def session(self, session_id):
        return self.get("/sessions/get", id=session_id).json

    def reaches(self, session_id, status):
        ends = {"Succeeded", "Failed", "Cancelled", status}
        reached = eventually(lambda: (now := self.session(session_id)["status"]) in ends and now)
        assert reached == status

    def finishes(self, slug, values=None, status="Succeeded"):
        """Execute a runbook and return the output of its own run."""
        session_id = self.execute(slug, values)
        self.reaches(session_id, status)
        return self.output(self.runs(session_id)[0])

    def runs(self, session_id):
        """Return the runs of a session, oldest first."""
        return self.get("/runs/list", sessionID=session_id).json["runs"][::-1]

    def output(self, run):
        return self.get("/runs/getOutputs", id=run["id"]).json["output"]

    def open_prompt(self, session_id):
        """Wait for the session's open prompt."""
        self.reaches(session_id, "Waiting")
        (run,) = [run for run in self.runs(session_id) if run["isWaitingForUser"]]
        (prompt,) = self.get("/prompts/list", runID=run["id"]).json["prompts"]
        return prompt

    def answer(self, session_id, **values):
        """Wait for the session's open prompt and submit it."""
        prompt = self.open_prompt(session_id)
        return self.post("/prompts/submit", {"id": prompt["id"], "values": values})

    def close(self):
        self.pool.clear()


@contextmanager
def started(*runbooks, tasks=(), **options):
    """Run a server, and yield it with a client of it."""
    with RunbookServer(runbooks, tasks, **options) as server:
        client = Client(server)
        try:
            yield server, client
        finally:
            client.close()


@contextmanager
def served(*runbooks, tasks=(), **options):
    """Run a server, and yield a client of it."""
    with started(*runbooks, tasks=tasks, **options) as (_, client):
        yield client
