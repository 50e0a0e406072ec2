"""Notifications: short texts by which the parts of a server tell one another, and other servers, of what has happened.

A channel is a kind of notification. Its receivers are called with the texts that were published in it, on any thread
and soon, but not reliably: servers that share a database lose what is published while they cannot hear each other.
Receivers are told when that may have happened, and read the store then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

LONGEST_TEXT = 200  # bytes in UTF-8

Receiver = Callable[[Collection[str] | None], None]
"""Function that gets the published texts, or None if some may have been missed. It must return at once."""


class Notifications:
    """Notifications within one process. Thread-safe."""

    def __init__(self) -> None:
        self._receivers: dict[str, tuple[Receiver, ...]] = {}
        self._subscribing = threading.Lock()

    @property
    def is_complete(self) -> bool:
        """True while receivers are told of all that is published, also by other servers."""
        return True

    def open(self) -> None:
        """Begin to exchange notifications with other servers. Idempotent."""

    def close(self) -> None:
        """Send what is left to send, and receive no more. Idempotent."""

    def subscribe(self, channel: str, receiver: Receiver) -> Callable[[], None]:
        """Call the receiver from now on; return a function that ends this."""
        with self._subscribing:
            self._receivers[channel] = (*self._receivers.get(channel, ()), receiver)

        def unsubscribe() -> None:
            with self._subscribing:
                left = tuple(other for other in self._receivers[channel] if other is not receiver)
                self._receivers[channel] = left

        return unsubscribe

    def publish(self, channel: str, texts: Collection[str]) -> None:
        """Tell the receivers of a channel, here and elsewhere. Equal texts may arrive as one.

        Raises ValueError for a text of more than `LONGEST_TEXT` bytes.
        """
        if any(len(text.encode()) > LONGEST_TEXT for text in texts):
            raise ValueError(f"the text of a notification has at most {LONGEST_TEXT} bytes")
        self.deliver(channel, texts)

    def deliver(self, channel: str, texts: Collection[str] | None) -> None:
        """Call the receivers of a channel in this process."""
        for receiver in self._receivers.get(channel, ()):
            receiver(texts)

    def deliver_missed(self) -> None:
        """Tell all receivers that some notifications may have been missed."""
        for channel in list(self._receivers):
            self.deliver(channel, None)
