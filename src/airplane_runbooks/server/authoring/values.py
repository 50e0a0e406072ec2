"""Checking and reading of parameter values on the server: the schema's reader, with the API's errors."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from ...models import Parameter
from ...schema.problems import ValueProblem, located, member
from ...schema.reading import CheckedValues, ValueReader, unquote
from ...schema.types.references import Upload
from ..errors import Invalid
from ..secrets.references import replaced

OpenUpload: TypeAlias = Callable[[Upload], Upload]


def check(parameters: Iterable[Parameter], values: Mapping[str, Any] | CheckedValues, root: str) -> CheckedValues:
    """Check the values that a client has sent, in JSON, unless they have been checked against these parameters.

    Strings that spell a number or a flag count as that, and defaults stand in for missing or null values. Raises
    Invalid, with the path below `root` and nothing of the value, for a required value that is missing or null, a wrong
    type, a broken constraint, and a slug that no parameter has.
    """
    parameters = tuple(parameters)
    if isinstance(values, CheckedValues):
        if values.fit(parameters):
            return values
        values = values.json
    with _as_invalid(root):
        return CheckedValues(parameters, unquote(parameters, values))


def convert(
    parameters: Sequence[Parameter],
    values: Mapping[str, Any],
    root: str,
    enum_converters: Mapping[str, Callable[[Any], Any]],
    open_upload: OpenUpload,
) -> dict[str, Any]:
    """Return the Python values of stored ones, which were checked when they were given: only types must still fit.

    `enum_converters` puts members of enums in place of their values, and `open_upload` uploads that can be opened in
    place of others. Raises Invalid, naming the path below `root`.
    """
    with _as_invalid(root):
        read = ValueReader(constraints=False).read_members(parameters, values)
        for parameter in parameters:
            read[parameter.slug] = replaced(parameter, read[parameter.slug], Upload, open_upload)
        return {slug: located(member(slug), enum_converters[slug], value) for slug, value in read.items()}


def read(parameter: Parameter, value: Any, path: str) -> Any:
    """Return the Python value of one JSON value. Raises Invalid, naming the path."""
    with _as_invalid(path):
        return ValueReader(strict=True).read(parameter, value)


@contextmanager
def _as_invalid(path: str) -> Generator[None]:
    try:
        yield
    except ValueProblem as problem:
        steps = "".join(step[:100] for step in reversed(problem.steps))  # a key may be as long as the body
        raise Invalid(problem.code, f"{path}{steps}: {problem}") from None
    except RecursionError:
        raise Invalid("invalid_parameter", f"{path}: nested too deeply") from None
