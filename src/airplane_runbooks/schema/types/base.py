"""Base classes of parameter types, and the registry: the one place that knows which types there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from ..enums import ParameterType
from ..parameters import ParameterLike
from ..problems import NotEncodable, UnreadableText, ValueProblem

_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}

_canonical = msgspec.json.Encoder(order="deterministic").encode


class ElementReader(Protocol):
    """Reader of the parts of a container."""

    def read(self, parameter: ParameterLike, value: Any) -> Any:
        """Return the Python value of a parameter. Raises ValueProblem."""
        ...

    def read_element(self, parameter: ParameterLike | None, value: Any) -> Any:
        """Return the Python value of an element, as it is if no parameter describes it. Raises ValueProblem."""
        ...

    def read_members(
        self, parameters: Iterable[ParameterLike], values: Mapping[str, Any], *, allow_unknown: bool = False
    ) -> dict[str, Any]:
        """Return the Python values of an object's members. Raises ValueProblem."""
        ...


class ValueType:
    """Everything that depends on the type of a parameter. This base describes free JSON.

    A subclass overrides what is different, and `register` makes it known. Values come in three forms: as Python
    values, as JSON (what is sent and stored) and, on the server's pages, as text.

    Attributes:
        name: The type's name in schemas.
        name_on_the_wire: The name that servers tell clients, if not all of them know the type's own.
        python: The type that authors annotate parameters with; None if there is none.
        is_container: Whether values are made of the values of other parameters; constraints are for the others.
        is_text: Whether people may get room for several lines, and whether a value may be secret.
        null_is_a_value: Whether null counts as a value rather than as none.
    """

    name: ClassVar[ParameterType]
    name_on_the_wire: ClassVar[ParameterType | None] = None
    python: ClassVar[Any] = None
    is_container: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    null_is_a_value: ClassVar[bool] = True

    def read(self, value: Any, parameter: ParameterLike, reader: ElementReader) -> Any:
        """Return the Python value of a JSON value. Raises ValueProblem."""
        del parameter, reader
        return self.read_scalar(value)

    def read_scalar(self, value: Any) -> Any:
        """Return the same for a value that is not made of others. Raises ValueProblem."""
        return value

    def text_to_match(self, value: Any) -> str | None:
        """Return the text of a Python value that a regex is for, None if it has none."""
        return value if isinstance(value, str) else None

    def identity(self, value: Any) -> Hashable:
        """Return what tells a Python value from all others, 1 from 1.0 and true included."""
        return type(value), _canonical(value) if isinstance(value, dict | list) else value

    def unquote(self, value: Any, parameter: ParameterLike) -> Any:
        """Return the JSON value that a string spells, for clients that can send nothing else; else the value itself."""
        del parameter
        return value

    def label(self, value: Any) -> str:
        """Return the label of a JSON value among the options."""
        return as_text(value)

    def display(self, value: Any) -> str | None:
        """Return the text of a JSON value on a page; None to write it as JSON."""
        return yes_or_no(value)


class Scalar(ValueType, ABC):
    """Base of types whose values are not made of others, and that people type or choose.

    Attributes:
        wanted: A value of the type, in messages about others.
        enum_members: Plural of a name for the values, if the members of an enum may have them.
        control: The control that people fill in: the name of a template among the server's `controls`.
        instead_of_none: Labels and JSON values to choose from where there is no default, if the control itself cannot
            say that nothing has been chosen.
        hint: A sentence for people to read before they type.
        instruction: Message about a text that cannot be read: it says what to type.
        empty: JSON value of a control that had a default and was emptied; None if the default comes back.
    """

    null_is_a_value = False
    wanted: ClassVar[str]
    enum_members: ClassVar[str] = ""
    control: ClassVar[str] = "text"
    instead_of_none: ClassVar[Sequence[tuple[str, Any]]] = ()
    hint: ClassVar[str] = ""
    instruction: ClassVar[str] = "Enter a value."
    empty: ClassVar[Any] = None

    def encode(self, value: Any) -> Any:
        """Return the JSON value of a Python value, in plain types. Raises NotEncodable."""
        return value

    @abstractmethod
    def convert(self, value: Any) -> Any:
        """Return the Python value of a JSON value. Raises ValueError, TypeError or OverflowError if it has none."""

    def convert_text(self, text: str) -> Any:
        """Return the JSON value of a text in a control. Raises ValueError or KeyError if it has none."""
        return text.strip()

    def read_scalar(self, value: Any) -> Any:
        """Return the Python value of a JSON value. Raises ValueProblem."""
        try:
            return self.convert(value)
        except (ValueError, TypeError, OverflowError):
            raise mismatch(self.wanted, value) from None

    def show(self, value: Any) -> str | None:
        """Return the text of a JSON value in a control, None if it has none that a control can hold."""
        return as_text(value)

    def parse(self, text: str) -> Any:
        """Return the JSON value of a text in a control. Raises UnreadableText."""
        try:
            return self.convert_text(text)
        except (ValueError, KeyError):
            raise UnreadableText(self.instruction) from None

    def text_to_match(self, value: Any) -> str | None:
        """Return None: a regex is for texts."""
        del value
        return None

    def display(self, value: Any) -> str | None:
        """Return None: the JSON value is the text."""
        del value
        return None


TYPES: dict[ParameterType, ValueType] = {}
SCALARS: dict[type, Scalar] = {}  # by the Python type of their values; a subclass is of the first that it fits

_FREE = ValueType()

ValueTypeT = TypeVar("ValueTypeT", bound=ValueType)


def register(kind: type[ValueTypeT]) -> type[ValueTypeT]:
    """Make a parameter type known, to clients and servers alike."""
    made = TYPES[kind.name] = kind()
    if isinstance(made, Scalar):
        SCALARS[made.python] = made
    return kind


def type_of(name: ParameterType) -> ValueType:
    """Return what is known of a type; of one that is not known, that its values are free JSON."""
    return TYPES.get(name, _FREE)


def type_for(annotation: Any) -> ValueType | None:
    """Return the type that authors write so, None if there is none."""
    return next((one for one in TYPES.values() if one.python is annotation and annotation is not None), None)


def mismatch(wanted: str, value: Any) -> ValueProblem:
    """Return a problem that names the kind of the value in place of it."""
    return ValueProblem(f"expected {wanted}, got {_KINDS.get(type(value), 'null')}")


def array(value: Any) -> list[Any]:
    """Return a JSON array. Raises ValueProblem for anything else."""
    if not isinstance(value, list):
        raise mismatch("an array", value)
    return value


def object_(value: Any) -> dict[str, Any]:
    """Return a JSON object. Raises ValueProblem for anything else."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    return value


def string(value: Any) -> str:
    """Return a JSON string. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return value


def plain_text(value: Any) -> str:
    """Return a text as a plain `str`. Raises NotEncodable if it is not one."""
    if not isinstance(value, str):
        raise NotEncodable(f"must be a string, not {type(value).__name__}")
    text = str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise NotEncodable(f"has a lone surrogate at index {problem.start}, which is not text") from None
    return text


def as_text(value: Any) -> str:
    """Return a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def yes_or_no(value: Any) -> str | None:
    """Return a word for true or false, None for anything else."""
    return ("Yes" if value else "No") if isinstance(value, bool) else None
