"""The question of a prompt, taken from the arguments of `context.prompt`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ...models import Parameter, Reviewers
from ..logs import class_name
from ..storage.encoding import text
from .fields import enum_converter, parameter
from .values import convert

_LONGEST_EXPIRY = timedelta(days=365_000)  # the calendar ends with the year 9999


class Question:
    """A question to a human. Raises TypeError and ValueError for arguments that do not make one.

    Attributes:
        description: The text that the human reads.
        parameters: The fields of the answer.
        reviewers: The people who may answer.
        confirm_text: Label of the button that submits.
        cancel_text: Label of the button that cancels.
        expires_in: Time for the answer; None means no limit.
    """

    def __init__(
        self,
        description: str,
        fields: Mapping[str, Any],
        *,
        reviewers: Reviewers | None,
        confirm_text: str,
        cancel_text: str,
        expires_in: timedelta | None,
    ) -> None:
        _check_types(reviewers=(reviewers, Reviewers), expires_in=(expires_in, timedelta))
        _check_types(confirm_text=(confirm_text, str), cancel_text=(cancel_text, str))
        if expires_in is not None and not timedelta(0) < expires_in <= _LONGEST_EXPIRY:
            raise ValueError("expires_in= must be positive and at most 1,000 years")
        self.reviewers = _checked_reviewers(reviewers or Reviewers())
        self.description = text(description, "the description of a prompt")
        self.parameters: tuple[Parameter, ...] = tuple(
            parameter(slug, annotation) for slug, annotation in fields.items()
        )
        self._enum_converters = {slug: enum_converter(annotation) for slug, annotation in fields.items()}
        self.confirm_text = text(confirm_text, "the confirm_text of a prompt")
        self.cancel_text = text(cancel_text, "the cancel_text of a prompt")
        self.expires_in = expires_in

    def read(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Python values of a stored answer. Raises Invalid, naming the path."""
        return convert(self.parameters, answer, "values", self._enum_converters)


def _check_types(**options: tuple[object, type]) -> None:
    """Refuse an option of another type: it was perhaps meant for a field of the same name."""
    for name, (value, kind) in options.items():
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{name}= is an option of the prompt and must be {kind.__name__}, not {class_name(type(value))}: "
                "a field needs another name"
            )


def _checked_reviewers(reviewers: Reviewers) -> Reviewers:
    listed: dict[str, Any] = {"user": reviewers.users, "group": reviewers.groups}  # models do not check types
    for kind, names in listed.items():
        if isinstance(names, str):
            raise TypeError(f"Reviewers.{kind}s must be a sequence of strings, not one string")
        for name in names:
            text(name, f"a {kind} in Reviewers.{kind}s")
    return reviewers
