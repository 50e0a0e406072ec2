"""Costs and directions of imports, and the public names."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter

import msgspec
import pytest

import airplane_runbooks
from airplane_runbooks import models, server, testing, webhooks
from tests.house.layers import DEMOS, FRONT, GRAPH, LAYERS, NAMES, PACKAGE, imports, layer, modules

# None of these is needed until a client is built or a call is made, and some not even then.
HEAVY = [
    "asyncio",
    "concurrent.futures",
    "email",
    "http.client",
    "json",
    "logging",
    "opentelemetry",
    "socket",
    "ssl",
    "starlette",
    "subprocess",
    "tenacity",
    "urllib.request",
    "urllib3",
    "uvicorn",
]


def loaded_by(statement: str, *, after: str) -> set[str]:
    """Return the modules that a statement loads in a fresh interpreter, in which another has run before."""
    code = f"import sys; {after}; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def own(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] == PACKAGE.name}


BUILDING = "from airplane_runbooks import Airplane; client = Airplane('tkn_1')"


def test_importing_the_package_loads_none_of_its_modules():
    loaded = loaded_by("import airplane_runbooks", after="import typing, importlib")

    assert own(loaded) == {"airplane_runbooks"}
    assert sorted(loaded & {*HEAVY, "msgspec"}) == []


def test_importing_the_client_loads_nothing_heavy():
    loaded = loaded_by("from airplane_runbooks import Airplane", after="import msgspec")

    assert "airplane_runbooks.client" in loaded  # the modules of msgspec vary by its version
    assert sorted(loaded & set(HEAVY)) == []


def test_a_client_is_built_from_few_modules():
    loaded = loaded_by(BUILDING, after="import msgspec, urllib3")

    assert sorted(loaded - own(loaded)) == []
    assert len(own(loaded)) <= 36, "what a client needs for its first call at the earliest is loaded by that call"


def test_the_server_is_not_loaded_with_the_client():
    calling = f"{BUILDING}; client.runbooks, client.close()"
    loaded = loaded_by(calling, after="import opentelemetry.trace, opentelemetry.metrics, opentelemetry.propagate")

    assert {"urllib3", "airplane_runbooks.operations"} <= loaded
    assert sorted(loaded & {"starlette", "uvicorn", "tenacity", "asyncio"}) == []
    assert [name for name in loaded if name.startswith(("airplane_runbooks.server", "airplane_runbooks.testing"))] == []


def test_an_async_client_loads_all_that_calls_need():
    building = "from airplane_runbooks import AsyncAirplane; client = AsyncAirplane('tkn_1')"
    calling = "client.runbooks, client.sessions, client.runs, client.tasks, client.prompts"

    assert loaded_by(calling, after=building) == set()


def test_warming_up_loads_all_that_calls_need():
    double = "from airplane_runbooks.testing import FakeTransport; double = FakeTransport([])"
    building = f"{double}; from airplane_runbooks import Airplane; client = Airplane('tkn_1', transport=double)"
    calling = "client.runbooks, client.sessions, client.runs, client.prompts, client.uploads; import html, tenacity"

    assert loaded_by(calling, after=f"{building}; client.warm_up()") == set()


IMPORTING_AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
import airplane_runbooks

barrier, found = threading.Barrier(8), []

def look(number):
    names = airplane_runbooks.__all__
    barrier.wait()
    found.append({name: getattr(airplane_runbooks, name) for name in [*names[number * 9:], *names[:number * 9]]})

threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), all(each == found[0] for each in found))
"""


def test_threads_that_import_at_once_find_the_same_names():
    command = [sys.executable, "-W", "error", "-c", IMPORTING_AT_ONCE]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "8 True\n"


def test_every_public_name_is_loaded_from_where_checkers_find_it():
    nodes_of_init = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    (block,) = (node for node in nodes_of_init if isinstance(node, ast.If))
    shown = {alias.name: node.module for node in block.body for alias in node.names}

    assert shown == airplane_runbooks._MODULES
    assert sorted(shown) == sorted(airplane_runbooks.__all__)


