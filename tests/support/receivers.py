"""A receiver of webhooks on loopback, which answers as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from .timing import PATIENCE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Message(NamedTuple):
    """A request that has arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The ID of the message."""
        return self.headers["webhook-id"]


class HookReceiver:
    """A receiver inside of a `with` statement.

    Attributes:
        answers: Status and headers of the next replies; 204 once there are no more.
        messages: All requests so far.
    """

    def __init__(self, answers: Sequence[tuple[int, Mapping[str, str]]] = ()) -> None:
        self.answers = list(answers)
        self.messages: list[Message] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/hook/a-secret-path?key=a-secret-key"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, count: int) -> list[Message]:
        """Return the messages once there are so many."""
        return self.wait_until(lambda messages: len(messages) >= count)

    def wait_until(self, predicate: Callable[[list[Message]], object]) -> list[Message]:
        """Return the messages once the predicate holds of them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: predicate(self.messages), PATIENCE):
                raise TimeoutError(f"only {len(self.messages)} messages have arrived")
            return list(self.messages)

    def _take(self, message: Message) -> tuple[int, Mapping[str, str]]:
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()
            return self.answers.pop(0) if self.answers else (204, {})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = take(Message(self.path, headers, body))
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
