"""Everything public can be looked at: by `help`, by editors, and by libraries that read signatures and type hints."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import airplane_runbooks
from airplane_runbooks import models, server, testing

# Programs, which do what they do when they are imported.
PROGRAMS = {"airplane_runbooks.server.demo", "airplane_runbooks.server.demo_async"}


def public_modules() -> Iterator[str]:
    yield "airplane_runbooks"
    for found in pkgutil.walk_packages(airplane_runbooks.__path__, "airplane_runbooks."):
        if found.name not in PROGRAMS and not any(part.startswith("_") for part in found.name.split(".")):
            yield found.name


def public_objects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the classes and functions that a module defines, with their public methods and properties."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__ or not callable(value):
            continue
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            yield from members(f"{module.__name__}.{name}", value)


def members(name: str, kind: type) -> Iterator[tuple[str, Any]]:
    for member, value in vars(kind).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and (member == "__init__" or not member.startswith("_")):
            yield f"{name}.{member}", function


BUILT_IN = (dict, BaseException)  # of which Python cannot tell a signature
EXPORTED = [getattr(module, name) for module in (airplane_runbooks, models, server, testing) for name in module.__all__]
MODULES = list(public_modules())


def test_all_that_is_exported_is_looked_at() -> None:
    found = {name for module in MODULES for name, _ in public_objects(importlib.import_module(module))}

    assert {"airplane_runbooks.policy.RetryPolicy", "airplane_runbooks.client.Airplane.call"} <= found
    assert len(found) > 500


@pytest.mark.parametrize("module", MODULES)
def test_every_public_object_can_be_introspected(module: str) -> None:
    for name, value in public_objects(importlib.import_module(module)):
        assert inspect.get_annotations(value, eval_str=True) is not None, name
        assert typing.get_type_hints(value) is not None, name
        assert pydoc.render_doc(value), name
        if not inspect.isclass(value) or value in EXPORTED or not issubclass(value, BUILT_IN):
            assert inspect.signature(value, eval_str=True) is not None, name
