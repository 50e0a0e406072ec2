"""Notifications among servers that share a PostgreSQL database, by LISTEN and NOTIFY.

A thread sends what has been published, many texts at a time and after their transactions: a NOTIFY inside of a
transaction would make all commits wait for one another. It receives on the same connection, which is its own.

A server that has heard no other for long sends nothing (see `audience.py`).

A server hears its own messages, too. From time to time it sends an echo over another connection, and it counts as
listening while it hears that. So it finds out if a connection has broken without a sign, or leads to a pooler that lets
no notifications through.
"""

from __future__ import annotations

import logging
import secrets
import selectors
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from ..logs import describe
from ..notifications import Notifications
from .audience import Audience
from .forking import keep_from_children
from .outbox import Outbox, Texts, decode_message, encode_messages
from .postgresql import PROBES, keep_connections, unless_in_url

logger = logging.getLogger(__name__)

CHANNEL = "runbook_notifications"  # of PostgreSQL; ours are named inside of the messages
ECHOES = ""  # the channel of echoes

_NOTIFY = "SELECT pg_notify(%s, message) FROM unnest(%s::text[]) AS message"
_SPACING = 0.01  # seconds between two sendings, to send more at a time
_ECHO_EVERY = 30.0  # seconds
_ECHO_WITHIN = 5.0
_ECHO_AGAIN, _LATEST_ECHO_AGAIN = 10.0, 300.0  # while no echo is heard
_CONNECT_AGAIN, _LATEST_CONNECT_AGAIN = 0.5, 10.0
_END = 3.0  # seconds to send what is left
APPLICATION = "runbook-notifications"  # name of the connection for those who look at PostgreSQL's
_OPTIONS: dict[str, object] = {
    "application_name": APPLICATION,
    "connect_timeout": 5,
    "client_encoding": "UTF8",
    **PROBES,
}


