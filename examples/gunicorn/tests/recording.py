"""An API that notes on which connection each of its requests has come."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Recording(ThreadingHTTPServer):
    """Answers the calls of the service, and refuses the order `refused`.

    Attributes:
        orders_of: Orders that have come, by connection. The one for the check at the start has none.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.orders_of: defaultdict[int, list[str]] = defaultdict(list)
        super().__init__(("127.0.0.1", 0), partial(Handler, self.orders_of))
        self.base_url = f"http://127.0.0.1:{self.server_port}/v0"


class Handler(BaseHTTPRequestHandler):
    """Handles one connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, orders_of: defaultdict[int, list[str]], *arguments: Any) -> None:
        self.orders_of = orders_of
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.orders_of[id(self)] = []
        self.reply(200, {"runbooks": [{"id": "rbk1", "slug": "refund"}]})

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paramValues"]["order"]
        self.orders_of[id(self)].append(order)
        if order == "refused":
            self.reply(400, {"error": "no such order"})
        else:
            self.reply(200, {"sessionID": f"ses-{order}"})

    def reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def recording() -> Generator[Recording]:
    """Run the API on a free port of loopback."""
    with Recording() as api:
        thread = Thread(target=api.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()
