"""Targets outside that are told of events: webhooks and channels of Slack."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from ... import webhooks
from ...http import Headers, Request
from ...options import is_loopback
from ...version import __version__
from ...webhooks.signing import Secrets, SigningKeys, signed_headers
from ..storage.records import Delivery
from .slack import slack_message

EVERY_EVENT = tuple(webhooks.EventType)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+")
_HEADERS = {
    "content-type": "application/json",
    "user-agent": f"airplane-runbooks/{__version__}",
    "accept": "*/*",
    "accept-encoding": "identity",
}


class Target(ABC):
    """Receiver of events. Its URL and its secrets are shown nowhere.

    Attributes:
        name: Name by which its deliveries are kept and shown. Under the same name, it may move to another URL.
        events: Types of the events that it is told of.
    """

    kind: ClassVar[str]

    def __init__(self, url: str, name: str, events: Collection[str]) -> None:
        try:
            self._origin, self._path = _split(url, self.kind)
        finally:
            del url  # a traceback that shows local variables must not show it
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"the name of a {self.kind} has at most 60 letters, digits, spaces, dots and hyphens")
        self.name = name
        self.events = _checked_events(events, name)

    def request(self, delivery: Delivery, timestamp: int) -> Request:
        """Return the request of an attempt to send a delivery at this time, in seconds since 1970."""
        body, headers = self._message(delivery, timestamp)
        return _HiddenRequest(
            method="POST",
            origin=self._origin,
            target=self._path,
            headers=Headers({**_HEADERS, **headers}),
            body=body,
            operation=f"the request to {self.name}",
        )

    def is_like(self, other: Target) -> bool:
        """Tell whether both send the same to the same URL, though perhaps not of the same events."""
        return type(self) is type(other) and (self._origin, self._path) == (other._origin, other._path)

    @abstractmethod
    def _message(self, delivery: Delivery, timestamp: int) -> tuple[bytes, Mapping[str, str]]: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'name', '')!r}>"


class Webhook(Target):
    """A URL that gets events as JSON, signed by the form of Standard Webhooks.

    `airplane_runbooks.webhooks.verify` is for its receiver. Raises ValueError and ConfigurationError, which show
    neither the URL nor the secret, if one of them cannot be used.

    Args:
        url: An https URL; http only to this machine.
        secret: The secret, `whsec_` and the base64 of 24 to 64 random bytes. While it is replaced, pass the new one and
            the old one: messages are signed by both.
        name: Name by which its deliveries are kept and shown. It has to differ from those of all other targets.
        events: Types of the events to be told of.
    """

    kind = "webhook"

    def __init__(
        self, url: str, *, secret: Secrets, name: str = "webhook", events: Collection[str] = EVERY_EVENT
    ) -> None:
        try:
            super().__init__(url, name, events)
            self._keys = SigningKeys(secret)
        finally:
            del url, secret  # a traceback that shows local variables must not show them

    def is_like(self, other: Target) -> bool:
        """Tell whether both send the same to the same URL, with the same secrets."""
        return (
            super().is_like(other)
            and isinstance(other, Webhook)
            and self._keys.signatures("", 0, b"") == other._keys.signatures("", 0, b"")  # noqa: SLF001 - of our own class
        )

    def _message(self, delivery: Delivery, timestamp: int) -> tuple[bytes, Mapping[str, str]]:
        headers = signed_headers(delivery.body, self._keys, message_id=delivery.id, timestamp=timestamp)
        return delivery.body, headers


class Slack(Target):
    """An incoming webhook of Slack, which posts events in its channel. Raises ValueError, which does not show the URL.

    Args:
        url: The URL that Slack has given out. It is a secret.
        name: Name by which its deliveries are kept and shown. It has to differ from those of all other targets.
        events: Types of the events to be told of.
    """

    kind = "Slack"

    def __init__(self, url: str, *, name: str = "slack", events: Collection[str] = EVERY_EVENT) -> None:
        try:
            super().__init__(url, name, events)
        finally:
            del url  # a traceback that shows local variables must not show it

    def _message(self, delivery: Delivery, timestamp: int) -> tuple[bytes, Mapping[str, str]]:
        del timestamp  # Slack asks for no signature
        return slack_message(delivery.body), {}


class _HiddenRequest(Request, frozen=True, kw_only=True, eq=False):
    """A request whose URL is a secret."""

    def __repr__(self) -> str:
        return f"<{self.operation}>"


def by_name(targets: Iterable[Target]) -> dict[str, Target]:
    """Return targets by their names. Raises TypeError for other things, ValueError if two share a name."""
    found: dict[str, Target] = {}
    for target in targets:
        if not isinstance(target, Target):
            raise TypeError(f"notify holds Webhook and Slack, not {type(target).__name__}")
        if not found.setdefault(target.name, target).is_like(target):
            raise ValueError(f"two targets of notify have the name {target.name!r}: give each a name= of its own")
    return found


def checked_targets(targets: object) -> tuple[Target, ...]:
    """Return the targets of a setting `notify`. Raises TypeError, and ValueError if two share a name."""
    if not isinstance(targets, list | tuple):
        raise TypeError("notify is a list of Webhook and Slack")
    return tuple(by_name(targets).values())


def _split(url: object, kind: str) -> tuple[str, str]:
    """Return the origin and the path of a URL. Raises ValueError, which does not show it."""
    parts = _parts(url)
    del url
    if parts is None:
        raise ValueError(
            f"the URL of a {kind} must be an https URL in ASCII, or an http URL of this machine, without user info and "
            "fragment"
        )
    return parts


def _parts(url: object) -> tuple[str, str] | None:
    """Return the origin and the path of a URL; None if it cannot be used."""
    if not isinstance(url, str) or not _VISIBLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not is_safe or not host or parts.username is not None or parts.fragment:
        return None
    shown = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _checked_events(events: object, name: str) -> frozenset[str]:
    if isinstance(events, str) or not isinstance(events, Collection):
        raise TypeError(f"the events of {name!r} are a list of types of events")
    unknown = [event for event in events if event not in EVERY_EVENT]
    if unknown or not events:
        raise ValueError(f"the events of {name!r} are some of {', '.join(EVERY_EVENT)}, not {unknown or 'none'}")
    return frozenset(str(event) for event in events)


class TargetsOfServer(msgspec.Struct, frozen=True):
    """Targets of all runbooks, and those of single ones by the IDs of these."""

    of_all: tuple[Target, ...]
    of_runbooks: Mapping[str, tuple[Target, ...]]

    @property
    def by_name(self) -> dict[str, Target]:
        """All of them by their names. Raises ValueError if two share a name."""
        return by_name([*self.of_all, *(target for targets in self.of_runbooks.values() for target in targets)])

    def of(self, runbook_id: str, event_type: str) -> Collection[Target]:
        """Return the targets that are told of an event of a runbook, each once."""
        both = (*self.of_all, *self.of_runbooks.get(runbook_id, ()))
        return {target.name: target for target in both if event_type in target.events}.values()
