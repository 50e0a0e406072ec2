"""A pytest fixture for tests of runbooks, available wherever `airplane-runbooks` is installed.

pytest loads this module at every start. It lies outside the package, so that loading it does not import the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airplane_runbooks.server import RunbookServer


@pytest.fixture
def airplane_server() -> Iterator[Callable[..., RunbookServer]]:
    """Yield a function that starts a server: it takes runbooks, and the other arguments of `RunbookServer`.

    Each server keeps its state in memory unless it gets a database, and is closed after the test.
    """
    from contextlib import ExitStack

    from airplane_runbooks.server import RunbookServer

    with ExitStack() as servers:

        def start(*runbooks: Any, **options: Any) -> RunbookServer:
            return servers.enter_context(RunbookServer(runbooks, **options))

        yield start
