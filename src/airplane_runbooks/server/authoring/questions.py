"""The question of a prompt, taken from the arguments of `context.prompt`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from ...models import Parameter, Reviewers
from ..logs import class_name
from ..storage.encoding import text
from .fields import enum_converter, parameter
from .values import OpenUpload, convert

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
        answer: type[msgspec.Struct] | None,
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
        self._answer = answer
        form = {slug: (hint, None) for slug, hint in fields.items()} if answer is None else _form(answer, fields)
        self.parameters: tuple[Parameter, ...] = tuple(parameter(slug, *field) for slug, field in form.items())
        self._enum_converters = {slug: enum_converter(hint) for slug, (hint, _) in form.items()}
        self.confirm_text = text(confirm_text, "the confirm_text of a prompt")
        self.cancel_text = text(cancel_text, "the cancel_text of a prompt")
        self.expires_in = expires_in

    def read(self, answer: Mapping[str, Any], open_upload: OpenUpload) -> Any:
        """Return the Python values of a stored answer, as its struct if it has one. Raises Invalid, naming the path.

        `open_upload` returns an upload that the runbook can open.
        """
        values = convert(self.parameters, answer, "values", self._enum_converters, open_upload)
        return values if self._answer is None else _filled(self._answer, values)


def _form(answer: type[msgspec.Struct], fields: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the types and defaults of a struct's fields by slug."""
    if not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        raise TypeError(f"the answer of a prompt is described by a msgspec struct, not by {class_name(type(answer))}")
    if fields:
        raise TypeError(f"the fields of this prompt are those of {answer.__name__}: add {', '.join(fields)} to it")
    return {field.encode_name: (field.type, _default(field)) for field in msgspec.structs.fields(answer)}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _filled(answer: type[msgspec.Struct], values: Mapping[str, Any]) -> msgspec.Struct:
    names = dict(zip(answer.__struct_encode_fields__, answer.__struct_fields__, strict=True))
    return answer(**{names[slug]: value for slug, value in values.items()})


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
