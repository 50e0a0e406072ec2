"""The chain: its order, and how a sync client steps through it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import types
from collections.abc import AsyncIterator

import pytest

from airplane_runbooks import AirplaneError, Headers, MiddlewareSuspended, Request, Response
from airplane_runbooks._call.pipeline import compose, run_blocking


def request() -> Request:
    return Request(method="GET", origin="https://h", target="/", headers=Headers(), body=None)


OK = Response(status=200, headers=Headers(), body=b"")


class Layer:
    """Notes its name on the way in and on the way out."""

    def __init__(self, name, diary):
        self._name, self._diary = name, diary

    async def __call__(self, request, call_next, /):
        self._diary.append(f"{self._name} in")
        response = await call_next(request.with_header("x-path", request.headers.get("x-path", "") + self._name))
        self._diary.append(f"{self._name} out")
        return response


@pytest.mark.parametrize("names", ["", "a", "ab", "abc"])
def test_the_first_layer_is_the_outermost(names):
    diary = []

    async def send(request):
        diary.append(f"sent {request.headers.get('x-path', '')}")
        return OK

    chain = compose([Layer(name, diary) for name in names], send)

    assert run_blocking(chain(request())) is OK
    assert diary == [*(f"{n} in" for n in names), f"sent {names}", *(f"{n} out" for n in reversed(names))]


def test_without_layers_the_chain_is_its_end():
    async def send(request):
        return OK

    assert compose([], send) is send


def test_layers_may_come_from_an_iterator_and_serve_many_calls():
    diary = []

    async def send(request):
        return OK

    chain = compose((Layer(name, diary) for name in "ab"), send)
    for _ in range(2):
        run_blocking(chain(request()))

    assert diary == ["a in", "b in", "b out", "a out"] * 2


def test_a_layer_may_call_on_never_or_often():
    sent = []

    async def send(request):
        sent.append(request.attempt)
        return OK

    async def short_cut(request, call_next, /):
        return OK

    async def twice(request, call_next, /):
        await call_next(request)
        return await call_next(request.next_attempt())

    assert run_blocking(compose([short_cut, twice], send)(request())) is OK
    assert sent == []
    assert run_blocking(compose([twice, twice], send)(request())) is OK
    assert sent == [1, 2, 2, 3]


def test_a_layer_sees_what_is_raised_below_it():
    async def send(request):
        raise KeyError("below")

    async def catch(request, call_next, /):
        with pytest.raises(KeyError, match="below"):
            await call_next(request)
        return OK

    assert run_blocking(compose([catch], send)(request())) is OK


async def value(result):
    return result


@pytest.mark.parametrize("result", [None, 0, OK, StopAsyncIteration(), ["list"]])
def test_a_coroutine_that_never_suspends_gives_its_result(result):
    assert run_blocking(value(result)) is result


@pytest.mark.parametrize("failure", [KeyError("a"), KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(3)])
def test_what_a_coroutine_raises_comes_out(failure):
    async def fail():
        raise failure

    with pytest.raises(type(failure)) as raised:
        run_blocking(fail())

    assert raised.value is failure


def test_a_stop_iteration_is_no_result():
    async def stop():
        raise StopIteration(OK)

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        run_blocking(stop())


class Never:
    """An awaitable that never ends."""

    def __await__(self):
        yield "never"


@types.coroutine
def bare_yield():
    yield


async def numbers() -> AsyncIterator[int]:
    await Never()
    yield 1


async def first_number():
    return [number async for number in numbers()]


SUSPENSIONS = {
    "an awaitable": Never,
    "a generator": bare_yield,
    "a coroutine": first_number,
    "asyncio": lambda: asyncio.sleep(0),
}


@pytest.mark.parametrize("make", SUSPENSIONS.values(), ids=SUSPENSIONS)
def test_a_coroutine_that_suspends_is_refused_and_closed(make):
    closed = []

    async def slow_layer(request, call_next, /):
        try:
            return await call_next(request)
        finally:
            closed.append("slow_layer")

    async def send(request):
        try:
            await make()
        finally:
            closed.append("send")
        return OK

    coroutine = compose([slow_layer], send)(request())
    with pytest.raises(MiddlewareSuspended, match=r"slow_layer -> .*\bsend") as refused:
        run_blocking(coroutine)

    assert closed == ["send", "slow_layer"]
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    assert "use AsyncAirplane" in str(refused.value)
    assert isinstance(refused.value, AirplaneError)


def test_a_refused_coroutine_leaves_no_warning_behind(recwarn):
    async def middle():
        await Never()

    async def outer():
        await middle()

    with pytest.raises(MiddlewareSuspended, match=r"outer -> .*middle"):
        run_blocking(outer())
    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []


def test_a_coroutine_is_stepped_inside_of_a_running_loop():
    async def main():
        return run_blocking(value(OK))

    assert asyncio.run(main()) is OK
