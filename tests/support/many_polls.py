"""Program that sends many requests to a server, each on a connection of its own, and then reads all replies.

Arguments: host and port. The request comes on stdin, up to an empty line. Then each line is the number of repetitions
to be sent next, which are answered by a line; so the sender does not get ahead of the server. After a zero it prints
the number of replies by their status, as JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from collections import Counter


def main(host: str, port: str) -> None:
    """Send, and read until each connection has a reply or is closed."""
    request = "\r\n".join((*iter(lambda: sys.stdin.readline().strip(), ""), "", "")).encode()
    connections = []
    while number := int(sys.stdin.readline()):
        for _ in range(number):
            connection = socket.create_connection((host, int(port)), timeout=60)
            connection.sendall(request)
            connections.append(connection)
        say("sent")
    replies: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while len(replies) < len(connections):
            for key, _ in selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                try:
                    replies[connection] = connection.recv(65536)
                except ConnectionError:
                    replies[connection] = b""
                selector.unregister(connection)
    statuses = Counter(reply[9:12].decode() or "none" for reply in replies.values())
    closing = sum(b"\r\nconnection: close\r\n" in reply for reply in replies.values())
    say(json.dumps({"statuses": statuses, "closing": closing}))


def say(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
