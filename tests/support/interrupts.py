"""A KeyboardInterrupt at a chosen moment: a real Ctrl-C can come between any two instructions."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interrupt(name: str, at: int) -> Generator[None]:
    """Interrupt this thread at an instruction of the first call of that qualified name, or of what follows.

    Without an instruction of that number, nothing is interrupted.
    """
    left, inside = at, False

    def enter(frame: FrameType, _event: str, _: Any) -> Any:
        nonlocal inside
        inside = inside or frame.f_code.co_qualname == name
        frame.f_trace_opcodes = inside
        return step if inside else None

    def step(_frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return step

    before = sys.gettrace()
    collects = gc.isenabled()
    gc.disable()  # it calls functions of other libraries at any time, which are not what is interrupted
    sys._getframe().f_trace_opcodes = True  # CPython 3.12 looks for it when the function is set
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
