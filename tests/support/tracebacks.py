"""Tracebacks as error reporters send them: with the local variables of each frame."""

from __future__ import annotations

import traceback
from pathlib import Path

_TESTS = Path(__file__).parents[1]


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error and of those that led to it, but for the frames of the tests themselves."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    links = [trace]
    for link in links:
        link.stack[:] = [frame for frame in link.stack if not Path(frame.filename).is_relative_to(_TESTS)]
        links += [more for more in (link.__cause__, link.__context__) if more is not None]
    return "".join(trace.format())
