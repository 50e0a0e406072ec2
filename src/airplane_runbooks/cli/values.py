"""Values of parameters, from texts on the command line to JSON, as a schema prescribes. Pure but for files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import msgspec

from .. import ParameterSchema, ParamValueError, Upload
from ..models import Parameter
from ..schema.problems import UnreadableText
from ..schema.types import Scalar, type_of

UPLOAD_HINT = "Write a file as @PATH, or the ID of an upload."
_OF_UPLOADS = ("@", "upl")  # beginnings of paths of files, and of IDs


def read_values(
    schema: ParameterSchema | None, pairs: Iterable[str], given: Mapping[str, Any], root: str
) -> dict[str, Any]:
    """Return the values that `k=v` pairs and a file make, checked. A pair takes precedence over the file.

    Args:
        schema: The schema; None if the server tells none, and then each value is sent as a text.
        pairs: Texts such as `customer=ada@example.com`. A repeated one makes a list where the schema wants one.
        given: Values from a file.
        root: Name of all values in errors.

    Raises:
        ParamValueError: A value does not fit; the message names the parameter.
    """
    texts: dict[str, list[str]] = {}
    for pair in pairs:
        slug, equals, text = pair.partition("=")
        if not equals or not slug:
            raise ParamValueError(root, f"write {pair!r} as PARAMETER=VALUE")
        texts.setdefault(slug, []).append(text)
    known = {parameter.slug: parameter for parameter in schema.parameters} if schema else {}
    for slug in (slug for slug in texts if schema is not None and slug not in known):
        names = ", ".join(known) or "none"
        raise ParamValueError(f"{root}.{slug}", f"there is no such parameter; there are: {names}")
    values = {**given, **{slug: _read(known.get(slug), text, f"{root}.{slug}") for slug, text in texts.items()}}
    if schema is not None:
        schema.validate(values, root)
    return values


def read_text(parameter: Parameter, text: str) -> Any:
    """Return the JSON value that a text stands for. Raises ValueError that says what to write."""
    kind = type_of(parameter.type)
    if kind.python is Upload and not text.lstrip().startswith((*_OF_UPLOADS, "[")):
        raise ValueError(UPLOAD_HINT)
    if parameter.multi:
        if text.lstrip().startswith("[") or not isinstance(kind, Scalar):
            return _json(text)
        return [kind.parse(text)]
    if isinstance(kind, Scalar):
        return kind.parse(text)
    return _json(text)


def _read(parameter: Parameter | None, texts: Sequence[str], path: str) -> Any:
    if len(texts) > 1 and not (parameter and parameter.multi):
        raise ParamValueError(path, "is given twice")
    if parameter is None:
        return texts[0]
    try:
        values = [read_text(parameter, text) for text in texts]
    except (ValueError, UnreadableText) as problem:
        raise ParamValueError(path, _lower(str(problem))) from None
    return [item for value in values for item in value] if len(values) > 1 else values[0]


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise ValueError("Write the value as JSON.") from None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def read_file(file: TextIO, name: str) -> dict[str, Any]:
    """Return the values in a file that holds a JSON object. Raises ParamValueError."""
    try:
        return msgspec.json.decode(file.read(), type=dict[str, Any])
    except UnicodeDecodeError:
        raise ParamValueError(name, "is not a text file") from None
    except RecursionError:
        raise ParamValueError(name, "is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeEncodeError) as problem:
        raise ParamValueError(name, f"is not a JSON object: {problem}") from None
