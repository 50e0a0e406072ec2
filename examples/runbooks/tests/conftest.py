from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ops
import pytest

from airplane_runbooks import Airplane


@pytest.fixture(autouse=True)
def world_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a world of its own."""
    monkeypatch.setenv("RUNBOOKS_WORLD", str(tmp_path))
    return tmp_path


@pytest.fixture
def airplane(airplane_server: Callable[..., Any]) -> Iterator[Airplane]:
    """Serve all runbooks, and yield a client."""
    server = airplane_server(ops.refund, ops.failover, ops.onboard)
    with Airplane(server.api_key, base_url=server.base_url) as client:
        yield client
