"""Parameters, as far as this package uses them. The models in `models.common` have these attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .enums import ParameterType


class ConstraintsLike(Protocol):
    """Limits on a parameter's value; see `models.Constraints`."""

    @property
    def optional(self) -> bool:
        """True if null is accepted."""
        ...

    @property
    def regex(self) -> str:
        """Pattern that a text must match as a whole."""
        ...

    @property
    def options(self) -> Any:
        """The only values allowed."""
        ...

    @property
    def allow_unknown_keys(self) -> bool:
        """True if an object may have members that no parameter describes."""
        ...


class ParameterLike(Protocol):
    """One entry of a parameter schema; see `models.Parameter`."""

    @property
    def slug(self) -> str:
        """Name of its value."""
        ...

    @property
    def type(self) -> ParameterType:
        """Type of its value, or of each element if it is `multi`."""
        ...

    @property
    def default(self) -> Any:
        """Value in place of a missing or null one."""
        ...

    @property
    def constraints(self) -> ConstraintsLike:
        """Limits on its value."""
        ...

    @property
    def values(self) -> ParameterLike | None:
        """Parameter that describes the elements of a list or map."""
        ...

    @property
    def members(self) -> Sequence[ParameterLike]:
        """Parameters that describe the members of an object."""
        ...

    @property
    def multi(self) -> bool:
        """True if its value is a list of `type`."""
        ...

    @property
    def secret(self) -> bool:
        """True if its value is hidden from view."""
        ...
