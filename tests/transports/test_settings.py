"""The settings that transports have in common."""

from __future__ import annotations

from typing import Any

import pytest

from airplane_runbooks import ConfigurationError
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport


@pytest.mark.parametrize("name", ["pool_size", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "32", None])
@pytest.mark.parametrize("make", [Urllib3Transport, AsyncioTransport, ThreadedTransport])
def test_limits_that_cannot_work_are_refused_by_name(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be an integer of at least 1, not {value!r}"):
        make(**{name: value})
