"""Prompts answered at a terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import CANCEL, Airplane, AirplaneError, ParameterSchema, ParamValueError, Prompt, PromptAnswer, Upload
from ..errors import escape_controls
from ..models import Parameter
from ..schema.problems import UnreadableText
from ..schema.types import Scalar, type_of
from .lines import LineReader
from .values import UPLOAD_HINT, read_text

_FOR_A_LOOK = 5.0  # seconds that the server may take to say whether the prompt is open

_ENDINGS = {"y": "submit", "c": "cancel the prompt", "l": "leave it open"}


class AskingEnded(Exception):
    """The prompt is not to be asked any longer; the message says why."""


def ask(
    airplane: Airplane, prompt: Prompt, schema: ParameterSchema, console: Console, *, until: float | None = None
) -> PromptAnswer:
    """Ask a person for an answer: each field, and then for a confirmation. None leaves the prompt open.

    Args:
        airplane: The client, which tells whether the prompt is still open.
        prompt: The prompt.
        schema: Its schema.
        console: The terminal.
        until: Moment of the monotonic clock at which there is no more time to ask; None without one.

    Raises:
        AskingEnded: The prompt was answered elsewhere, or the time is over.
    """

    def look() -> None:
        if until is not None and time.monotonic() >= until:
            raise AskingEnded("There is no time left for an answer.")
        _check_open(airplane, prompt)

    console.print()
    for line in (prompt.description or "The session waits for an answer.").splitlines():
        console.print(escape_controls(line), style="bold")
    try:
        answer = _Form(schema, console, LineReader(look)).ask(prompt)
        _check_open(airplane, prompt)  # it may have been answered since the last look
    except AskingEnded as end:
        console.print(f"\n{end}", style="bold")
        raise
    return answer


def _check_open(airplane: Airplane, prompt: Prompt) -> None:
    """Raise AskingEnded unless a prompt is open, as far as the server tells just now."""
    try:
        seen = airplane.prompts.get(prompt.id, timeout=_FOR_A_LOOK)
    except AirplaneError:
        return  # a failure that lasts is told when the answer is sent
    if seen.submitted_at is not None:
        raise AskingEnded("The prompt was answered elsewhere.")
    if not seen.is_open:
        raise AskingEnded("The prompt was cancelled elsewhere." if seen.cancelled_by else "The prompt has ended.")


class _Form:
    """The fields of a prompt, asked one after the other."""

    def __init__(self, schema: ParameterSchema, console: Console, reader: LineReader) -> None:
        self._schema = schema
        self._console = console
        self._reader = reader

    def ask(self, prompt: Prompt) -> PromptAnswer:
        """Ask for all fields, and for what to do with them."""
        parameters = self._schema.parameters
        values = {parameter.slug: value for parameter in parameters if (value := self._ask(parameter)) is not None}
        given = {"y": prompt.confirm_text, "c": prompt.cancel_text}
        words = {key: given.get(key) or word for key, word in _ENDINGS.items()}
        self._console.print("  ".join(f"[{key}] {escape_controls(word)}" for key, word in words.items()))
        while (ending := self._reader.read("Your choice").strip().lower()) not in words:
            self._console.print("Enter y, c or l.", style="red")
        if ending == "y":
            return values
        return CANCEL if ending == "c" else None

    def _ask(self, parameter: Parameter) -> Any:
        """Ask for the value of one field until it fits. None stands for the default, or for no value."""
        _describe(parameter, self._console)
        has_default = parameter.default is not None or parameter.constraints.optional
        while True:
            text = self._reader.read(_label(parameter), is_hidden=parameter.secret)
            if not text and has_default:
                return None
            if not text:
                continue
            try:
                value = read_text(parameter, _chosen(parameter, text))
                _check_files(parameter, value)
                ParameterSchema(parameters=(parameter,)).validate({parameter.slug: value})
            except ParamValueError as problem:
                self._console.print(escape_controls(str(problem).partition(": ")[2]), style="red")
            except (ValueError, UnreadableText) as problem:
                self._console.print(str(problem), style="red")
            else:
                return value


def _check_files(parameter: Parameter, value: Any) -> None:
    """Raise ValueError if a file that is to be sent is not there."""
    if type_of(parameter.type).python is Upload:
        for path in (one[1:] for one in (value if isinstance(value, list) else [value]) if str(one).startswith("@")):
            if not Path(path).is_file():
                raise ValueError(f"There is no file {path}.")


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
        UPLOAD_HINT if kind.python is Upload else kind.hint if isinstance(kind, Scalar) else "JSON.",
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
