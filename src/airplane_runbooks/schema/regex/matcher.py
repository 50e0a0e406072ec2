"""Whole matches of regular expressions in RE2's syntax, in linear time. Pure: no I/O.

Neither the pattern, which comes from a server, nor the text may decide how long a match takes. Python's `re`
backtracks, for years in the worst case, and cannot be interrupted. Here all ways through a text are followed at once
(Thompson's simulation), and every step is remembered. Only single characters are left to `re`.
"""

from __future__ import annotations

from itertools import chain
from typing import TypeAlias

from .patterns import (
    MAX_PATTERN,
    Program,
    State,
    compiled,
    is_word,
)

MAX_WORK = 500_000  # states built or looked at: some tenths of a second

_Step: TypeAlias = tuple[frozenset[State], str]


class Matcher:
    """Matches texts as a whole, all of them within one bound on the work."""

    def __init__(self) -> None:
        self._work = MAX_WORK
        self._programs: dict[str, Program] = {}
        self._steps: dict[tuple[frozenset[State], str, str], _Step] = {}
        self._sets: dict[frozenset[State], frozenset[State]] = {}  # equal ones as one, which is found without comparing

    def full_match(self, pattern: str, text: str) -> bool | None:
        """Return True if the whole text matches, None beyond the bounds or the syntax that `patterns` knows."""
        program = self._programs.get(pattern) or self._prepare(pattern)
        if program is None or program.start is None:
            return None
        if program.folds:  # the two characters outside of ASCII that are cases of ASCII letters
            text = text.replace("\u017f", "s").replace("\u212a", "k")
        states, before = frozenset({program.start}), ""
        for char in chain(text, ("",)):
            step = self._steps.get((states, before, char)) or self._step(states, before, char)
            if step is None:
                return None
            states, before = step
            if not states:
                return False
        return True

    def _prepare(self, pattern: str) -> Program | None:
        if len(pattern) > MAX_PATTERN or self._work <= 0:
            return None
        program = self._programs[pattern] = compiled(pattern)
        self._work -= program.size
        return program

    def _step(self, states: frozenset[State], before: str, char: str) -> _Step | None:
        """Take a character, or finish at the end of the text. None after too much work."""
        if self._work <= 0:
            return None
        reached = _reach(states, before, char)
        self._work -= len(reached)
        if char:
            following = frozenset(state.after[0] for state in reached if state.takes and state.takes(char))
        else:
            following = frozenset(state for state in reached if not state.after)
        # what the next step has to know of the character; kinds are few, so that steps can be met again
        kind = "\n" if char == "\n" else "a" if is_word(char) else " "
        step = self._steps[states, before, char] = (self._sets.setdefault(following, following), kind)
        return step


def _reach(states: frozenset[State], before: str, after: str) -> set[State]:
    """Return all states that can be come to between two characters without taking one."""
    reached, rest = set(states), list(states)
    while rest:
        state = rest.pop()
        if state.takes is None and (state.holds is None or state.holds(before, after)):
            new = [other for other in state.after if other not in reached]
            reached.update(new)
            rest.extend(new)
    return reached


def full_match(pattern: str, text: str) -> bool | None:
    """Return True if the whole text matches an RE2 pattern, None if only the server can tell.

    It knows characters, classes, groups, alternatives, repetitions, anchors, word boundaries, and the flags i, m and s
    at the start. Time is bounded for every pattern and text.
    """
    return Matcher().full_match(pattern, text)
