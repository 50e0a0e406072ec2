"""Headers by which a caller waits for a change: Prefer (RFC 7240) and If-None-Match (RFC 9110). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

LONGEST_WAIT = 30  # seconds; proxies often give up after a minute

_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')  # between commas that are not quoted
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PREFERENCE = re.compile(rf'[ \t]*({_WORD})(?:[ \t]*=[ \t]*({_WORD}|"[^"\\]*"))?[ \t]*(?:;.*)?')
_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def preferred_wait(prefer: Iterable[str]) -> int | None:
    """Return the seconds, at most `LONGEST_WAIT`, for which the values of Prefer ask to wait; None if they do not.

    Only the first `wait` counts. One that is not a number of seconds is ignored, as are unknown preferences.
    """
    for part in (part for value in prefer for part in _PART.findall(value)):
        preference = _PREFERENCE.fullmatch(part)
        if preference is not None and preference[1].lower() == "wait":
            seconds = (preference[2] or "").strip('"')
            return _bounded(seconds) if seconds.isascii() and seconds.isdigit() else None
    return None


def _bounded(seconds: str) -> int:
    return min(int(seconds.lstrip("0")[:9] or "0"), LONGEST_WAIT)


class EntityTags(NamedTuple):
    """The entity tags of If-None-Match; `any` stands for all of them."""

    opaque: Collection[str]
    any: bool = False

    def match(self, etag: str) -> bool:
        """Compare weakly with an entity tag."""
        return self.any or etag.removeprefix("W/").strip('"') in self.opaque


def known_tags(if_none_match: Iterable[str]) -> EntityTags | None:
    """Return the entity tags among the values of If-None-Match; None if there is none."""
    text = ",".join(if_none_match)
    if text.strip() == "*":
        return EntityTags((), any=True)
    tags = tuple(_ENTITY_TAG.findall(text))  # of one tag, as is usual, it takes less memory than a set
    return EntityTags(tags) if tags else None
