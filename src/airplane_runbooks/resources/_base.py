"""Base classes of the resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from .._call.runner import AsyncRunner, BlockingRunner
from ..errors import ConfigurationError
from ..models import ExecuteRunbook, GetLogs, LogSeverity, RunbookCall
from ..models.outputs import output_reader
from ..models.typed_calls import request_of, result_type_of, values_of
from ..options import CallOptions, checked_options


class Resource:
    """A group of operations of one client."""

    __slots__ = ("_runner",)

    def __init__(self, runner: BlockingRunner) -> None:
        self._runner = runner


class AsyncResource:
    """A group of operations of one async client."""

    __slots__ = ("_runner",)

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner


def in_env(options: CallOptions | None, env_slug: str | None, env_id: str | None) -> CallOptions | None:
    """Return the options of one call with its environment put over theirs."""
    if env_slug is None and env_id is None:
        return options
    named = CallOptions(env_slug=env_slug or UNSET, env_id=env_id or UNSET)
    return named if options is None else named.over(checked_options(options))


def execution(
    runbook: str | RunbookCall[Any] | None, param_values: Mapping[str, Any] | None, id: str | None
) -> ExecuteRunbook:
    """Return the request for an execution of a runbook, given by its slug, its ID or a typed call."""
    if runbook is None or isinstance(runbook, str):
        return ExecuteRunbook(id=id, slug=runbook, param_values={} if param_values is None else param_values)
    if isinstance(runbook, type) and issubclass(runbook, RunbookCall):
        raise ConfigurationError(f"slug must be an object of {runbook.__name__}, with its values, not the class itself")
    if not isinstance(runbook, RunbookCall):
        raise ConfigurationError(f"slug must be a runbook's slug or a RunbookCall, not {type(runbook).__name__}")
    if param_values is not None or id is not None:
        raise ConfigurationError("a RunbookCall brings its runbook and values along: pass no param_values and no id")
    return request_of(runbook)


def result_reader(runbook: str | RunbookCall[Any] | None, kind: Any) -> Callable[[bytes], Any]:
    """Return the function that reads a result as the type that is asked for, or that a typed call brings along."""
    if kind is None:
        kind = result_type_of(runbook) if isinstance(runbook, RunbookCall) else Any
    return output_reader(kind)


def answer_of(values: Mapping[str, Any] | msgspec.Struct | None) -> Mapping[str, Any]:
    """Return the values of an answer to a prompt, which may be given as a struct."""
    if isinstance(values, msgspec.Struct):
        return values_of(values)
    return {} if values is None else values


def logs_after(id: str, token: str | None) -> GetLogs:
    """Return the request for the page of a run's log that follows a token, from the first line on if there is none."""
    return GetLogs(run_id=id, prev_token=token, level=LogSeverity.DEBUG)
