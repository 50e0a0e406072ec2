"""A WSGI service that starts a refund for each `POST /refunds/ORDER`: `gunicorn shop.service:app`.

gunicorn imports this module before it forks. The client that is made here, and its open connection, are inherited by
all workers: each of them opens connections of its own, and never touches its parent's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from airplane_runbooks import Airplane, AirplaneError, CallOptions, DeadlineExceeded

PATH = re.compile(r"/refunds/([A-Za-z0-9-]{1,64})", re.ASCII)

airplane = Airplane(timeout=10)  # reads AIRPLANE_API_KEY and AIRPLANE_API_HOST

# Not needed for a fork: a wrong key, address or deployment ends the start here, and not the first request.
if "refund" not in {runbook.slug for runbook in airplane.runbooks.list()}:
    raise SystemExit("the server of runbooks has no runbook `refund`")


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request: with the session that it has started and the worker that did, or with an error."""
    status, reply = handle(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    body = json.dumps(reply).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def handle(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """Return the status and the reply to a request."""
    found = PATH.fullmatch(path)
    if found is None:
        return "404 Not Found", {"error": "the only path is /refunds/ORDER"}
    if method != "POST":
        return "405 Method Not Allowed", {"error": "POST starts a refund"}
    # The key comes from the order. So a caller may repeat a request whose answer is lost, on any worker.
    options = CallOptions(idempotency_key=f"refund-{found[1]}")
    try:
        started = airplane.runbooks.execute("refund", {"order": found[1]}, options=options)
    except DeadlineExceeded as error:
        return "504 Gateway Timeout", {"error": str(error)}
    except AirplaneError as error:
        return "502 Bad Gateway", {"error": str(error)}
    return "202 Accepted", {"session": started.session_id, "worker": os.getpid()}
