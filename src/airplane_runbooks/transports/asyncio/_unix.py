"""Routes from an event loop to Unix-domain sockets."""

from __future__ import annotations

import asyncio

from .._unix_sockets import HOST, RETRY_DELAY, is_connected, new_socket, not_connected
from ._connection import Connection


class UnixRoute:
    """The way to a server on this machine, by the path of its socket.

    Attributes:
        host: Value of the header `Host`.
        forwarder: None, for no proxy is on the way.
    """

    host = HOST
    forwarder = None

    def __init__(self, path: str) -> None:
        self._path = path

    async def connect(self) -> Connection:
        """Connect. An error here means that no byte of a request was sent."""
        try:
            return await self._connect()
        except OSError as failure:
            raise not_connected(self._path, failure) from failure

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        sock = new_socket()
        try:
            while not is_connected(sock, self._path):  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(RETRY_DELAY)
            connection = Connection(loop, sock)
            await loop.create_unix_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection
