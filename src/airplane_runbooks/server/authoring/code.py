"""Digests of code, the same on every version of Python, and whether a session fits the code that there is.

What is digested is the syntax tree, without comments, docstring and decorators. `ast.dump` says the same tree in other
words from one version of Python to the next, so the words are ours. Its own, of Python 3.11 to 3.13, are what earlier
versions of this package have digested; sessions of theirs are known by them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from hashlib import blake2b
from types import CodeType
from typing import Any, NamedTuple

import msgspec

_CODE = "code "  # before a digest, tells it from those of earlier versions of this package
_VERSION = " version "
_LONGEST_VERSION = 200  # characters; it is part of an index

_IGNORED = frozenset({"ctx", "kind", "type_comment"})  # follow from the rest, or mean nothing
_HAS_TYPE_PARAMETERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Code(msgspec.Struct, frozen=True):
    """The code of one runbook.

    Attributes:
        digest: Digest of what its author wrote.
        version: What its author says instead, if anything.
        older: What earlier versions of this package may have recorded for the same code.
    """

    digest: str
    version: str | None = None
    older: frozenset[str] = frozenset()

    @classmethod
    def of(cls, function: Callable[..., Any], version: str | None) -> Code:
        """Digest a function. Raises ValueError for a version that is too long."""
        if version is not None and len(version) > _LONGEST_VERSION:
            raise ValueError(f"version= has at most {_LONGEST_VERSION} characters")
        if (tree := _definition(function)) is not None:
            texts = {"".join(_texts(tree, dump.words)) for dump in _DUMPS}
            return cls(_digest("".join(_texts(tree, _words))), version, frozenset(map(_digest, texts)))
        code = function.__code__
        text = repr((code.co_names, code.co_varnames, [one for one in code.co_consts if isinstance(one, str | int)]))
        return cls(_digest(ascii([sorted(one) for one in _vocabulary(code)])), version, frozenset({_digest(text)}))

    @property
    def source(self) -> str:
        """The digest that is recorded with a session."""
        return _CODE + self.digest + ("" if self.version is None else _VERSION + self.version)

    def fits(self, source: str) -> bool:
        """Whether a session goes on with this code that was started with what is recorded as `source`.

        So it does with the same code or version. It also does if it was started without a version, and there is one
        now: whether an edit fits is its author's to judge then.
        """
        if not source or source in self.older:
            return True
        digest, has_version, version = source.removeprefix(_CODE).partition(_VERSION)
        if self.version is None:
            return digest == self.digest
        if not source.startswith(_CODE):
            return source == _digest(f"version {self.version}")
        return not has_version or version == self.version

    def is_that_of(self, source: str) -> bool:
        """Whether it is, to the letter, what is recorded as `source`."""
        return source in self.older or source.removeprefix(_CODE).partition(_VERSION)[0] == self.digest


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _definition(function: Callable[..., Any]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Find a function's source; None if it was written at a prompt, made by code, or its file has changed since."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, tokenize.TokenError, TypeError, ValueError):
        return None
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) and tree.name == function.__name__:
        return tree
    return None


def _texts(tree: ast.FunctionDef | ast.AsyncFunctionDef, words: Callable[[object], str]) -> Iterator[str]:
    body = tree.body[ast.get_docstring(tree, clean=False) is not None :]
    yield words(tree.args)
    yield from map(words, body)


def _words(item: object) -> str:
    """Write a part of a syntax tree: what is there and has a meaning, field by field."""
    match item:
        case ast.Constant(value=value):
            return (
                f"Constant({type(value).__name__} {value:x})" if type(value) is int else f"Constant({_scalar(value)})"
            )
        case ast.JoinedStr(values=values):
            return f"JoinedStr({', '.join(_pieces(values))})"
        case ast.AST():
            fields = ((name, getattr(item, name, None)) for name in item._fields if name not in _IGNORED)
            said = [f"{name}={_words(value)}" for name, value in fields if value is not None and value != []]
            return f"{type(item).__name__}({', '.join(said)})"
        case list():
            return f"[{', '.join(map(_words, item))}]"
        case _:
            return _scalar(item)


def _scalar(value: object) -> str:
    return f"{type(value).__name__} {value!a}"  # `repr` writes characters as they are that it has come to know


def _pieces(values: list[ast.expr]) -> Iterator[str]:
    """Write what an f-string is made of. Versions differ in where they part its texts, and in empty ones."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield _scalar(text)
        text = ""
        yield _words(value)
    if text:
        yield _scalar(text)


class _Dump(NamedTuple):
    """The output of `ast.dump` in one version of Python, and what that version's parser leaves in the tree."""

    type_parameters: bool = True
    empty: bool = True
    blank_ends: bool = False  # an empty text at the end of a format in an f-string

    def words(self, item: object) -> str:
        if isinstance(item, list):
            return f"[{', '.join(map(self.words, item))}]"
        if not isinstance(item, ast.AST):
            return repr(item)
        said = [f"{name}={self.words(value)}" for name, value in self._fields_of(item)]
        return f"{type(item).__name__}({', '.join(said)})"

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


def _vocabulary(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the names and the constants in compiled code, where there is no source.

    Sets, because versions of Python differ in what they make a function of its own, and so in the order.
    """
    names = {*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars} - {".0"}
    constants = {_scalar(one) for one in code.co_consts if isinstance(one, str | int | float)}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more_names, more_constants = _vocabulary(inner)
            names |= more_names
            constants |= more_constants
    return names, constants
