"""Results of sessions that have been waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ..errors import DecodeError, ResultUnavailable
from ..http import Headers, Response
from ..models import GetRun, Model, Session
from ..models.decoding import UNREADABLE
from ..operations import GET_RUN_OUTPUTS, Operation
from .scope import OperationScope

T = TypeVar("T")

# Seconds left to read a result that the session's own reply leaves out: the session has ended in time.
_GRACE = 5.0


class _Outputs(Model, frozen=True, kw_only=True):
    """Output of a run as JSON."""

    raw_output: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name="output")


_GET_RAW_OUTPUTS = Operation(
    name=GET_RUN_OUTPUTS.name,
    method=GET_RUN_OUTPUTS.method,
    path=GET_RUN_OUTPUTS.path,
    request=GetRun,
    reply=_Outputs,
)


async def result_of(
    scope: OperationScope,
    ended: Callable[[OperationScope], Awaitable[Session]],
    read: Callable[[bytes], T],
) -> T:
    """Return the result of the session that `ended` waits for, as `read` reads its JSON.

    Raises ResultUnavailable, and DecodeError, whose response has nothing but the result.
    """
    result = bytes(await _raw_result(scope, await ended(scope)))
    try:
        return read(result)
    except UNREADABLE as problem:
        text = f"the session has succeeded, but its result cannot be read: {problem}"
    raise DecodeError(text, Response(status=200, headers=Headers(), body=result))


async def _raw_result(scope: OperationScope, session: Session) -> msgspec.Raw:
    """Return the result as JSON: that of the session, or else the output of its root run."""
    found = session.raw_output
    if found is UNSET and session.run_id is not None:
        reply = await scope.call(_GET_RAW_OUTPUTS, GetRun(id=session.run_id), at_least=_GRACE)
        found = reply.data.raw_output
    if found is UNSET:
        raise ResultUnavailable(session)
    return found
