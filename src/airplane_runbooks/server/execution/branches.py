"""Branches of an execution: lines of steps that run side by side.

Each branch has positions of its own, so that replay does not depend on which of them is faster.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextvars import ContextVar, Token

from .signals import Signal

# A new task or thread gets a copy of its maker's context: its branch, and the number of steps before it.
_PLACE: ContextVar[tuple[Branch, int] | None] = ContextVar("place", default=None)
_STEP: ContextVar[str | None] = ContextVar("step", default=None)


class Branch:
    """A line of steps, one after the other.

    Attributes:
        branches: The branches of the execution that it belongs to.
        path: Positions of its beginning in the branches around it.
        owner: The task or thread that runs it.
        position: Number of steps so far.
        signal: The signal that ended it, if one did.
    """

    def __init__(self, branches: Branches, path: tuple[int, ...], owner: object) -> None:
        self.branches = branches
        self.path = path
        self.owner = owner
        self.position = 0
        self.signal: Signal | None = None

    def enter(self) -> None:
        """Run this branch from here on, in the current task or thread."""
        _PLACE.set((self, self.position))

    def next(self) -> str:
        """Step forward and return the position."""
        self.position += 1
        self.enter()
        return ".".join(map(str, (*self.path, self.position)))


class Branches:
    """All branches of one execution. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Counter[tuple[int, ...]] = Counter()
        self.main = Branch(self, (), None)

    def start(self, owner: object) -> None:
        """Begin the main branch, in the current task or thread."""
        self.main.owner = owner
        self.main.enter()

    def current(self, owner: object) -> Branch:
        """Return the branch of a task or thread, opened if it is a new task.

        Raises RuntimeError inside a step, and in tasks and threads that the runbook did not make. A new thread gets no
        branch here: which thread was which could not be told on replay.
        """
        if (step := _STEP.get()) is not None:
            raise RuntimeError(f"the context cannot be used inside step {step!r}: call it from the runbook itself")
        branch, position = _PLACE.get() or (None, 0)
        is_new_thread = isinstance(owner, int) and branch is not None and branch.owner != owner
        if branch is None or branch.branches is not self or is_new_thread:
            raise RuntimeError(
                "the context cannot be used by another runbook or on another thread: use context.parallel for threads"
            )
        if branch.owner != owner:
            branch = self.open(branch, position, owner)
            branch.enter()
        return branch

    def open(self, branch: Branch, position: int, owner: object) -> Branch:
        """Open one more branch at a position in another one."""
        place = (*branch.path, position)
        with self._lock:
            self._opened[place] += 1
            return Branch(self, (*place, self._opened[place]), owner)


def enter_step(name: str) -> Token[str | None]:
    """Refuse steps and prompts in this context until `leave_step`."""
    return _STEP.set(name)


def leave_step(token: Token[str | None]) -> None:
    """Undo `enter_step`."""
    _STEP.reset(token)
