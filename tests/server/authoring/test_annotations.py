"""Annotations that cannot be resolved are errors that name the runbook and the annotation."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import pytest

from airplane_runbooks.server import Context, Field, runbook, task

FIELDS = "type, name, description, default, options, regex, optional, multiline, secret"
ADVICE = (
    "; annotations that are texts, such as all those after `from __future__ import annotations`, can only use names of "
    f"the module {__name__}, not those of a function around it"
)


def refused(function: Any, decorate: Any = runbook) -> str:
    with pytest.raises(TypeError) as caught:
        decorate(function)
    return str(caught.value)


def test_a_type_that_is_local_is_named_with_its_parameter() -> None:
    from airplane_runbooks.server import Context as Local

    def refund(context: Local, limit: int) -> None:
        """Do nothing."""

    expected = (
        f"refund: the annotation of parameter context, Local, cannot be resolved: name 'Local' is not defined{ADVICE}"
    )
    assert refused(refund) == expected
    assert refused(functools.wraps(refund)(lambda *_: None)) == expected


def test_a_local_type_of_a_result_is_named() -> None:
    class Local:
        """A type."""

    def audit(limit: int) -> list[Local]:
        raise NotImplementedError

    assert refused(audit, task) == (
        f"audit: the annotation of its result, list[Local], cannot be resolved: name 'Local' is not defined{ADVICE}"
    )


def test_a_problem_of_another_kind_has_no_advice() -> None:
    def refund(context: Context, limit: Field.size) -> None:  # type: ignore[name-defined]
        """Do nothing."""

    assert refused(refund) == (
        "refund: the annotation of parameter limit, Field.size, cannot be resolved: "
        "type object 'Field' has no attribute 'size'"
    )


def test_an_argument_that_a_field_lacks_names_its_parameter() -> None:
    def refund(context: Context, limit: Annotated[int, Field(minimum=1)]) -> None:  # type: ignore[call-arg]
        """Do nothing."""

    assert refused(refund) == (
        "refund: the annotation of parameter limit, Annotated[int, Field(minimum=1)], cannot be resolved: "
        f"Field has no argument 'minimum': it has {FIELDS}"
    )


def test_a_field_by_itself_lists_its_arguments() -> None:
    with pytest.raises(TypeError, match=f"^Field has no argument 'minimum': it has {FIELDS}$"):
        Field(int, minimum=1)  # type: ignore[call-arg]
    assert Field(int, name="Limit") == Field(type=int, name="Limit")
