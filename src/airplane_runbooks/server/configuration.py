"""Settings from texts: variables of the environment, files with secrets, and options of the command line.

Names, kinds, defaults and descriptions are those of the fields of `Settings`, `Listener` and `Limits`. A setting whose
values are objects of Python has an argument alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache, partial
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin, get_type_hints

import msgspec

from .authoring.docstrings import parse as parse_docstring
from .bounds import describe_bounds
from .deliveries.reading import UnusableTargetError, read_targets
from .service.config_variables import ConfigVariable
from .service.identity import User
from .settings import FILE, Listener, Options, Settings
from .web.limits import Limits

SERVED: Mapping[str, Any] = {"database": FILE, "capture_logs": True, "access_log": True}
"""Defaults of `serve` that differ from those of `Settings`."""

_DURATION = re.compile(r"([0-9]{1,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
_LONGEST_FILE = 1024 * 1024  # bytes


class _User(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    email: str
    api_key: str | list[str]
    groups: list[str] = []


class Kind(NamedTuple):
    """A way to read values: the name of their form, its description, the function that reads a text, and secrecy."""

    form: str
    words: str
    parse: Callable[[str], Any]
    is_secret: bool = False


class Setting(NamedTuple):
    """One setting. `kind` is None if its values cannot be written as text. `group` is the struct with its field."""

    name: str
    kind: Kind | None
    default: Any
    description: str
    group: type[msgspec.Struct]

    @property
    def variable(self) -> str:
        """Name of the environment variable. That of a file with a secret has the suffix `_FILE`."""
        return f"AIRPLANE_{self.name.upper()}"

    @property
    def option(self) -> str:
        """Name of the option of the command line. It is the path of a file if values are secrets."""
        suffix = "-file" if self.kind is not None and self.kind.is_secret else ""
        return f"--{self.name.replace('_', '-')}{suffix}"

    @property
    def metavar(self) -> str:
        """Placeholder of the value in the help of the command line."""
        return "URL" if self.name in ("database", "public_url") else cast("Kind", self.kind).form

    def read(self, source: str, text: str) -> Any:
        """Return the value that a text stands for. Raises ValueError that names the source, and shows no secret."""
        kind = cast("Kind", self.kind)
        if kind.is_secret and not text.strip():  # such as a file that was mounted too late; it must not count as unset
            raise ValueError(f"{source} is empty: it must be {kind.words}")
        try:
            value = kind.parse(text)
        except UnusableTargetError as problem:
            raise ValueError(f"{source}: {problem}") from None
        except (ValueError, msgspec.DecodeError) as problem:
            shown = _place(str(problem)) if kind.is_secret else f", not {text[:100]!r}"
            raise ValueError(f"{source} must be {kind.words}{shown}") from None
        try:
            self.group(**{self.name: value})
        except (TypeError, ValueError) as problem:
            raise ValueError(f"{source}: {problem}") from None
        return value


@cache
def all_settings() -> Sequence[Setting]:
    """Return the definitions of all settings: first those of `Listener`, then of `Settings`, then of `Limits`."""
    return [
        setting
        for group in (Listener, Settings, Limits)
        for setting in _settings_of(group)
        if setting.name != "limits"  # whose fields are settings of their own
    ]


def read_settings(environ: Mapping[str, str], options: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return the settings that options and variables give, as arguments of `serve`. Options take precedence.

    An option of a secret has the secret as its text here. Empty variables count as not set. Raises ValueError that
    names the option or the variable.
    """
    found: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for setting in all_settings():
        if setting.kind is not None and (given := _find(setting, environ, options)):
            (limits if setting.group is Limits else found)[setting.name] = setting.read(*given)
    return {**found, "limits": Limits(**limits)} if limits else found


