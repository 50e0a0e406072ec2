"""Models that several resources share: parameters, their constraints, permissions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..schema.encoding import ParamValue
from ..schema.enums import Component, ParameterType
from .base import Model
from .enums import Role


class Constraints(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Limits on a parameter's value. `optional` means nullable; `regex` is RE2 and must match the whole value."""

    optional: bool = False
    regex: str = ""
    options: Any = None
    allow_unknown_keys: bool = False


class Parameter(Model, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a parameter schema. `multi` marks a list of `type`; `values` the elements of a list or map.

    `secret` marks a value that servers hide; only servers of this package send it.
    """

    slug: str = ""
    name: str = ""
    desc: str = ""
    type: ParameterType = ParameterType.ANY
    component: Component = Component.DEFAULT
    default: Any = None
    constraints: Constraints = Constraints()
    params: tuple[Parameter, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    values: Parameter | None = None
    multi: bool = False
    secret: bool = False

    @property
    def members(self) -> tuple[Parameter, ...]:
        """Members of an object parameter; the wire says `params` on sessions and runs, `parameters` on prompts."""
        return self.params or self.parameters


class ParameterSchema(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A list of parameters in the wrapped form `{"parameters": [...]}`."""

    parameters: tuple[Parameter, ...] = ()

    def validate(self, values: Mapping[str, ParamValue], root: str = "values") -> dict[str, Any]:
        """Check values against the schema and return them as Python values, one for each parameter.

        Takes the values that `param_values` accepts, and JSON that a server has returned. Defaults replace missing and
        null values; None stands for an optional parameter without a value. Dates come back as `date`, datetimes aware
        and in UTC, references as ConfigVar and Upload, enums as their values, JSON unchanged. `msgspec.convert` turns
        the result into a class of yours. Values that only the server can decide about pass: those with options that it
        computes, with regexes beyond the common part of RE2, and of types that this version does not know.

        Raises ParamValueError, with the path below `root` and nothing of the value, for a missing required value, a
        wrong type, a broken constraint, an unknown slug, and everything that `param_values` refuses.
        """
        from ..schema.reading import validate  # late: few clients validate, and it brings an engine for regexes along

        return validate(self.parameters, values, root)


class Failure(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reason for which a session or run has failed, as far as the server tells it.

    Attributes:
        kind: Name of the exception's class.
        message: Its message, in which the server has masked secrets.
        step: Of a session: name of the step that failed, and whose exception this was; None if the runbook itself did.
        step_run_id: ID of the run of that step.
    """

    kind: str = ""
    message: str = ""
    step: str | None = None
    step_run_id: str | None = msgspec.field(default=None, name="stepRunID")


class AttemptFailure(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Failure of an attempt of a step that was tried again.

    Attributes:
        attempt: Number of the attempt, from 1.
        kind: Name of the exception's class.
        message: Its message, in which the server has masked secrets.
    """

    attempt: int = 1
    kind: str = ""
    message: str = ""


class Hold(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reason for which a server neither executes a session nor takes answers to its prompts for now.

    Attributes:
        code: Machine-readable reason, such as `code_changed`.
        message: The reason in words.
    """

    code: str = ""
    message: str = ""


class Permission(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Permission of a user or group to act on a private object."""

    action: str = ""
    role_id: Role | None = msgspec.field(default=None, name="roleID")
    sub_user_id: str | None = msgspec.field(default=None, name="subUserID")
    sub_group_id: str | None = msgspec.field(default=None, name="subGroupID")
