"""Forms: from a schema to the fields of a form, and from a posted form to JSON values. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ....models import Parameter
from ....schema.problems import NotEncodable, UnreadableText, ValueProblem
from ....schema.reading import CheckedValues
from ...storage.encoding import encode
from .widgets import (
    Choice,
    Json,
    Line,
    OneOf,
    Widget,
    widget_for,
)

Posted = Mapping[str, Sequence[str]]

_PREFIX = "field-"  # a slug may equal the name of a field of the form itself


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a form, ready for its template.

    Attributes:
        name: Its name in the form, and the beginning of its elements' IDs.
        control: See `Widget`.
        texts: Its content: typed or chosen by the person, or else the default. Empty if it is secret.
        choices: The options to choose from.
        none: Label of the choice of none; empty if one has to be chosen, and for other controls.
        hints: Sentences for people to read before they type.
        error: Message for people if the content has to be corrected.
    """

    name: str
    label: str
    description: str
    control: str
    texts: Sequence[str]
    choices: Sequence[Choice] = ()
    none: str = ""
    hints: Sequence[str] = ()
    error: str = ""
    optional: bool = False
    required: bool = False
    code: bool = False

    @property
    def text(self) -> str:
        """Content of a control that holds one text."""
        return self.texts[-1] if self.texts else ""

    @property
    def is_file(self) -> bool:
        """True if the control is for files."""
        return self.control in ("file", "files")

    @property
    def files(self) -> Sequence[tuple[str, str]]:
        """The texts of files that have been sent before, each with the name of the file, or else its ID."""
        return [(text, text.partition(" ")[2] or text) for text in self.texts if text.strip()]

    @property
    def is_group(self) -> bool:
        """True if the control has a box for each choice."""
        return self.control in ("radios", "checkboxes")

    @property
    def target(self) -> str:
        """The ID of the element to go to in order to correct the field."""
        return f"{self.name}-0" if self.is_group else self.name

    @property
    def described_by(self) -> str:
        """IDs of the elements that explain the field."""
        parts = {"about": self.description, "hint": self.hints, "error": self.error}
        return " ".join(f"{self.name}-{part}" for part, text in parts.items() if text)


class Filled(msgspec.Struct, frozen=True):
    """A posted form: as it was filled in, and the values of the fields without an error.

    Attributes:
        values: Values in JSON; CheckedValues if all of them fit the parameters of the form.
        fields: Fields of the form that shows the errors.
    """

    values: Mapping[str, Any] | CheckedValues
    fields: Sequence[Field]

    @property
    def errors(self) -> Sequence[Field]:
        """The fields that have to be corrected."""
        return [field for field in self.fields if field.error]


def blank(parameters: Iterable[Parameter]) -> Sequence[Field]:
    """Return the fields of a form with the defaults filled in."""
    widgets = map(widget_for, parameters)
    return [_field(widget, _default(widget)) for widget in widgets]


def of_link(parameters: Iterable[Parameter], texts: Callable[[str], Sequence[str]]) -> Sequence[Field]:
    """Return the fields of a form that a link fills in. `texts` returns those of a slug; secrets are left empty."""
    widgets = map(widget_for, parameters)
    return [_prefilled(widget, texts(widget.parameter.slug) or None, widget.fill) for widget in widgets]


