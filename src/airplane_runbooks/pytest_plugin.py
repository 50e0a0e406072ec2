"""A pytest fixture for tests of runbooks, there wherever this package is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .server import RunbookServer
else:
    RunbookServer = Any  # for those who read annotations; loaded with the first server


@pytest.fixture
def airplane_server() -> Iterator[Callable[..., RunbookServer]]:
    """Return what starts a server: it takes runbooks, and otherwise what `RunbookServer` takes.

    Each server keeps its state in memory unless it is told otherwise, and is closed after the test.
    """
    from .server import RunbookServer

    with ExitStack() as servers:

        def start(*runbooks: Any, **options: Any) -> RunbookServer:
            return servers.enter_context(RunbookServer(runbooks, **options))

        yield start
