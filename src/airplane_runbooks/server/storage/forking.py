"""Closes what forked children must not keep of their parent: locks, sockets, connections.

They are shared with the parent. A child that lives on would hold them after the parent's death, and its actions
on them would affect the parent. So a child gives them up before anything else runs in it. Their descriptors stay
in use, so that nothing else gets the same number, but lead nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Parent(Protocol):
    """An object that only the process that made it may use."""

    def in_child(self) -> None:
        """Give everything up, in a child that has just been forked. Other threads' locks may be held for ever."""
        ...


_parents: WeakSet[Parent] = WeakSet()


def keep_from_children(parent: Parent) -> None:
    """Call `in_child` in every child that is forked from now on, as long as `parent` lives."""
    _parents.add(parent)


def cut(descriptors: Iterable[int]) -> None:
    """Let descriptors of this process lead nowhere. Bad ones are skipped."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        with suppress(OSError):
            os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


def _part() -> None:
    for parent in list(_parents):
        parent.in_child()


if hasattr(os, "register_at_fork"):  # all but Windows, which has no forks
    os.register_at_fork(after_in_child=_part)
