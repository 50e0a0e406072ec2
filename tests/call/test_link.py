"""The link to transports of others, which may not return what the contract wants."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from airplane_runbooks import Airplane, AsyncAirplane, InvalidResponse, Request, Response

PLAIN: Any = Response(status=200, headers=cast(Any, {"Content-Type": "application/json"}), body=b"{}")


class Careless:
    """Transport that returns what it was made with, be it of use or not."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.sent = 0

    def send(self, request: Request, timeout: float | None, /) -> Response:
        self.sent += 1
        return cast(Response, self._response)

    def close(self) -> None:
        """Do nothing."""


class AsyncCareless(Careless):
    """The same for asyncio."""

    async def send(self, request: Request, timeout: float | None, /) -> Response:  # type: ignore[override]
        return super().send(request, timeout)

    async def aclose(self) -> None:
        """Do nothing."""


class Sync(AsyncCareless):
    """A sync transport with the methods of an async one."""

    send = Careless.send  # type: ignore[assignment]


def call(transport: Careless) -> None:
    with Airplane("tkn_test", transport=transport) as airplane:
        airplane.runbooks.execute("refund")


def call_async(transport: AsyncCareless) -> None:
    async def scenario() -> None:
        async with AsyncAirplane("tkn_test", transport=cast(Any, transport)) as airplane:
            await airplane.runbooks.execute("refund")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (PLAIN, "the headers in a Response of {} must be Headers, not dict"),
        (None, "{}.send must return a Response, not NoneType"),
    ],
    ids=["a dict as headers", "nothing"],
)
@pytest.mark.parametrize(("make", "use"), [(Careless, call), (AsyncCareless, call_async)], ids=["sync", "async"])
def test_a_transport_that_breaks_its_contract_is_named(make: Any, use: Any, response: Any, problem: str) -> None:
    """There is one attempt: the next would end in the same way, and the server has acted on the first."""
    transport = make(response)
    with pytest.raises(InvalidResponse) as caught:
        use(transport)
    assert str(caught.value) == problem.format(make.__name__)
    assert (transport.sent, caught.value.transient, caught.value.maybe_processed) == (1, False, True)


def test_a_sync_transport_of_an_async_client_is_named() -> None:
    with pytest.raises(InvalidResponse) as caught:
        call_async(Sync(PLAIN))
    assert str(caught.value) == "Sync.send must be `async def` for AsyncAirplane; ThreadedTransport makes Sync async"
    assert caught.value.maybe_processed


def test_a_type_error_of_an_async_transport_stays_its_own() -> None:
    class Broken(AsyncCareless):
        async def send(self, request: Request, timeout: float | None, /) -> Response:  # type: ignore[override]
            raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        call_async(Broken(PLAIN))