def of_values(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> Sequence[Field]:
    """Return the fields of a form with the JSON values that another one gave; secrets are left empty."""
    widgets = map(widget_for, parameters)
    return [_prefilled(widget, values.get(widget.parameter.slug), widget.show) for widget in widgets]


def _prefilled(widget: Widget, value: Any, texts_of: Callable[[Any], Sequence[str] | None]) -> Field:
    if widget.parameter.secret or value is None:
        return _field(widget, _default(widget))
    try:
        texts = texts_of(value)
        if texts is not None and not widget.is_empty(texts):
            widget.read(texts)
    except (UnreadableText, ValueProblem, TypeError, ValueError):
        texts = None
    if texts is None or any("\0" in text for text in texts):
        return _field(widget, _default(widget), "The value that was to be filled in here does not fit: enter it anew.")
    return _field(widget, [text.replace("\r\n", "\n") for text in texts])


def is_decision(parameters: Sequence[Parameter]) -> bool:
    """Tell whether a form asks for nothing but a yes or no, so that two buttons are enough."""
    if len(parameters) != 1:
        return False
    (parameter,), (field,) = parameters, blank(parameters)
    return field.required and len(field.choices) == 2 and not parameter.constraints.options


def fill(parameters: Iterable[Parameter], posted: Posted) -> Filled:
    """Read a posted form, in which a text has the newlines of the platform it was typed on."""
    values: dict[str, Any] = {}
    checked: list[CheckedValues] = []
    fields = []
    for widget in map(widget_for, parameters):
        slug = widget.parameter.slug
        texts = [text.replace("\r\n", "\n") for text in posted.get(_PREFIX + slug, ())]
        error = ""
        try:
            values[slug] = _value(widget, texts)
            checked += _checked(widget, texts, values[slug])
        except UnreadableText as problem:
            error = str(problem)
        fields.append(_field(widget, [] if widget.parameter.secret else texts, error))
    return Filled(CheckedValues.joined(checked) if len(checked) == len(fields) else values, fields)


def _value(widget: Widget, texts: Sequence[str]) -> Any:
    """Return the JSON value of a widget. Raises UnreadableText."""
    value = widget.empty() if widget.is_empty(texts) else widget.read(texts)
    try:
        encode(value)
    except (NotEncodable, RecursionError):
        raise UnreadableText("This cannot be kept: it is too large, too deep or not text.") from None
    return value


def _checked(widget: Widget, texts: Sequence[str], value: Any) -> Iterable[CheckedValues]:
    """Return the value checked; nothing if only the service can check it. Raises UnreadableText."""
    parameter = widget.parameter
    is_given = value is not None or not widget.is_empty(texts)
    if not is_given and parameter.default is None and not parameter.constraints.optional:
        raise UnreadableText(widget.missing)
    if not is_given and parameter.secret:  # its default is a mask
        return ()
    try:
        return [CheckedValues([parameter], {parameter.slug: value})]
    except ValueProblem as problem:
        where = "".join(reversed(problem.steps[:-1]))
        where = f"in {where[1:]}" if where.startswith(".") else where
        raise UnreadableText(_sentence(f"{where}: {problem}" if where else str(problem))) from None


def name_of(parameter: Parameter) -> str:
    """Return the name of a parameter's field in a form."""
    return _PREFIX + parameter.slug


def _field(widget: Widget, texts: Sequence[str], error: str = "") -> Field:
    parameter = widget.parameter
    limits = parameter.constraints
    may_be_empty = limits.optional or parameter.default is not None or widget.empty() is not None
    return Field(
        name=_PREFIX + parameter.slug,
        label=parameter.name or parameter.slug,
        description=parameter.desc,
        control=widget.control,
        texts=texts,
        choices=widget.choices,
        none=_none(widget),
        hints=list(_hints(widget)),
        error=error,
        optional=limits.optional and parameter.default is None,
        required=not may_be_empty and widget.control != "checkbox",
        code=isinstance(widget, Json) or parameter.component == "editor-sql",
    )


def _default(widget: Widget) -> Sequence[str]:
    default = None if widget.parameter.secret else widget.parameter.default
    return [] if default is None else widget.show(default) or []


def _none(widget: Widget) -> str:
    if not isinstance(widget, OneOf) or widget.control == "checkboxes":
        return ""
    if widget.allows_none:
        return "No answer"
    if widget.parameter.default is not None:
        return "The default" if widget.parameter.secret else ""
    return "Choose one" if widget.control == "select" else ""


def _hints(widget: Widget) -> Iterable[str]:
    parameter = widget.parameter
    if widget.hint:
        yield widget.hint
    if parameter.constraints.regex:
        yield f"Has to match {parameter.constraints.regex}"
    if parameter.default is not None and isinstance(widget, Line | Json) and widget.empty() is None:
        shown = "" if parameter.secret else (widget.show(parameter.default) or [""])[0]
        short = shown and len(shown) <= 40 and "\n" not in shown
        yield f"Left empty, it is {shown}." if short else "Left empty, it is the default."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
