"""Widgets of a form: the control that asks for a value of each schema, and the way of a JSON value into it and back.

A control holds texts, as a browser posts them: none, one, or several under one name. Pure: no I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ....models import Component, Parameter
from ....schema.problems import UnreadableText, ValueProblem
from ....schema.reading import ValueReader
from ....schema.types import Scalar, type_of
from ....schema.types.base import as_text
from ....schema.types.references import Upload
from ...storage.encoding import decode

_MOST_RADIOS = 5
_AREAS = (Component.TEXTAREA, Component.EDITOR_SQL)


class Choice(msgspec.Struct, frozen=True):
    """One of several to choose from: its position, which is what the browser posts, and its label."""

    key: str
    label: str


class Widget(ABC):
    """A control for one parameter.

    Attributes:
        control: Name of its template in `templates/controls`.
        missing: Message for people who leave out a required value.
        choices: The options to choose from.
        hint: A sentence for people to read before they type.
    """

    missing: ClassVar[str] = "Enter a value."
    choices: Sequence[Choice] = ()
    hint: str = ""

    def __init__(self, parameter: Parameter, control: str) -> None:
        self.parameter = parameter
        self.control = control

    @abstractmethod
    def show(self, value: Any) -> list[str] | None:
        """Return the texts that stand for a JSON value, None if the control cannot hold it."""

    @abstractmethod
    def read(self, texts: Sequence[str]) -> Any:
        """Return the JSON value that texts stand for. Raises UnreadableText."""

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return the texts that stand for the plain texts of a link, None if the control cannot hold them."""
        return self.show(texts[-1])

    def is_empty(self, texts: Sequence[str]) -> bool:
        """Return True if nothing has been typed or chosen."""
        return not any(texts)

    def empty(self) -> Any:
        """Return the value of an empty control; None for no value at all."""
        return None


class Line(Widget):
    """A scalar as one text."""

    def __init__(self, parameter: Parameter, kind: Scalar, control: str) -> None:
        super().__init__(parameter, control)
        self._kind = kind
        self.hint = kind.hint

    def show(self, value: Any) -> list[str] | None:
        """Return the text of a scalar, None if it has none or does not fit on the lines there are."""
        text = self._kind.show(value)
        lost = "\0\r" if self.control == "area" else "\0\r\n"
        return None if text is None or any(character in text for character in lost) else [text]

    def read(self, texts: Sequence[str]) -> Any:
        """Return the scalar. Raises UnreadableText."""
        return self._kind.parse(texts[-1])

    def empty(self) -> Any:
        """Return the value of a control whose default has been deleted, if the type has one for that."""
        return self._kind.empty if self.parameter.default is not None and self.control != "password" else None


