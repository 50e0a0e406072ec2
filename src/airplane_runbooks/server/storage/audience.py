"""The audience of a server's notifications: while no other server listens, none need to be sent.

All servers send an echo from time to time while they listen, and one before they begin to rely on what they hear. So a
server that has listened for long, and has heard of no other, has no audience. As soon as it hears of one, it says that
some notifications may have been missed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from .outbox import Texts

MEMORY = 90.0  # seconds for which a server counts as present after it was heard: it should send three echoes in them


class Audience:
    """The servers that others may hear. `send` sends texts of a channel, or None if some may have been missed."""

    def __init__(self, send: Callable[[str, Texts], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._present_until = math.inf  # while this server itself does not hear whether there are others
        self._withheld: set[str] = set()  # channels

    def tell(self, channel: str, texts: Texts) -> None:
        """Send texts if a server may hear them."""
        with self._lock:
            if time.monotonic() < self._present_until:
                self._send(channel, texts)
            else:
                self._withheld.add(channel)

    def heard(self) -> None:
        """Note that another server was heard."""
        if self._present_until < math.inf:
            self._expect(time.monotonic() + MEMORY)

    def set_listening(self, *, listening: bool) -> None:
        """Note whether this server hears the others from now on."""
        self._expect(time.monotonic() + MEMORY if listening else math.inf)

    def _expect(self, present_until: float) -> None:
        with self._lock:
            self._present_until = present_until
            for channel in self._withheld:
                self._send(channel, None)
            self._withheld.clear()