class PostgresNotifications(Notifications):
    """Notifications among this server and others on the same database. They are exchanged once it is open."""

    def __init__(self, url: sa.URL) -> None:
        super().__init__()
        options = unless_in_url(url, _OPTIONS)
        self._engine = sa.create_engine(
            url, hide_parameters=True, poolclass=sa.NullPool, pool_reset_on_return=None, connect_args=options
        )
        keep_connections(self._engine)
        self._name = secrets.token_hex(8)
        self._outbox: Outbox | None = None
        self._audience = Audience(self._send)
        self._is_listening = False
        self._changing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        keep_from_children(self)

    @property
    def is_complete(self) -> bool:
        """True while this server hears all others."""
        return self._is_listening

    def open(self) -> None:
        """Begin to listen, and to send what is published from now on. Idempotent."""
        with self._changing:
            if self._thread is None and not self._closing.is_set():
                self._outbox = outbox = Outbox()
                self._thread = threading.Thread(
                    target=self._loop, args=(outbox,), name="runbook-notifications", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Send what is left to send, for some seconds at most, and receive no more. Idempotent."""
        with self._changing:
            self._closing.set()
            thread, outbox = self._thread, self._outbox
        if thread is not None and outbox is not None:
            outbox.wake()
            thread.join(_END)

    def in_child(self) -> None:
        """Send and receive nothing in a child, where the thread is missing."""
        self._closing.set()
        self._thread = self._outbox = None
        self._audience = Audience(self._send)
        self._is_listening = False

    def publish(self, channel: str, texts: Collection[str]) -> None:
        """Tell the receivers here at once, and those of other servers soon."""
        super().publish(channel, texts)
        self._audience.tell(channel, texts)

    def _send(self, channel: str, texts: Texts) -> None:
        if (outbox := self._outbox) is not None:
            outbox.add(channel, texts)

    def _loop(self, outbox: Outbox) -> None:
        delay, is_failing = _CONNECT_AGAIN, False
        while not self._closing.is_set():
            try:
                with closing(self._engine.raw_connection()) as raw:
                    link = _Link(
                        raw.driver_connection,
                        self._name,
                        outbox,
                        hear=self._hear,
                        send_echo=self._send_echo,
                        hear_echo=self._hear_echo,
                    )
                    is_failing, delay = False, _CONNECT_AGAIN
                    link.exchange(self._closing)
            except Exception as problem:  # noqa: BLE001 - it must keep trying after any failure
                if not (is_failing or self._closing.is_set()):
                    logger.warning("no notifications of other servers for now: %s", describe(problem))
                is_failing = True
            self._set_listening(listening=False)
            self._closing.wait(delay)
            delay = min(delay * 2, _LATEST_CONNECT_AGAIN)
        self._outbox = None
        outbox.close()

    def _send_echo(self, text: str) -> None:
        with closing(self._engine.raw_connection()) as raw:
            connection: Any = raw.driver_connection
            connection.execute(_NOTIFY, (CHANNEL, list(encode_messages(self._name, ECHOES, [text]))))
            connection.commit()

    def _hear(self, channel: str, texts: Texts) -> None:
        self._audience.heard()
        if channel != ECHOES:
            self.deliver(channel, texts)

    def _hear_echo(self) -> None:
        self._set_listening(listening=True)

    def _set_listening(self, *, listening: bool) -> None:
        if self._is_listening is not listening:
            self._is_listening = listening
            self._audience.set_listening(listening=listening)
            self.deliver_missed()  # what others published before, or publish from now on


class _Link:
    """One connection on which a server sends and receives.

    It calls `hear` for the messages of others, their echoes included, and `hear_echo` for its own echo.
    """

    def __init__(
        self,
        connection: Any,
        name: str,
        outbox: Outbox,
        *,
        hear: Callable[[str, Texts], None],
        send_echo: Callable[[str], None],
        hear_echo: Callable[[], None],
    ) -> None:
        connection.rollback()
        connection.autocommit = True
        connection.prepare_threshold = None  # a pooler may lead the next statement to another session
        connection.add_notify_handler(self._receive_notification)
        self._connection = connection
        self._name = name
        self._outbox = outbox
        self._hear = hear
        self._send_echo = send_echo
        self._hear_echo = hear_echo
        self._is_listening = False
        self._echo: str | None = None  # the one that is awaited
        self._echo_at = time.monotonic()  # when it must have been heard, or when to send the next one
        self._again = _ECHO_AGAIN

    def exchange(self, closing: threading.Event) -> None:
        """Send and receive until the end. Raises if the connection breaks."""
        with selectors.DefaultSelector() as selector:  # not select(), which refuses high numbers of descriptors
            selector.register(self._connection.fileno(), selectors.EVENT_READ)
            selector.register(self._outbox.wakeup, selectors.EVENT_READ)
            while not closing.is_set():
                self._send()
                closing.wait(_SPACING)
                selector.select(self._look_after_echo())
                self._consume()
        self._send()

    def _send(self) -> None:
        taken = self._outbox.take()
        messages = [text for channel, texts in taken.items() for text in encode_messages(self._name, channel, texts)]
        if not messages:
            return
        try:
            self._connection.execute(_NOTIFY, (CHANNEL, messages))
        except BaseException:
            for channel, texts in taken.items():
                self._outbox.add(channel, texts)
            raise

    def _consume(self) -> None:
        link = self._connection.pgconn
        link.consume_input()
        while (notification := link.notifies()) is not None:
            self._receive(notification.extra)

    def _receive_notification(self, notification: Any) -> None:
        self._receive(notification.payload.encode())

    def _receive(self, message: bytes) -> None:
        decoded = decode_message(message)
        if decoded is None:
            return
        sender, channel, texts = decoded
        if sender != self._name:
            self._hear(channel, texts)
        elif channel == ECHOES and self._echo in (texts or ()):
            self._is_listening, self._echo, self._again = True, None, _ECHO_AGAIN
            self._echo_at = time.monotonic() + _ECHO_EVERY
            self._hear_echo()

    def _look_after_echo(self) -> float:
        """Send an echo if it is time for one; return the seconds until the next look. Raises TimeoutError."""
        moment = time.monotonic()
        if moment < self._echo_at:
            return self._echo_at - moment
        if self._echo is not None:
            if self._is_listening:
                raise TimeoutError("PostgreSQL does not send them any more")
            self._connection.execute("UNLISTEN *")
            if self._again == _ECHO_AGAIN:
                logger.warning("PostgreSQL sends no notifications through this connection: the database is polled")
            self._echo, self._echo_at = None, moment + self._again
            self._again = min(self._again * 2, _LATEST_ECHO_AGAIN)
            return self._again
        if not self._is_listening:
            self._connection.execute(f"LISTEN {CHANNEL}")
        self._echo, self._echo_at = secrets.token_hex(4), moment + _ECHO_WITHIN
        self._send_echo(self._echo)
        return _ECHO_WITHIN