def test_a_name_that_is_not_public_is_missing():
    with pytest.raises(AttributeError, match="has no attribute 'airplane'"):
        airplane_runbooks.airplane  # noqa: B018

    assert airplane_runbooks.waiters.handlers.CANCEL is airplane_runbooks.CANCEL


def test_imports_for_types_alone_do_not_count(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("if TYPE_CHECKING:\n    from .http import Headers\nelse:\n    from .policy import NO_RETRY\n")

    assert set(imports("module", module)) == {"policy"}
    assert "models" not in GRAPH["errors"]


def package(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_belongs_to_a_layer():
    assert {layer(name) for name in NAMES} == set(LAYERS)


@pytest.mark.parametrize("name", sorted(NAMES - DEMOS), ids=lambda name: name or PACKAGE.name)
def test_no_module_imports_upward(name):
    rank = LAYERS.index(layer(name))

    assert GRAPH[name] <= NAMES
    assert [other for other in GRAPH[name] if LAYERS.index(layer(other)) > rank] == []


def test_no_modules_import_one_another_in_a_circle():
    order = list(TopologicalSorter(GRAPH).static_order())

    assert set(order) == NAMES
    assert order.index("schema.enums") < order.index("models") < order.index("client")


def test_the_client_knows_nothing_of_what_is_above_it():
    others = [name for name in NAMES if package(name) not in ("server", *FRONT)]
    assert [name for name in others if {"server", *FRONT} & set(map(package, GRAPH[name]))] == []


CLIENT_PARTS = {"_responses", "errors", "http", "options", "transports", "webhooks"}


def test_the_server_knows_little_of_the_client():
    known = {"_extras", "_latch", "models", "schema", "telemetry", "version"}
    for name in (name for name in NAMES - DEMOS if package(name) == "server"):
        others = {other for other in GRAPH[name] if package(other) != "server"}
        more = CLIENT_PARTS if layer(name) == "server.deliveries" else set()  # which sends to others
        assert {package(other) for other in others} <= known | more, name


def test_nothing_but_the_tests_of_users_knows_the_doubles():
    others = [name for name in NAMES if package(name) not in ("testing", "server")]
    assert [name for name in others if "testing" in map(package, GRAPH[name])] == []


PUBLIC = [
    (module, name) for module in (airplane_runbooks, models, server, testing, webhooks) for name in module.__all__
]


@pytest.mark.parametrize(
    "module", [airplane_runbooks, models, server, testing, webhooks], ids=lambda module: module.__name__
)
def test_public_names_are_listed_once_in_order_and_shown(module):
    def constants_then_classes_then_functions(name: str) -> tuple[bool, bool, str]:
        return not name.isupper(), not name[0].isupper(), name

    assert module.__all__ == sorted(set(module.__all__), key=constants_then_classes_then_functions)
    assert set(module.__all__) <= set(dir(module))
    assert module.__doc__


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda part: getattr(part, "__name__", part))
def test_every_public_name_resolves_and_is_documented(module, name):
    value = getattr(module, name)

    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), name
        assert value.__module__.startswith(PACKAGE.name)


def documented_members() -> Iterator[tuple[str, object]]:
    for module, name in PUBLIC:
        value = getattr(module, name)
        if inspect.isclass(value):
            for member, function in vars(value).items():
                if not member.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                    yield f"{module.__name__}.{name}.{member}", function


@pytest.mark.parametrize("function", [pytest.param(function, id=name) for name, function in documented_members()])
def test_every_public_method_and_property_is_documented(function):
    assert inspect.getdoc(function)


def test_every_module_is_documented():
    undocumented = [
        name for name, path in modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert undocumented == []


def test_the_version_is_a_public_constant():
    assert airplane_runbooks.__version__ == airplane_runbooks.version.__version__
    assert [int(part) for part in airplane_runbooks.__version__.split(".")[:2]]


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert issubclass(airplane_runbooks.CallOptions, msgspec.Struct)