def options_from_environment() -> Options:
    """Return the settings in the environment, as arguments of `create_app` and `RunbookServer`.

    The variables are `AIRPLANE_` and the name of a setting in capitals, such as `AIRPLANE_PUBLIC_URL`; host, port and
    key are not among them. Raises ValueError that names the variable with an invalid value.
    """
    found = read_settings(os.environ)
    return cast("Options", {name: value for name, value in found.items() if name in Options.__annotations__})


def _find(setting: Setting, environ: Mapping[str, str], options: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the text of a setting behind the name of its source."""
    variable, file = setting.variable, f"{setting.variable}_FILE"
    if (text := options.get(setting.name)) is not None:
        return setting.option, text
    if cast("Kind", setting.kind).is_secret and (path := environ.get(file)):
        if environ.get(variable):
            raise ValueError(f"{variable} and {file} exclude each other")
        return file, _read_file(file, Path(path))
    text = environ.get(variable)
    return (variable, text) if text else None


def _place(problem: str) -> str:
    """Name the entry of a JSON list, and the member, that msgspec refuses. Names in the text may be secrets, too."""
    entry = re.search(r"at `\$\[([0-9]+)\](?:\.(\w+))?", problem)
    if entry is None:
        return ""
    missing = re.search(r"missing required field `(\w+)`", problem)
    if missing is not None:
        fault = f"lacks {missing[1]!r}"
    elif "unknown field" in problem:
        fault = "has a member that is not one of these"
    else:
        fault = f"has a wrong {entry[2]!r}" if entry[2] else "is not an object"
    return f"; entry {int(entry[1]) + 1} {fault}"


def _read_file(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode()
    except OSError as problem:
        raise ValueError(f"{variable}: cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{variable}: {path} is not a text file") from None


def _settings_of(group: type[msgspec.Struct]) -> list[Setting]:
    descriptions = parse_docstring(getdoc(group) or "")[1]
    hints = get_type_hints(group, include_extras=True)
    return [
        Setting(field.name, _kind(field.name, hints[field.name]), _default(field), descriptions[field.name], group)
        for field in msgspec.structs.fields(group)
    ]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _kind(name: str, hint: Any) -> Kind | None:
    if name in _SECRETS:
        return _SECRETS[name]
    if get_origin(hint) is Annotated:
        return Kind("NUMBER", describe_bounds(hint), get_args(hint)[0])
    kinds = [kind for kind in get_args(hint) if kind is not NoneType] if isinstance(hint, UnionType) else [hint]
    return _KINDS.get(kinds[0])


def _parse_list(text: str) -> list[str]:
    return re.split(r"[\s,]+", text.strip())


def _parse_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _parse_flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


def _parse_keys(text: str) -> list[str]:
    return text.strip().splitlines()


def _parse_users(text: str) -> list[User]:
    return [User(one.email, one.api_key, one.groups) for one in msgspec.json.decode(text, type=list[_User])]


def _parse_variables(text: str) -> Mapping[str, str | ConfigVariable]:
    return msgspec.json.decode(text, type=dict[str, str | ConfigVariable])


_KINDS: Mapping[Any, Kind] = {
    str: Kind("TEXT", "a text", str.strip),
    bool: Kind("true|false", "true or false", _parse_flag),
    timedelta: Kind("DURATION", "a duration such as 30d, 12h, 45m or 10s", _parse_duration),
    Sequence[str]: Kind("LIST", "a list with commas", _parse_list),
}
_secret = partial(Kind, "FILE", is_secret=True)
_SECRETS: Mapping[str, Kind] = {
    "api_key": _secret("one key a line", _parse_keys),
    "encryption_key": _secret("a Fernet key, or several with commas", str.strip),
    "config_variables": _secret('a JSON object such as {"name": "value"}', _parse_variables),
    "notify": _secret('a JSON list of {"kind": "webhook", "url": ..., "secret": ...} and "slack"', read_targets),
    "users": _secret('a JSON list of {"email": ..., "apiKey": ..., "groups": [...]}', _parse_users),
}
