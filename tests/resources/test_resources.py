"""The resources of the async client are those of the sync one, method by method and word by word."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property

import pytest

from airplane_runbooks import Airplane, AsyncAirplane
from airplane_runbooks.testing import FakeTransport

SYNC = Airplane("tkn_test", transport=FakeTransport())
ASYNC = AsyncAirplane("tkn_test", transport=FakeTransport().as_async())
RESOURCES = {name: value for name, value in vars(Airplane).items() if isinstance(value, cached_property)}
NAMES = [name for name in RESOURCES if not name.startswith("_")]


def public(thing: object) -> dict[str, object]:
    return {name: member for name, member in vars(thing).items() if not name.startswith("_")}


def methods() -> Iterator[object]:
    for name in NAMES:
        sync, other = type(getattr(SYNC, name)), type(getattr(ASYNC, name))
        for method, function in public(sync).items():
            yield pytest.param(function, getattr(other, method, None), id=f"{name}.{method}")


METHODS = list(methods())


def as_async(annotation: object) -> str:
    """Return what stands in the async twin for a sync annotation."""
    return re.sub(r"\b(Iterator|PromptHandler)\b", r"Async\1", str(annotation))


def test_both_clients_have_the_same_resources_and_methods() -> None:
    assert NAMES == ["runbooks", "sessions", "runs", "tasks", "prompts", "uploads"]
    for name in NAMES:
        sync, other = type(getattr(SYNC, name)), type(getattr(ASYNC, name))
        assert other.__name__ == f"Async{sync.__name__}"
        assert list(public(sync)) == list(public(other))
        assert sync.__doc__ == other.__doc__
        assert RESOURCES[name].__doc__ == vars(AsyncAirplane)[name].__doc__


@pytest.mark.parametrize(("sync", "other"), METHODS)
def test_a_method_takes_and_says_the_same_in_both(sync: object, other: object) -> None:
    ours, theirs = inspect.signature(sync), inspect.signature(other)
    assert [str(one) for one in theirs.parameters.values()] == [as_async(one) for one in ours.parameters.values()]
    assert theirs.return_annotation == as_async(ours.return_annotation)
    assert inspect.getdoc(sync) == inspect.getdoc(other)


@pytest.mark.parametrize(("sync", "other"), METHODS)
def test_async_methods_are_coroutine_functions_but_for_iterators(sync: object, other: object) -> None:
    assert not inspect.iscoroutinefunction(sync)
    assert inspect.iscoroutinefunction(other) is not inspect.signature(other).return_annotation.startswith("Async")


def test_the_clients_themselves_take_and_say_the_same() -> None:
    assert inspect.signature(AsyncAirplane) == inspect.signature(Airplane)
    assert inspect.signature(AsyncAirplane.call) == inspect.signature(Airplane.call)
    assert AsyncAirplane.call.__doc__ == Airplane.call.__doc__
    assert AsyncAirplane.with_options is Airplane.with_options
    assert (set(dir(Airplane)) ^ set(dir(AsyncAirplane))) - {"__slotnames__"} == {  # left by copying
        "__enter__",
        "__exit__",
        "close",
        "__aenter__",
        "__aexit__",
        "aclose",
    }