class Lines(Widget):
    """A list of scalars, each on a line of its own; blank lines do not count."""

    def __init__(self, parameter: Parameter, kind: Scalar) -> None:
        super().__init__(parameter, "area")
        self._kind = kind
        self.hint = f"One on each line. {kind.hint}".strip()

    def show(self, value: Any) -> list[str] | None:
        """Return the lines, None if an element is blank or has several."""
        lines = [self._kind.show(item) for item in value]
        if any(line is None or not line.strip() or any(lost in line for lost in "\0\r\n") for line in lines):
            return None
        return ["\n".join(line or "" for line in lines)]

    def read(self, texts: Sequence[str]) -> Any:
        """Return the list. Raises UnreadableText, naming the line."""
        return [
            self._element(number, line) for number, line in enumerate(texts[-1].split("\n"), start=1) if line.strip()
        ]

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return a line for each text, None if one of them is blank or has several."""
        return self.show(texts)

    def _element(self, number: int, line: str) -> Any:
        try:
            return self._kind.parse(line)
        except UnreadableText as problem:
            raise UnreadableText(f"Line {number}: {problem}") from None

    def is_empty(self, texts: Sequence[str]) -> bool:
        """Return True if all lines are blank."""
        return not any(text.strip() for text in texts)

    def empty(self) -> Any:
        """Return the empty list, unless the value may be left out."""
        return _empty_list(self.parameter)


class Json(Widget):
    """Any value, as JSON."""

    missing = "Enter JSON."
    hint = "As JSON."

    def show(self, value: Any) -> list[str] | None:
        """Return the value as indented JSON."""
        return [msgspec.json.format(msgspec.json.encode(value), indent=2).decode()]

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value. Raises UnreadableText."""
        try:
            return decode(texts[-1].encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise UnreadableText('This is not JSON. Texts need double quotes: "like this".') from None

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return the text, which is JSON already."""
        return [texts[-1]]

    def is_empty(self, texts: Sequence[str]) -> bool:
        """Return True if there is nothing but space."""
        return not any(text.strip() for text in texts)


class Files(Widget):
    """An upload, or a list of them: files to be chosen, or IDs of those sent before with their names behind them."""

    missing = "Choose a file."

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter, "files" if parameter.multi else "file")

    def show(self, value: Any) -> list[str] | None:
        """Return the IDs with the names."""
        return [_shown_file(item) for item in (value if self.parameter.multi else [value])]

    def read(self, texts: Sequence[str]) -> Any:
        """Return the IDs."""
        ids = [text.partition(" ")[0] for text in texts if text.strip()]
        return ids if self.parameter.multi else ids[-1]

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return the IDs of a link."""
        return list(texts)

    def is_empty(self, texts: Sequence[str]) -> bool:
        """Return True if there is no file."""
        return not any(text.strip() for text in texts)

    def empty(self) -> Any:
        """Return the empty list where there may be several files, unless the value may be left out."""
        return _empty_list(self.parameter) if self.parameter.multi else None


def _shown_file(value: Any) -> str:
    return f"{value['id']} {value.get('fileName', '')}".strip() if isinstance(value, dict) else as_text(value)


class Flag(Widget):
    """Yes or no; a browser posts nothing for no."""

    def show(self, value: Any) -> list[str] | None:
        """Return a text for yes, none for no."""
        return ["on"] if value else []

    def read(self, texts: Sequence[str]) -> Any:
        """Return True if it was ticked."""
        return bool(texts)

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return a text for `true`, none for `false`."""
        return {"true": ["on"], "false": []}.get(texts[-1])

    def is_empty(self, texts: Sequence[str]) -> bool:
        """Return False: an unticked box is an answer, too."""
        del texts
        return False


class OneOf(Widget):
    """One of the options, by its position."""

    missing = "Choose one."

    def __init__(self, parameter: Parameter, options: Sequence[tuple[str, Any]]) -> None:
        few = len(options) <= _MOST_RADIOS and all(len(label) <= 80 for label, _ in options)
        super().__init__(parameter, "radios" if few else "select")
        self.values = [value for _, value in options]
        self.choices = [Choice(str(position), label) for position, (label, _) in enumerate(options)]

    @property
    def allows_none(self) -> bool:
        """True if no option has to be chosen. With a default one always is."""
        return self.parameter.constraints.optional and self.parameter.default is None

    def show(self, value: Any) -> list[str] | None:
        """Return the position of the option, None for any other value."""
        wanted = _identity(self.parameter, value)
        return next(([str(n)] for n, one in enumerate(self.values) if _identity(self.parameter, one) == wanted), None)

    def read(self, texts: Sequence[str]) -> Any:
        """Return the option. Raises UnreadableText."""
        return self._option(texts[-1])

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return the position of the option that is written so, None if there is none."""
        return self._position(texts[-1])

    def _position(self, text: str) -> list[str] | None:
        return next(([str(n)] for n, value in enumerate(self.values) if as_text(value) == text), None)

    def _option(self, key: str) -> Any:
        position = next((n for n, choice in enumerate(self.choices) if choice.key == key), None)
        if position is None:
            raise UnreadableText("Choose one of those on the list.")
        return self.values[position]


class SomeOf(OneOf):
    """Any of the options, in their order."""

    def __init__(self, parameter: Parameter, options: Sequence[tuple[str, Any]]) -> None:
        super().__init__(parameter, options)
        self.control = "checkboxes"

    def show(self, value: Any) -> list[str] | None:
        """Return the positions of the options, None if there are others, or in another order."""
        shown = [super(SomeOf, self).show(item) for item in value]
        keys = [one[0] for one in shown if one]
        in_order = sorted(set(keys), key=int) == keys
        return keys if in_order and len(keys) == len(shown) else None

    def fill(self, texts: Sequence[str]) -> list[str] | None:
        """Return the positions of the options that are written so, None if one is missing."""
        positions = [self._position(text) for text in texts]
        keys = {position[0] for position in positions if position}
        return None if None in positions else sorted(keys, key=int)

    def read(self, texts: Sequence[str]) -> Any:
        """Return the options. Raises UnreadableText."""
        return [self._option(key) for key in texts]

    def empty(self) -> Any:
        """Return the empty list, unless the value may be left out."""
        return _empty_list(self.parameter)


def widget_for(parameter: Parameter) -> Widget:
    """Return the widget of a parameter: one that can hold the default, so that an untouched form says the default."""
    chosen = _preferred(parameter)
    default = None if parameter.secret else parameter.default
    if default is None or _holds(chosen, default):
        return chosen
    kind = type_of(parameter.type)
    if isinstance(chosen, Line) and isinstance(kind, Scalar) and chosen.control == "text":
        area = Line(parameter, kind, "area")
        if _holds(area, default):
            return area
    return Json(parameter, "area")


def _preferred(parameter: Parameter) -> Widget:
    if options := _options(parameter):
        return SomeOf(parameter, options) if parameter.multi else OneOf(parameter, options)
    kind = type_of(parameter.type)
    if not isinstance(kind, Scalar):
        return Json(parameter, "password" if parameter.secret else "area")
    if kind.python is Upload:
        return Files(parameter)
    if parameter.multi:
        return Json(parameter, "password") if parameter.secret else Lines(parameter, kind)
    if kind.control == "checkbox":
        return Flag(parameter, kind.control)
    if parameter.secret:
        return Line(parameter, kind, "password")
    has_lines = kind.control == "text" and parameter.component in _AREAS
    return Line(parameter, kind, "area" if has_lines else kind.control)


def _options(parameter: Parameter) -> list[tuple[str, Any]]:
    """Return labels and values to choose from, none if they are not limited, or not so that it can be known here."""
    kind, given = type_of(parameter.type), parameter.constraints.options
    if not isinstance(given, list | tuple):
        given = ()
    options = [option if isinstance(option, dict) else {"value": option} for option in given]
    if all("value" in option for option in options) and options:
        return [(str(option.get("label") or kind.label(option["value"])), option["value"]) for option in options]
    if parameter.multi or parameter.default is not None or not isinstance(kind, Scalar):
        return []
    return list(kind.instead_of_none)


def _holds(widget: Widget, value: Any) -> bool:
    try:
        texts = widget.show(value)
        if texts is None:
            return False
        back = widget.empty() if widget.is_empty(texts) else widget.read(texts)
        same = ValueReader(strict=True).read
        return bool(same(widget.parameter, back) == same(widget.parameter, value))
    except (ValueProblem, TypeError):
        return False


def _empty_list(parameter: Parameter) -> list[Any] | None:
    return None if parameter.constraints.optional and parameter.default is None else []


def _identity(parameter: Parameter, value: Any) -> tuple[type, Any]:
    try:
        value = type_of(parameter.type).read_scalar(value)
        return type(value), value if not isinstance(value, dict | list) else as_text(value)
    except ValueProblem:
        return type(None), None
