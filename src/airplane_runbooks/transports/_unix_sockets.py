"""Connecting to Unix-domain sockets."""

from __future__ import annotations

import errno
import os
import socket

from ..errors import ConnectError

# Value of the header Host: the path of a socket cannot stand in it.
HOST = "localhost"

# Seconds until a full queue of a server is tried again, for the system does not tell when it has room.
RETRY_DELAY = 0.01


def new_socket() -> socket.socket:
    """Return a socket that does not block. Raises OSError, also on systems that have none of this family."""
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(0)
    return sock


def is_connected(sock: socket.socket, path: str) -> bool:
    """Connect a socket, and return False if the server's queue of new connections is full."""
    try:
        sock.connect(path)
    except BlockingIOError:
        return False
    return True


def not_connected(path: str, failure: OSError) -> ConnectError:
    """Return the error of a request for which no connection could be made. It names the socket."""
    is_transient = failure.errno != errno.EAFNOSUPPORT
    return ConnectError(f"no connection to {path}: {failure.strerror or failure}", transient=is_transient)
