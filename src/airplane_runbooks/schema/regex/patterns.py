"""The common part of RE2's syntax, read into the states of a machine that matches it. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

MAX_PATTERN = 5_000  # characters
MAX_SIZE = 5_000  # steps of building, which bound the states and the ways between them
MAX_NESTING = 30  # groups in groups
MAX_REPEAT = 1_000  # RE2's own bound

_FLAGS = re.compile(r"(?:\(\?([ims]+)\))?")
_GROUP = re.compile(r"\((?!\?)|\(\?:|\(\?P?<\w+>", re.ASCII)
_REPEAT = re.compile(r"(?:[*+?]|\{([0-9]+)(,?)([0-9]*)\})\??")
_CHARACTER = re.compile(r"\\x[0-9A-Fa-f]{2}|\\x\{[0-9A-Fa-f]{1,6}\}|\\[^x]|[^\\]", re.DOTALL)

_COUNTS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# As Python's in ASCII, but for the vertical tab, which RE2 does not count as space.
_SETS = {
    **{name: name for name in (r"\d", r"\D", r"\w", r"\W")},
    r"\s": r"\t\n\f\r ",
    r"\S": r"\x00-\x08\x0b\x0e-\x1f!-\U0010ffff",
}


class State:
    """A place in a pattern: it takes a character, or holds between two, or just forks; the last one leads nowhere."""

    __slots__ = ("after", "holds", "takes")

    def __init__(self, after: list[State], takes: Test | None = None, holds: Place | None = None) -> None:
        self.after = after
        self.takes = takes
        self.holds = holds


Test: TypeAlias = Callable[[str], object]  # of a character
Place: TypeAlias = Callable[[str, str], bool]  # of what stands before and after; empty at the ends of the text
Build: TypeAlias = Callable[[State], State]  # makes the states of a part, given those of what follows


class Program(NamedTuple):
    """A pattern made ready. `start` is None for a pattern that this module does not know."""

    start: State | None
    size: int
    folds: bool = False


def is_word(char: str) -> bool:
    """Return True for a character of a word, as in RE2 only in ASCII. The empty string is not one."""
    return char.isascii() and (char.isalnum() or char == "_")


_PLACES: dict[str, Place] = {
    "^": lambda before, _: not before,
    "$": lambda _, after: not after,
    r"\A": lambda before, _: not before,
    r"\z": lambda _, after: not after,
    r"\b": lambda before, after: is_word(before) != is_word(after),
    r"\B": lambda before, after: is_word(before) == is_word(after),
}
_PLACES_IN_LINES: dict[str, Place] = {
    **_PLACES,
    "^": lambda before, _: before in ("", "\n"),
    "$": lambda _, after: after in ("", "\n"),
}


@lru_cache(64)
def compiled(pattern: str) -> Program:
    """Return the program of a pattern of at most `MAX_PATTERN` characters."""
    parser = _Parser(pattern)
    try:
        start = parser.parse()
    except ValueError:
        return Program(None, parser.size)
    return Program(start, parser.size, folds=bool(parser.flags & re.IGNORECASE))


@lru_cache(1024)
def _test(member: str, flags: int) -> Test:
    return re.compile(member, flags | re.ASCII).match


class _Parser:
    """Parser of a pattern. Raises ValueError for all that it does not know, even if RE2 does."""

    def __init__(self, pattern: str) -> None:
        flags = _FLAGS.match(pattern)
        self.flags = sum(getattr(re, letter.upper()) for letter in set((flags and flags[1]) or ""))
        self.size = 0
        self._pattern = pattern
        self._at = flags.end() if flags else 0
        self._nesting = 0

    def parse(self) -> State:
        build = self._alternatives()
        if self._at < len(self._pattern):
            raise ValueError("a group is closed that was not opened")
        return build(State([]))

    def _alternatives(self) -> Build:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        return lambda after: self._state([branch(after) for branch in branches])

    def _sequence(self) -> Build:
        parts: list[Build] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._repeated(self._part()))
        parts.reverse()

        def build(after: State) -> State:
            self._spend(1 + len(parts))
            for part in parts:
                after = part(after)
            return after

        return build

    def _part(self) -> Build:
        """Read a group, a class, an anchor or a character."""
        if group := _GROUP.match(self._pattern, self._at):
            self._at = group.end()
            return self._group()
        if self._take("["):
            return self._taking(self._class())
        if self._pattern[self._at] == "(" or _REPEAT.match(self._pattern, self._at):
            raise ValueError("an unknown kind of group, or nothing to repeat")
        symbol = self._symbol()
        if symbol in _PLACES:
            return self._holding(symbol)
        if symbol == ".":
            return self._taking(symbol)
        return self._taking(f"[{_SETS.get(symbol) or re.escape(self._literal(symbol))}]")

    def _group(self) -> Build:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise ValueError("too many groups in groups")
        build = self._alternatives()
        if not self._take(")"):
            raise ValueError("a group is not closed")
        self._nesting -= 1
        return build

    def _class(self) -> str:
        members = "^" if self._take("^") else ""
        while True:
            members += self._member()  # a bracket that comes first is one
            if self._take("]"):
                return f"[{members}]"

    def _member(self) -> str:
        symbol = self._symbol()
        if symbol in _SETS:
            return _SETS[symbol]
        if symbol == "[" and self._pattern.startswith(":", self._at):
            raise ValueError("a named class")
        first = last = self._literal(symbol)
        if self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
            self._at += 1
            last = self._literal(self._symbol())
        if last < first:
            raise ValueError("a range that runs backward")
        return f"{re.escape(first)}-{re.escape(last)}"

    def _taking(self, member: str) -> Build:
        takes = _test(member, self.flags & (re.IGNORECASE | re.DOTALL))
        return lambda after: self._state([after], takes)

    def _holding(self, symbol: str) -> Build:
        if self.flags & re.IGNORECASE and symbol in (r"\b", r"\B"):
            raise ValueError("the end of a word does not show in a text whose case is folded")
        holds = (_PLACES_IN_LINES if self.flags & re.MULTILINE else _PLACES)[symbol]
        return lambda after: self._state([after], holds=holds)

    def _repeated(self, build: Build) -> Build:
        found = _REPEAT.match(self._pattern, self._at)
        if not found:
            return build
        self._at = found.end()
        if _REPEAT.match(self._pattern, self._at):
            raise ValueError("a repetition is repeated")
        low, high = _COUNTS.get(found[0][0]) or _bounds(*found.groups())
        if high is None:
            return lambda after: self._endless(build, low, after)
        return lambda after: self._copies(build, low, high - low, after)

    def _endless(self, build: Build, low: int, after: State) -> State:
        turn = self._state([])
        first = build(turn)
        turn.after = [first, after]
        return self._copies(build, low - 1, 0, first) if low else turn

    def _copies(self, build: Build, needed: int, optional: int, after: State) -> State:
        entry = after
        for _ in range(optional):
            entry = self._state([build(entry), after])
        for _ in range(needed):
            self._spend(1)
            entry = build(entry)
        return entry

    def _literal(self, symbol: str) -> str:
        """Return the character that a symbol stands for."""
        char = symbol[-1]
        if symbol.startswith(r"\x"):
            char = chr(int(symbol[2:].strip("{}"), 16))
        elif len(symbol) > 1 and (char.isalnum() or not char.isascii()):
            char = _CONTROLS.get(char, "")
        if not char or (self.flags & re.IGNORECASE and not char.isascii()):
            raise ValueError("an unknown escape, or a letter whose cases are not known here")
        return char

    def _symbol(self) -> str:
        found = _CHARACTER.match(self._pattern, self._at)
        if not found:
            raise ValueError("the pattern ends too early")
        self._at = found.end()
        return found[0]

    def _take(self, char: str) -> bool:
        taken = self._pattern.startswith(char, self._at)
        self._at += taken
        return taken

    def _state(self, after: list[State], takes: Test | None = None, holds: Place | None = None) -> State:
        self._spend(1)
        return State(after, takes, holds)

    def _spend(self, steps: int) -> None:
        self.size += steps
        if self.size > MAX_SIZE:
            raise ValueError("too large")


def _bounds(low: str, comma: str, high: str) -> tuple[int, int | None]:
    least = _count(low)
    most = (_count(high) if high else None) if comma else least
    if most is not None and most < least:
        raise ValueError("more at least than at most")
    return least, most


def _count(digits: str) -> int:
    count = int(digits)
    if count > MAX_REPEAT or str(count) != digits:
        raise ValueError("a count that RE2 does not take")
    return count
