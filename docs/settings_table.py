# ruff: noqa: INP001 - docs is not a package
"""Writes the table of all settings into docs/operate/settings.md: `python -m docs.settings_table`."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from airplane_runbooks.server.configuration import SERVED, Setting, all_settings

PAGE = Path(__file__).parent / "operate" / "settings.md"
TABLE = re.compile(r"(?<=<!-- made by python -m docs.settings_table -->\n\n).*(?=\n<!-- end -->)", re.DOTALL)
HEAD = "| argument | option | variable | default | meaning |\n| --- | --- | --- | --- | --- |\n"


def table() -> str:
    """Return the table in Markdown, with a row for each setting."""
    return HEAD + "".join(map(row, all_settings()))


def page(text: str) -> str:
    """Return the text of the page with today's table."""
    return TABLE.sub(lambda _: table(), text)


def row(setting: Setting) -> str:
    """Return the row of a setting."""
    option, variable = ("", "") if setting.kind is None else (code(setting.option), code(setting.variable))
    if setting.kind is not None and setting.kind.is_secret:
        variable += f", `{setting.variable}_FILE`"
    cells = (code(setting.name), option, variable, default(setting), setting.description)
    return f"| {' | '.join(cells)} |\n"


def default(setting: Setting) -> str:
    """Return the default of `Settings`, and that of `serve` if it is another one."""
    shown = value(setting.default)
    return f"{shown}; {value(SERVED[setting.name])} in `serve`" if setting.name in SERVED else shown


def value(default: Any) -> str:
    """Return a value as code, or nothing if there is none."""
    if default is None or default in ((), {}):
        return ""
    return code(str(default) if isinstance(default, str | int | float | timedelta) else repr(default))


def code(text: str) -> str:
    """Return a text as code in Markdown."""
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
