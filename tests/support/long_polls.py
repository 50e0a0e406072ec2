"""A server on a real socket that applies `Prefer: wait` to its only session."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airplane_runbooks.testing.hostile import HostileServer, Peer, reply

_WAIT = re.compile(rb"\r\nprefer: wait=(\d+)", re.IGNORECASE)
_ETAG = re.compile(rb'\r\nif-none-match: "(\w+)"', re.IGNORECASE)


class Telling:
    """The session, and the requests for it.

    Attributes:
        longest: Seconds for which the server waits at most, even if a request allows more.
        polls: The seconds that each request allowed, 0 for an ordinary poll; in the order of their coming.
        statuses: HTTP statuses of the replies to them.
    """

    def __init__(self, longest: float = 60.0) -> None:
        self.longest = longest
        self.polls: list[int] = []
        self.statuses: list[int] = []
        self._status = b"Active"
        self._changed = threading.Condition()

    def become(self, status: bytes) -> None:
        """Change the status of the session, and answer the long polls."""
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def wait_for_polls(self, are_there: Callable[[list[int]], bool]) -> None:
        """Wait until the polls that have come are as they should be."""
        with self._changed:
            assert self._changed.wait_for(lambda: are_there(self.polls), 60)

    def serve(self, peer: Peer) -> None:
        """Answer the requests of one connection."""
        while request := peer.read_request():
            if request.startswith(b"POST"):
                peer.send(reply(b'{"sessionID":"ses1"}'))
            else:
                self._tell(peer, request)

    def _tell(self, peer: Peer, request: bytes) -> None:
        allowed, known = _WAIT.search(request), _ETAG.search(request)
        seconds = int(allowed[1]) if allowed else 0
        with self._changed:
            self.polls.append(seconds)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_news(known), min(seconds, self.longest))
            status, is_known = self._status, known is not None and known[1] == self._status
            self.statuses.append(304 if is_known else 200)
        headers = b'etag: "%s"\r\n' % status
        if seconds:
            headers += b"preference-applied: wait=%d\r\n" % min(seconds, self.longest)
        if is_known:
            peer.send(b"HTTP/1.1 304 Not Modified\r\n" + headers + b"\r\n")
        else:
            peer.send(reply(b'{"id":"ses1","status":"%s"}' % status, headers=headers))

    def _is_news(self, known: re.Match[bytes] | None) -> bool:
        return self._status != (b"Active" if known is None else known[1])


@contextmanager
def telling(longest: float = 60.0) -> Iterator[tuple[Telling, HostileServer]]:
    """Serve a session whose changes the server tells."""
    told = Telling(longest)
    with HostileServer(told.serve) as server:
        try:
            yield told, server
        finally:
            told.become(b"Failed")  # lets the threads of the server end
