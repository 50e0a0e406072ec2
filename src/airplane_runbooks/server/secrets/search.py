"""A search for any of many texts in one pass, by a regex in which texts share their common beginnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_DEEPEST = 20  # groups inside of groups: Python's parser of regexes is recursive


def any_of(sequences: Iterable[Sequence[str]], room: int = _DEEPEST) -> str:
    """Return a regex for any of these sequences of regexes, each for one character or so; the longest wins."""
    several = sorted(set(map(tuple, sequences)), key=len, reverse=True)
    shared = _shared(min(several), max(several))
    prefix, rests = "".join(several[0][:shared]), [sequence[shared:] for sequence in several]
    beginnings: dict[str, list[Sequence[str]]] = {}
    for rest in filter(None, rests):
        beginnings.setdefault(rest[0], []).append(rest)
    if not beginnings:
        return prefix
    if room:
        choices = [any_of(alike, room - 1) for alike in beginnings.values()]
    else:
        choices = ["".join(rest) for rest in rests if rest]
    return f"{prefix}(?:{'|'.join(choices)})" + ("?" if () in rests else "")


def _shared(low: Sequence[str], high: Sequence[str]) -> int:
    """Count the regexes that two sequences, and all that are sorted between them, share at their beginning."""
    return next((n for n, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
