"""Logs of runs: what steps and tasks have written."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .base import Model
from .enums import LogSeverity, LogStream


class LogLine(Model, frozen=True, kw_only=True, omit_defaults=True):
    """One line that a step or task has written.

    Only servers of this package tell the `severity`, the `stream` and the number of the `attempt`. What was printed has
    the severity `INFO`.
    """

    id: str = msgspec.field(default="", name="insertID")
    timestamp: datetime | None = None
    text: str = ""
    severity: LogSeverity = LogSeverity.INFO
    stream: LogStream | None = None
    attempt: int | None = None


class GetLogs(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `runs.logs`. `prev_token` is that of the reply to continue; debug lines need the `level` "debug"."""

    run_id: str = msgspec.field(name="runID")
    prev_token: str | None = msgspec.field(default=None, name="prev_token")
    level: str | None = None


class LogPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Part of a log. `prev_token` leads to what follows, and `next_token` is empty if nothing does as yet."""

    logs: tuple[LogLine, ...] = ()
    prev_token: str = msgspec.field(default="", name="prev_token")
    next_token: str = msgspec.field(default="", name="next_token")
