"""Options of the command line for the settings of a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from ..server.configuration import Setting


class SettingsCommand(click.Command):
    """Command with an option for each setting. Commands that need no server do not load it for them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of settings and the parameters of the command."""
        return [*_setting_options(), *super().get_params(ctx)]


def _setting_options() -> Iterator[click.Option]:
    try:
        from ..server.configuration import SERVED, all_settings
    except ModuleNotFoundError as missing:
        raise click.UsageError(str(missing)) from None
    for setting in all_settings():
        if setting.kind is not None:
            default = SERVED.get(setting.name, setting.default)
            yield _option(setting, None if setting.kind.is_secret else default, is_file=setting.kind.is_secret)


def _option(setting: Setting, default: Any, *, is_file: bool) -> click.Option:
    shown = [f"env: {setting.variable}, or {setting.variable}_FILE" if is_file else f"env: {setting.variable}"]
    if default not in (None, ()):
        shown.append(f"default: {str(default).lower() if isinstance(default, bool) else default}")
    sentence = setting.description.replace("`", "").partition(". ")[0].rstrip(".:")
    return click.Option(
        [setting.option, setting.name],
        type=click.File() if is_file else click.STRING,
        metavar="FILE" if is_file else setting.metavar,
        help=f"{sentence}.  [{'; '.join(shown)}]",
        callback=refuse_password if setting.name == "database" else None,
    )


def refuse_password(context: click.Context, option: click.Parameter, url: str | None) -> str | None:
    """Return the URL of a database. Raises UsageError if it stands among the arguments and has a password."""
    is_argument = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    if url is not None and is_argument and _has_password(url):
        raise click.UsageError("Others can read a password in an argument: set AIRPLANE_DATABASE to the URL instead.")
    return url


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return False
