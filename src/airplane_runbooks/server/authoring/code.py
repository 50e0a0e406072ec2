"""Digests of code, which decide whether a session can continue with the code at hand.

The digest covers the syntax tree without comments, docstring and decorators. It is the same on every version of
Python: the output of `ast.dump` differs between versions, so the tree is written in a form of our own. Earlier
versions of this package digested the output of `ast.dump` of Python 3.11 to 3.13; their sessions are recognised by it.
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from hashlib import blake2b
from types import CodeType
from typing import Any, NamedTuple

import msgspec

_CODE = "code "  # before a digest; the digests of earlier versions of this package have no prefix
_VERSION = " version "
_LONGEST_VERSION = 200  # characters; it is part of an index

_IGNORED = frozenset({"ctx", "kind", "type_comment"})  # follow from the rest, or mean nothing
_HAS_TYPE_PARAMETERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Code(msgspec.Struct, frozen=True):
    """The code of one runbook.

    Attributes:
        digest: Digest of the source.
        version: Version given by the author, which takes precedence over the digest.
        older: Digests that earlier versions of this package may have recorded for the same code.
    """

    digest: str
    version: str | None = None
    older: frozenset[str] = frozenset()

    @classmethod
    def of(cls, function: Callable[..., Any], version: str | None) -> Code:
        """Digest a function. Raises ValueError if the version is too long."""
        if version is not None and len(version) > _LONGEST_VERSION:
            raise ValueError(f"version= must be at most {_LONGEST_VERSION} characters long")
        if (tree := _definition(function)) is not None:
            older = {_written(tree, dump.write) for dump in _DUMPS}
            return cls(_digest(_written(tree, _write)), version, frozenset(map(_digest, older)))
        code = function.__code__
        text = repr((code.co_names, code.co_varnames, [one for one in code.co_consts if isinstance(one, str | int)]))
        names, constants = _names_and_constants(code)
        return cls(_digest(ascii([sorted(names), sorted(constants)])), version, frozenset({_digest(text)}))

    @property
    def source(self) -> str:
        """Text that is recorded with a session: the digest, and the version if there is one."""
        return _CODE + self.digest + ("" if self.version is None else _VERSION + self.version)

    def can_continue(self, source: str) -> bool:
        """Tell whether a session that recorded `source` can continue with this code.

        It can with the same code or the same version. It also can if it was started without a version and there is
        one now: by giving a version, the author decides which edits are compatible.
        """
        if not source or source in self.older:
            return True
        digest, has_version, version = source.removeprefix(_CODE).partition(_VERSION)
        if self.version is None:
            return digest == self.digest
        if not source.startswith(_CODE):
            return source == _digest(f"version {self.version}")
        return not has_version or version == self.version

    def is_same_as(self, source: str) -> bool:
        """Tell whether `source` records exactly this code, with any version."""
        return source in self.older or source.removeprefix(_CODE).partition(_VERSION)[0] == self.digest


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _definition(function: Callable[..., Any]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the syntax tree of a function; None if it has no file, or if its file has changed since the import."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, tokenize.TokenError, TypeError, ValueError):
        return None
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) and tree.name == function.__name__:
        return tree
    return None


def _written(tree: ast.FunctionDef | ast.AsyncFunctionDef, write: Callable[[object], str]) -> str:
    body = tree.body[ast.get_docstring(tree, clean=False) is not None :]
    return "".join(map(write, [tree.args, *body]))


def _write(item: object) -> str:
    """Write a part of a syntax tree: its fields that are set and have a meaning."""
    match item:
        case ast.Constant(value=value):
            return (
                f"Constant({type(value).__name__} {value:x})" if type(value) is int else f"Constant({_scalar(value)})"
            )
        case ast.JoinedStr(values=values):
            return f"JoinedStr({', '.join(_pieces(values))})"
        case ast.AST():
            fields = ((name, getattr(item, name, None)) for name in item._fields if name not in _IGNORED)
            parts = [f"{name}={_write(value)}" for name, value in fields if value is not None and value != []]
            return f"{type(item).__name__}({', '.join(parts)})"
        case list():
            return f"[{', '.join(map(_write, item))}]"
        case _:
            return _scalar(item)


def _scalar(value: object) -> str:
    return f"{type(value).__name__} {value!a}"  # ASCII: what `repr` escapes depends on the version of Unicode


def _pieces(values: list[ast.expr]) -> Iterator[str]:
    """Write the parts of an f-string. Versions of Python split its texts differently, and differ in empty ones."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield _scalar(text)
        text = ""
        yield _write(value)
    if text:
        yield _scalar(text)


class _Dump(NamedTuple):
    """Output of `ast.dump` in one version of Python, for the tree that its parser makes."""

    type_parameters: bool = True
    empty: bool = True
    blank_ends: bool = False  # an empty text at the end of a format in an f-string

    def write(self, item: object) -> str:
        if isinstance(item, list):
            return f"[{', '.join(map(self.write, item))}]"
        if not isinstance(item, ast.AST):
            return repr(item)
        parts = [f"{name}={self.write(value)}" for name, value in self._fields_of(item)]
        return f"{type(item).__name__}({', '.join(parts)})"

    def _fields_of(self, node: ast.AST) -> Iterator[tuple[str, object]]:
        values = {name: getattr(node, name) for name in node._fields if hasattr(node, name)}
        if isinstance(node, _HAS_TYPE_PARAMETERS):
            values.setdefault("type_params", [])
            if not self.type_parameters:
                del values["type_params"]
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            values["format_spec"] = self._format(node.format_spec.values)
        is_value = isinstance(node, ast.Constant | ast.MatchSingleton)
        for name, value in values.items():
            is_default = value is None and getattr(type(node), name, ...) is None
            if not is_default and (self.empty or is_value or value not in (None, [])):
                yield name, value

    def _format(self, values: list[ast.expr]) -> ast.JoinedStr:
        kept = [one for one in values if not (isinstance(one, ast.Constant) and one.value == "")]
        if self.blank_ends and kept and isinstance(kept[-1], ast.FormattedValue):
            kept.append(ast.Constant(""))
        return ast.JoinedStr(kept)


_DUMPS = (
    _Dump(type_parameters=False),  # Python 3.11
    _Dump(),  # 3.12
    _Dump(blank_ends=True),  # 3.12 at first
    _Dump(empty=False),  # 3.13
)


def _names_and_constants(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the names and constants of compiled code that has no source.

    They are sets, because versions of Python differ in which parts become functions of their own, and so in the order.
    """
    names = {*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars} - {".0"}
    constants = {_scalar(one) for one in code.co_consts if isinstance(one, str | int | float)}
    # from Python 3.14 on, instructions hold small numbers themselves
    constants |= {_scalar(one.argval) for one in dis.get_instructions(code) if one.opname == "LOAD_SMALL_INT"}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more_names, more_constants = _names_and_constants(inner)
            names |= more_names
            constants |= more_constants
    return names, constants
