"""Events as lines of the log, without values."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache

from .. import events

LOGGER = logging.getLogger("airplane_runbooks.server")

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PLAIN = re.compile(r"[\w.:@+/-]+")
_UNLOGGED = (events.RequestReceived, events.RequestAnswered, events.RunStarting)
_DETAILS = {"SegmentStarted", "SegmentEnded", "StepStarted", "AttemptStarted", "AttemptEnded"}
_RENAMED = {"error": "error_type"}
_FORMAT = "%(asctime)s %(levelname)s %(message)s"

Fields = dict[str, str | int | float]


class Logging:
    """The observer that writes a line for each event of a life cycle, at level INFO; WARNING for refused sign-ins.

    A line has the name of the event and its fields as `name=value`. The same fields are attributes of the record:
    `event`, `session_id`, `run_id`, `runbook`, `task`, `step`, `attempt`, `segment`, `prompt_id`, `caller`, `status`,
    `error_type`, `duration` (seconds) and others, where the event has them.
    """

    def observe(self, event: events.Event, /) -> None:
        """Write the line of an event."""
        level = logging.WARNING if isinstance(event, events.SignInRefused) else logging.INFO
        if not isinstance(event, _UNLOGGED) and LOGGER.isEnabledFor(level):
            write_event(LOGGER, level, type(event).__name__, _fields(event))


def write_event(logger: logging.Logger, level: int, name: str, fields: Fields) -> None:
    """Write a line with the name of an event and its fields, which are attributes of the record as well."""
    if logger.isEnabledFor(level):
        line = " ".join([_words(name), *[f"{key}={_quoted(value)}" for key, value in fields.items()]])
        # Not by `log`, which would search for its caller: that is always this line.
        extra = {"event": name, **fields}
        logger.handle(logger.makeRecord(logger.name, level, __file__, 0, "%s", (line,), None, extra=extra))


@contextmanager
def console() -> Generator[None]:
    """Show the server's log on stderr, without details of steps, unless the application has configured logging."""
    root = logging.getLogger()
    if root.handlers or LOGGER.handlers or LOGGER.level:
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_is_for_console)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(logging.NOTSET)
        LOGGER.propagate = True


def _is_for_console(record: logging.LogRecord) -> bool:
    return getattr(record, "event", None) not in _DETAILS


def _fields(event: events.Event) -> Fields:
    fields: Fields = {}
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    root = values.pop("root", None)
    if isinstance(root, events.Root):
        fields[root.kind] = _printable(root.slug)
        if root.session_id is not None:
            fields["session_id"] = root.session_id
        fields["run_id"] = root.run_id
    moment, since = values.pop("at"), values.pop("started_at", None) or values.pop("opened_at", None)
    if isinstance(event, events.AttemptStarted | events.AttemptEnded):
        values[values.pop("kind")] = values.pop("slug")
    for name, value in values.items():
        if isinstance(value, float):
            fields[name] = round(value, 3)
        elif isinstance(value, datetime):
            fields[name] = value.isoformat()
        elif value is not None:
            fields[_RENAMED.get(name, name)] = value if isinstance(value, int) else _printable(str(value))
    if since is not None:
        fields["duration"] = round((moment - since).total_seconds(), 3)
    return fields


def _printable(text: str) -> str:
    """Return a text with everything escaped that could change how a log looks, such as line ends."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


@lru_cache(maxsize=100)
def _words(name: str) -> str:
    return _WORDS.sub(" ", name).lower()


@lru_cache(maxsize=1000, typed=True)  # most fields of a line were in the one before
def _quoted(value: str | float) -> str:
    text = _printable(str(value))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'
