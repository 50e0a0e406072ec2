"""The service under uvicorn, on a thread: for the demo and the tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from refunds.service import create_app


@contextmanager
def serving() -> Generator[tuple[uvicorn.Server, str]]:
    """Serve the application on a free port. Yield the server and its URL, and end it as a SIGTERM would."""
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning", timeout_graceful_shutdown=60))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
