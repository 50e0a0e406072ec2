# ruff: noqa: INP001 - docs is not a package
"""Writes the tables of settings into the pages that have them: `python -m docs.settings_table`."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from airplane_runbooks.server.configuration import SERVED, Setting, all_settings

PAGE = Path(__file__).parent / "operate" / "settings.md"
VARIABLES_PAGE = Path(__file__).parent / "reference" / "environment.md"
TABLE = re.compile(r"(?<=<!-- made by python -m docs.settings_table -->\n).*(?=\n<!-- end -->)", re.DOTALL)
HEAD = "| argument | option | variable | default | meaning |\n| --- | --- | --- | --- | --- |\n"


def table() -> str:
    """Return the table in Markdown, with a row for each setting."""
    return HEAD + "".join(map(row, all_settings()))


def variables() -> str:
    """Return the table of the variables, with a row for each setting that has one."""
    rows = "".join(
        f"| {variable_of(setting)} | {default(setting)} | {first_sentence(setting.description)} |\n"
        for setting in all_settings()
        if setting.kind is not None
    )
    return f"| variable | default | meaning |\n| --- | --- | --- |\n{rows}"


def page(text: str, of: str) -> str:
    """Return the text of a page with today's table."""
    return TABLE.sub(lambda _: f"\n{of}", text)


def row(setting: Setting) -> str:
    """Return the row of a setting."""
    option = "" if setting.kind is None else code(setting.option)
    cells = (code(setting.name), option, variable_of(setting), default(setting), setting.description)
    return f"| {' | '.join(cells)} |\n"


def variable_of(setting: Setting) -> str:
    """Return the names of a setting's variables, if it has any."""
    if setting.kind is None:
        return ""
    return code(setting.variable) + (f", `{setting.variable}_FILE`" if setting.kind.is_secret else "")


def first_sentence(text: str) -> str:
    """Return the first sentence of a description."""
    return text.partition(". ")[0].removesuffix(".")


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
    for path, made in ((PAGE, table()), (VARIABLES_PAGE, variables())):
        path.write_text(page(path.read_text("utf-8"), made), "utf-8")
