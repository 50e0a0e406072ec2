"""Messages that wait to be sent to other servers: gathered by many threads, and taken by one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

import msgspec

MOST_TEXTS = 10_000  # of a channel; beyond them, receivers are told that they have missed some
LONGEST_MESSAGE = 7_000  # bytes, of the 7,999 that NOTIFY takes

Texts = Collection[str] | None


class Outbox:
    """The messages of one server.

    Attributes:
        wakeup: Socket that can be read from as soon as there is something to take.
    """

    def __init__(self) -> None:
        self.wakeup, self._waker = socket.socketpair()
        self.wakeup.settimeout(0)
        self._waker.settimeout(0)
        self._lock = threading.Lock()
        self._texts: dict[str, dict[str, None] | None] = {}

    def add(self, channel: str, texts: Texts) -> None:
        """Add texts of a channel; None if its receivers are to be told that they have missed some."""
        with self._lock:
            is_first = not self._texts
            held = self._texts.setdefault(channel, {})
            if held is not None and texts is not None:
                held.update(dict.fromkeys(texts))
            if texts is None or (held is not None and len(held) > MOST_TEXTS):
                self._texts[channel] = None
        if is_first:
            self.wake()

    def wake(self) -> None:
        """Wake the thread that takes."""
        with suppress(OSError):  # it is awake already, or has ended
            self._waker.send(b"\0")

    def take(self) -> Mapping[str, Texts]:
        """Return what has been added, by its channel."""
        with suppress(BlockingIOError):
            while self.wakeup.recv(1024):
                pass
        with self._lock:
            taken, self._texts = self._texts, {}
        return taken

    def close(self) -> None:
        """Close the sockets."""
        self.wakeup.close()
        self._waker.close()


def encode_messages(sender: str, channel: str, texts: Texts) -> Iterator[str]:
    """Yield the messages by which a sender tells others of these texts, each short enough for NOTIFY."""
    if texts is None:
        yield _encoded(sender, channel, None)
        return
    group: list[str] = []
    size = 0
    for text in texts:
        length = len(msgspec.json.encode(text)) + 1
        if size + length > LONGEST_MESSAGE:
            yield _encoded(sender, channel, group)
            group, size = [], 0
        group.append(text)
        size += length
    yield _encoded(sender, channel, group)


def decode_message(message: bytes) -> tuple[str, str, Texts] | None:
    """Return the sender, the channel and the texts of a message; None if another program has sent it."""
    try:
        return msgspec.json.decode(message, type=tuple[str, str, list[str] | None])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _encoded(sender: str, channel: str, texts: Texts) -> str:
    return msgspec.json.encode((sender, channel, texts)).decode()
