"""Prompts answered at a terminal."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from .. import CANCEL, ParameterSchema, ParamValueError, Prompt, PromptAnswer
from ..errors import escape_controls
from ..models import Parameter
from ..schema.problems import UnreadableText
from ..schema.types import Scalar, type_of
from .values import read_text

_ENDINGS = {"y": "submit", "c": "cancel the prompt", "l": "leave it open"}


def ask(prompt: Prompt, schema: ParameterSchema, console: Console) -> PromptAnswer:
    """Ask a person for an answer: each field, and then for a confirmation. None leaves the prompt open."""
    console.print()
    for line in (prompt.description or "The session waits for an answer.").splitlines():
        console.print(escape_controls(line), style="bold")
    values = {
        parameter.slug: value for parameter in schema.parameters if (value := _ask(parameter, console)) is not None
    }
    words = {"y": prompt.confirm_text or _ENDINGS["y"], "c": prompt.cancel_text or _ENDINGS["c"], "l": _ENDINGS["l"]}
    console.print("  ".join(f"[{key}] {escape_controls(word)}" for key, word in words.items()))
    ending = click.prompt("Your choice", type=click.Choice(list(words)), show_choices=False, err=True)
    if ending == "y":
        return values
    return CANCEL if ending == "c" else None


def _ask(parameter: Parameter, console: Console) -> Any:
    """Ask for the value of one field until it fits. None stands for the default, or for no value."""
    _describe(parameter, console)
    has_default = parameter.default is not None or parameter.constraints.optional
    while True:
        text = click.prompt(
            _label(parameter),
            default="" if has_default else None,
            hide_input=parameter.secret,
            show_default=False,
            err=True,
        )
        if not text:
            return None
        try:
            value = read_text(parameter, _chosen(parameter, text))
            ParameterSchema(parameters=(parameter,)).validate({parameter.slug: value})
        except ParamValueError as problem:
            console.print(escape_controls(str(problem).partition(": ")[2]), style="red")
        except (ValueError, UnreadableText) as problem:
            console.print(str(problem), style="red")
        else:
            return value


def _label(parameter: Parameter) -> str:
    label = escape_controls(parameter.name or parameter.slug)
    if parameter.default is not None:
        shown = "***" if parameter.secret else escape_controls(type_of(parameter.type).label(parameter.default))
        return f"{label} [{shown}]"
    return f"{label} (optional)" if parameter.constraints.optional else label


def _describe(parameter: Parameter, console: Console) -> None:
    kind = type_of(parameter.type)
    hints = [
        parameter.desc,
        kind.hint if isinstance(kind, Scalar) else "JSON.",
        "Several: a JSON list." * parameter.multi,
    ]
    if hint := " ".join(filter(None, hints)):
        console.print(escape_controls(hint), style="dim")
    for number, label in enumerate((label for label, _ in _options(parameter)), start=1):
        console.print(f"  {number}  {escape_controls(label)}")


def _options(parameter: Parameter) -> list[tuple[str, str]]:
    """Return the options to choose from: labels, and the texts of their values."""
    options = parameter.constraints.options
    if not isinstance(options, list | tuple) or parameter.multi:
        return []
    kind = type_of(parameter.type)
    pairs = [(one.get("label"), one.get("value")) if isinstance(one, dict) else (None, one) for one in options]
    return [(str(label or kind.label(value)), kind.label(value)) for label, value in pairs]


def _chosen(parameter: Parameter, text: str) -> str:
    """Return the text of the option that a number or a label stands for; else the text itself."""
    options = _options(parameter)
    values = [value for _, value in options]
    if text in values:
        return text
    by_name = {**{str(number): value for number, value in enumerate(values, start=1)}, **dict(options)}
    return by_name.get(text, text)
