"""Long polls over sockets of their own, so that hundreds can wait at a time."""

from __future__ import annotations

import contextlib
import json
import socket
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.servers import eventually

_PATIENCE = 120.0  # seconds; hundreds of requests take long on a slow machine


class PollReply(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def etag(self):
        return self.headers["etag"]

    @property
    def applied(self):
        return self.headers["preference-applied"]


class Poll:
    """One request on a connection of its own, which is kept open for further ones."""

    def __init__(self, client, path, *, method="GET", **headers):
        parts = urlsplit(client.url)
        self.key = client.headers["X-Airplane-API-Key"]
        self.method = method
        self.connection = socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE)
        self.send(path, **headers)

    def send(self, path, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{self.method} /v0{path} HTTP/1.1", "Host: localhost", f"X-Airplane-API-Key: {self.key}"]
        lines += [f"{name}: {value}" for name, value in named.items()]
        self.connection.sendall("\r\n".join((*lines, "", "")).encode())

    def reply(self):
        response = HTTPResponse(self.connection, method=self.method)
        response.begin()
        body = response.read()
        return PollReply(response.status, response.headers, body)

    def close(self):
        self.connection.close()


class Polls:
    """Long polls of one server, which are closed in the end."""

    def __init__(self, server, client):
        self.client = client
        self._protocol = server._server.config.http
        self._all = []

    def start(self, path, *, client=None, **headers):
        poll = Poll(client or self.client, path, **headers)
        self._all.append(poll)
        return poll

    def ask(self, path, **headers):
        """Return the reply to a request, and close its connection."""
        with contextlib.closing(Poll(self.client, path, **headers)) as poll:
            return poll.reply()

    @property
    def waiting(self):
        """Number of those that wait in the server."""
        return len(self._protocol.waiting)

    def await_waiting(self, number):
        eventually(lambda: self.waiting == number, _PATIENCE)

    def close(self):
        for poll in self._all:
            poll.close()
