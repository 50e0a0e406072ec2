"""Middleware that does not return what the contract wants is refused, or named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from airplane_runbooks import Airplane, AsyncAirplane, Bundle, ConfigurationError, InvalidResponse, Next, Request
from airplane_runbooks.middleware.wrong_results import wrong_result
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

LISTS = ["middleware", "attempt_middleware"]


async def forgets(request: Request, call_next: Next, /) -> Any:
    await call_next(request)


async def passes_on(request: Request, call_next: Next, /) -> Any:
    return await call_next(request)


def returns_nothing(request: Request, call_next: Next, /) -> Any:
    """Neither `async` nor with a `return`."""


class Forgetful:
    """The same as an object."""

    async def __call__(self, request: Request, call_next: Next, /) -> Any:
        return (await call_next(request)).body


@pytest.fixture(params=["sync", "async"])
def refused(request: pytest.FixtureRequest) -> Callable[..., tuple[InvalidResponse, int]]:
    def call(**layers: Any) -> tuple[InvalidResponse, int]:
        either = Either(request.param, FakeTransport(lambda _: json_response({"sessionID": "ses1"})), **layers)
        with pytest.raises(InvalidResponse) as caught:
            either(lambda airplane: airplane.runbooks.execute("refund"))
        return caught.value, len(either.transport.requests)

    return call


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (forgets, "middleware forgets must return a Response, not NoneType"),
        (Forgetful(), "middleware Forgetful must return a Response, not bytes"),
    ],
    ids=["a function", "an object"],
)
def test_a_layer_without_a_response_is_named(refused: Any, name: str, layer: Any, text: str) -> None:
    """There is one attempt: the next would end in the same way, and the server has acted on the first."""
    error, sent = refused(**{name: [layer]})
    assert str(error) == text
    assert (error.operation, error.attempts, sent) == ("runbooks.execute", 1, 1)
    assert (error.transient, error.maybe_processed) == (False, True)
    assert error.idempotency_key


@pytest.mark.parametrize("name", LISTS)
def test_a_layer_that_cannot_be_awaited_is_named(refused: Any, name: str) -> None:
    error, sent = refused(**{name: [returns_nothing]})
    assert "middleware returns_nothing must be an `async def` or return an awaitable: " in str(error)
    assert (sent, error.sent, error.maybe_processed) == (0, False, False)


@pytest.mark.parametrize("name", LISTS)
def test_layers_that_may_be_at_fault_are_all_named(refused: Any, name: str) -> None:
    error, _ = refused(**{name: [passes_on, passes_on, forgets]})
    assert str(error) == (
        "middleware passes_on must return a Response, not NoneType; it may pass on the result of passes_on or forgets"
    )


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("problem", [AttributeError("mine"), TypeError("cannot await mine")])
def test_an_error_inside_of_a_layer_is_left_as_it_is(name: str, problem: Exception) -> None:
    async def fails(request: Request, call_next: Next, /) -> Any:
        raise problem

    transport = FakeTransport([])
    layers = cast(Any, {name: [fails]})
    with pytest.raises(type(problem)) as caught, Airplane("tkn_test", transport=transport, **layers) as airplane:
        airplane.runbooks.execute("refund")
    assert caught.value is problem


@pytest.mark.parametrize("problem", [AttributeError("no layers"), TypeError("another")])
def test_an_error_of_another_cause_blames_no_layer(problem: AttributeError | TypeError) -> None:
    async def send(request: Request) -> Any:
        raise NotImplementedError

    with pytest.raises(type(problem)) as caught:
        raise problem
    assert wrong_result(caught.value, send, attempts=1) is None


@pytest.mark.parametrize("make", [Airplane, AsyncAirplane, Bundle])
@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([forgets, 42], r"\[1\] must be a callable of a request and call_next, not int"),
        (forgets, " must be a list or tuple of layers, not function"),
    ],
    ids=["a number", "no list"],
)
def test_layers_that_cannot_be_called_are_refused(make: Any, name: str, layers: Any, text: str) -> None:
    key = {} if make is Bundle else {"api_key": "tkn_test"}
    with pytest.raises(ConfigurationError, match=f"^{name}{text}$"):
        make(**key, **{name: layers})
