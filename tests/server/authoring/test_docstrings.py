"""Descriptions of parameters in docstrings."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, Field, runbook
from airplane_runbooks.server.authoring.docstrings import parse

GOOGLE = """Refund an invoice.

It is final.

Args:
    customer: Whose it is,
        and no one else's.
    limit (int): In cents.

Returns:
    What came of it."""

SPHINX = """Refund an invoice.

:param customer: Whose it is,
    and no one else's.
:param int limit: In cents.
:returns: What came of it."""


@pytest.mark.parametrize(
    ("docstring", "rest"),
    [
        (GOOGLE, "Refund an invoice.\n\nIt is final.\n\nReturns:\n    What came of it."),
        (SPHINX, "Refund an invoice.\n\n:returns: What came of it."),
    ],
)
def test_descriptions_of_parameters_are_told_from_the_rest(docstring, rest):
    assert parse(docstring) == (rest, {"customer": "Whose it is, and no one else's.", "limit": "In cents."})


def test_a_docstring_without_parameters_stays_as_it_is():
    text = "Refund an invoice.\n\nNote: it is final.\n\n    customer: indented for another reason"
    assert parse(text) == (text, {})
    assert parse("") == ("", {})


@given(st.text(alphabet="ab :\n Args*()", max_size=80))
def test_parsing_a_docstring_never_fails(text):
    rest, found = parse(text)
    assert isinstance(rest, str)
    assert all(name.isidentifier() for name in found)


def test_descriptions_come_from_the_field_or_the_docstring():
    @runbook
    def described(context: Context, a: str, b: Annotated[str, Field(description="Of its own")], c: str) -> None:
        """Do it.

        :param a: The first.
        :param b: The second.
        """

    assert [parameter.desc for parameter in described.parameters] == ["The first.", "Of its own", ""]
    assert described.description == "Do it."
