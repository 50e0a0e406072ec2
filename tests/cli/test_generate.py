"""The command `generate`: modules that are the same each time, hold no foreign code, and work."""

from __future__ import annotations

import ast
import importlib.util
import sys
from datetime import date

import pytest

from airplane_runbooks import Airplane, ParameterSchema, Runbook
from airplane_runbooks.cli.generating import module_of
from airplane_runbooks.models import Constraints, Parameter, ParameterType
from airplane_runbooks.server import RunbookServer
from tests.support.generated_calls import FILE, generated, settle


def load(path):
    spec = importlib.util.spec_from_file_location("generated_for_a_test", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_checked_module_is_the_one_that_is_generated():
    assert FILE.read_text("utf-8") == generated(), "python -m tests.support.generated_calls writes it anew"


def test_a_generated_call_is_executed_and_its_result_read(command, server, tmp_path):
    path = tmp_path / "calls.py"
    assert command("generate", "--output", str(path)).status == 0
    calls = load(path)

    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        outcome = airplane.runbooks.run(calls.Refund(customer="ada"), wait_timeout=60)
    assert outcome == {"customer": "ada", "cents": 100, "day": "None"}
    assert calls.__all__ == [
        "AskAnother",
        "AskFirst",
        "AskTwice",
        "BreakDown",
        "Explain",
        "LockUp",
        "OpenSafe",
        "Refund",
    ]


def test_a_module_is_written_to_stdout_and_checked(command, tmp_path):
    path = tmp_path / "calls.py"
    written = command("generate")
    missing = command("generate", "--check", "--output", str(path))
    path.write_text(written.out)

    assert (written.status, missing.status) == (0, 1)
    assert command("generate", "--check", "--output", str(path)).status == 0
    assert command("generate", "--check").status == 2


def test_a_file_that_cannot_be_used_is_named(command, tmp_path):
    missing, folder, binary = tmp_path / "none" / "calls.py", tmp_path / "folder", tmp_path / "binary"
    folder.mkdir()
    binary.write_bytes(b"\xff")

    for arguments, said in (
        (["--output", str(missing)], f"cannot write {missing}: No such file or directory"),
        (["--check", "--output", str(binary)], f"cannot read {binary}: it is not a text file"),
        (["--check", "--output", str(tmp_path / ("x" * 300))], "File name too long"),
    ):
        refused = command("generate", *arguments)
        assert (refused.status, said in refused.err) == (2, True)


def test_the_order_of_the_runbooks_does_not_matter():
    one, other = Runbook(slug="one", description="One."), Runbook(slug="other", description="Other.")

    assert module_of([one, other]) == module_of([other, one])


HOSTILE = '"""\nimport os; os.abort()\n\\"""\n\x1b[31m\u202e\ud800 \\'


def hostile_runbook(text):
    parameter = Parameter(
        slug=text, desc=text, type=ParameterType.STRING, constraints=Constraints(options=[text, {"value": text}])
    )
    return Runbook(
        slug=text,
        description=text,
        parameters=ParameterSchema(parameters=(parameter, parameter)),
        result_schema={
            "type": "object",
            "properties": {text: {"enum": [text]}, "x": {"type": "string", "default": text}},
            "required": [text],
            "title": text,
            "description": text,
        },
    )


@pytest.mark.parametrize("text", [HOSTILE, "class", "1", "__init__", "", "\u00e9t\u00e9", "a-b c", "#\r#"])
def test_a_text_of_a_server_cannot_become_code(text):
    tree = ast.parse(module_of([hostile_runbook(text), hostile_runbook(text)]))

    assert {type(node) for node in tree.body} <= {ast.Expr, ast.ImportFrom, ast.Import, ast.Assign, ast.ClassDef}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len({one.name for one in classes}) == len(classes) == 4
    for one in classes:
        assert {type(node) for node in one.body} <= {ast.Expr, ast.AnnAssign}
        names = [node.target.id for node in one.body if isinstance(node, ast.AnnAssign)]
        assert len(set(names)) == len(names)


def result(schema):
    """Return the annotation of a result, and the lines of its classes."""
    text = module_of([Runbook(slug="book", result_schema=schema)])
    return text.partition("RunbookCall[")[2].partition("], slug=")[0], text


REFERENCE = {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        (None, "Any"),
        ({}, "Any"),
        ({"type": "null"}, "None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "int | None"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "int | float"),
        ({"anyOf": [{"type": "string"}, {"type": "string", "format": "date"}]}, "Any"),
        ({"anyOf": [{"type": "array"}, {"type": "array", "prefixItems": [{}]}]}, "Any"),
        (
            {"anyOf": [{"items": {"type": ["string", "null"]}, "type": "array"}, {"enum": ["a | b]", None]}]},
            'list[str | None] | Literal["a | b]"] | None',
        ),
        ({"anyOf": [{"enum": ["a"]}, {"type": "integer"}]}, 'Literal["a"] | int'),
        ({"anyOf": [{"enum": [1]}, {"type": "integer"}]}, "Any"),
        ({"oneOf": [{"enum": ["a", None]}, {"type": "null"}]}, 'Literal["a"] | None'),
        ({"anyOf": [{}, {"type": "string"}]}, "Any"),
        ({"const": "a"}, 'Literal["a"]'),
        ({"enum": ["a", 1]}, "Any"),
        ({"enum": [True]}, "Any"),
        ({"type": "string", "format": "uuid"}, "uuid.UUID"),
        ({"type": "array", "items": {"type": "string", "format": "date-time"}}, "list[datetime.datetime]"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "dict[str, bool]"),
        ({"type": "invented-later"}, "Any"),
        ({"$ref": "#/$defs/gone"}, "Any"),
        ({**REFERENCE, "$defs": {"Node": REFERENCE}}, "Any"),
        ({**REFERENCE, "$defs": {"Node": {"type": "array", "items": REFERENCE}}}, "list[Any]"),
    ],
)
def test_each_schema_of_a_result_has_its_annotation(schema, annotation):
    assert result(schema)[0] == annotation


def tagged(*names, field="kind", **changes):
    """Return a union of structs that a field tells apart, and its definitions."""
    definitions = {
        name: {"type": "object", "properties": {field: {"enum": [name.lower()]}, "cents": {"type": "integer"}}}
        for name in names
    }
    for name, value in changes.items():
        definitions[name]["properties"][field] = value
    choices = [{"$ref": f"#/$defs/{name}"} for name in names]
    return {"anyOf": choices, "discriminator": {"propertyName": field}}, {"$defs": definitions}


@pytest.mark.parametrize(
    ("changes", "annotation"),
    [
        ({}, "BookPaid | BookOwed"),
        ({"Paid": {"const": "p"}}, "BookPaid | BookOwed"),
        ({"Paid": {"enum": [1]}, "Owed": {"enum": [2]}}, "BookPaid | BookOwed"),
        ({"Paid": {"enum": [1]}}, "Any"),
        ({"Paid": {"enum": ["owed"]}}, "Any"),
        ({"Paid": {"enum": ["paid", "p"]}}, "Any"),
        ({"Paid": {"enum": [True]}, "Owed": {"enum": [False]}}, "Any"),
        ({"Paid": {"enum": [2**64]}, "Owed": {"enum": [2]}}, "Any"),
        ({"Paid": {"type": "string"}}, "Any"),
        ({"Paid": None}, "Any"),
    ],
)
def test_structs_that_a_field_tells_apart_make_a_union(changes, annotation):
    union, definitions = tagged("Paid", "Owed", **changes)

    assert result({**union, **definitions})[0] == annotation


def test_a_union_of_structs_is_kept_beside_other_kinds_only():
    union, definitions = tagged("Paid", "Owed")
    other, more = tagged("Old", "Odd", field="state")
    every = {"$defs": {**definitions["$defs"], **more["$defs"]}}

    assert result({"anyOf": [union, {"type": "string"}], **every})[0] == "BookPaid | BookOwed | str"
    assert result({"anyOf": [union, {"type": "object"}], **every})[0] == "Any"
    assert result({"anyOf": [union, other], **every})[0] == "Any"
    both = {"type": "array", "items": union, "prefixItems": [union, {**union, "discriminator": {"propertyName": "x"}}]}
    assert result({**both, **every})[0] == "tuple[BookPaid | BookOwed, BookPaid | BookOwed]"


def test_the_result_of_a_tagged_union_is_read(tmp_path):
    path = tmp_path / "calls.py"
    path.write_text(generated())
    calls = load(path)
    with RunbookServer([settle]) as server, Airplane(server.api_key, base_url=server.base_url) as airplane:
        outcome = airplane.runbooks.run(calls.Settle(), wait_timeout=60)

    owed = calls.SettleOwed(cents=5, parts=[calls.SettleOwed(cents=2)])
    assert outcome == [calls.SettlePaid(on=date(2026, 1, 31)), owed, "cash"]


def test_defaults_of_results_are_kept_where_they_can_be():
    properties = {
        "a": {"type": "boolean", "default": True},
        "b": {"type": "string", "default": '"'},
        "c": {"type": ["string", "null"], "default": None},
        "d": {"type": "array", "default": []},
        "e": {"type": "object", "default": {}},
        "f": {"type": "string", "default": 5},
        "g": {"type": "string"},
        "h": {"type": "object", "properties": {"i": {}}},
    }
    annotation, text = result({"type": "object", "properties": properties})
    lines = [line.strip() for line in text.splitlines()]

    assert annotation == "BookResult"
    assert lines[lines.index("a: bool = True") :][:8] == [
        "a: bool = True",
        r'b: str = "\""',
        "c: str | None = None",
        "d: list[Any] = []",
        "e: dict[str, Any] = {}",
        "f: str | UnsetType = UNSET",
        "g: str | UnsetType = UNSET",
        "h: BookResultH | UnsetType = UNSET",
    ]
