"""Routes to Unix-domain sockets, which urllib3 has no part in."""

from __future__ import annotations

import socket
import time

from ...errors import AttemptTimeout
from .._deadline import Deadline
from .._unix_sockets import RETRY_DELAY, is_connected, new_socket, not_connected


class UnixRoute:
    """Route to a server on this machine, by the path of its socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def connect(self, deadline: Deadline) -> socket.socket:
        """Return a connected socket. An error means that no request was sent."""
        try:
            return self._connect(deadline)
        except TimeoutError:
            raise AttemptTimeout("no time left while connecting", sent=False) from None
        except OSError as failure:
            raise not_connected(self._path, failure) from failure

    def _connect(self, deadline: Deadline) -> socket.socket:
        sock = new_socket()
        try:
            deadline.hold(sock)
            while not is_connected(sock, self._path):
                _pause(deadline)
        except BaseException:
            sock.close()
            raise
        return sock

    def remember_session(self, sock: object) -> None:
        """Do nothing: without TLS, there is no session to resume."""


def _pause(deadline: Deadline) -> None:
    if deadline.has_passed:
        raise TimeoutError
    time.sleep(RETRY_DELAY)
