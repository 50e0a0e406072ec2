"""Typed client of the Airplane v0 API: execute runbooks, follow their sessions, answer their prompts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundles import Bundle
    from .client import Airplane, AsyncAirplane
    from .errors import (
        AirplaneError,
        APIError,
        AttemptTimeout,
        BadRequest,
        ClientClosed,
        ConfigurationError,
        Conflict,
        ConnectError,
        ConnectionLost,
        DeadlineExceeded,
        DecodeError,
        Forbidden,
        InvalidResponse,
        Locked,
        MiddlewareSuspended,
        NotFound,
        NotSupported,
        ParamValueError,
        RateLimited,
        ResultUnavailable,
        RunFailed,
        ServerError,
        SessionCancelled,
        SessionFailed,
        TransportError,
        Unauthorized,
        WaitTimeout,
    )
    from .http import AsyncTransport, Headers, Reply, Request, Response, Transport
    from .middleware import Middleware, Next
    from .models import (
        AnsweredPrompt,
        Failure,
        Hold,
        ParameterSchema,
        Prompt,
        Run,
        Runbook,
        RunbookCall,
        RunOutputs,
        RunStatus,
        Session,
        SessionStatus,
        StartedRun,
        StartedSession,
        Step,
        Task,
    )
    from .options import CallOptions, Secret, Settings
    from .policy import NO_RETRY, PollPolicy, RetryBudget, RetryPolicy
    from .pools import PooledTransport, PoolFigures
    from .schema.encoding import ParamValue
    from .schema.types.references import ConfigVar, Upload
    from .version import __version__
    from .waiters.handlers import (
        CANCEL,
        AsyncPromptHandler,
        Cancel,
        PromptAnswer,
        PromptHandler,
    )

__all__ = [
    "CANCEL",
    "NO_RETRY",
    "APIError",
    "Airplane",
    "AirplaneError",
    "AnsweredPrompt",
    "AsyncAirplane",
    "AsyncPromptHandler",
    "AsyncTransport",
    "AttemptTimeout",
    "BadRequest",
    "Bundle",
    "CallOptions",
    "Cancel",
    "ClientClosed",
    "ConfigVar",
    "ConfigurationError",
    "Conflict",
    "ConnectError",
    "ConnectionLost",
    "DeadlineExceeded",
    "DecodeError",
    "Failure",
    "Forbidden",
    "Headers",
    "Hold",
    "InvalidResponse",
    "Locked",
    "Middleware",
    "MiddlewareSuspended",
    "Next",
    "NotFound",
    "NotSupported",
    "ParamValue",
    "ParamValueError",
    "ParameterSchema",
    "PollPolicy",
    "PoolFigures",
    "PooledTransport",
    "Prompt",
    "PromptAnswer",
    "PromptHandler",
    "RateLimited",
    "Reply",
    "Request",
    "Response",
    "ResultUnavailable",
    "RetryBudget",
    "RetryPolicy",
    "Run",
    "RunFailed",
    "RunOutputs",
    "RunStatus",
    "Runbook",
    "RunbookCall",
    "Secret",
    "ServerError",
    "Session",
    "SessionCancelled",
    "SessionFailed",
    "SessionStatus",
    "Settings",
    "StartedRun",
    "StartedSession",
    "Step",
    "Task",
    "Transport",
    "TransportError",
    "Unauthorized",
    "Upload",
    "WaitTimeout",
    "__version__",
]

# Modules of the public names. A module is loaded when one of its names, or the module itself, is first asked for.
_PUBLIC = {
    "bundles": "Bundle",
    "client": "Airplane AsyncAirplane",
    "errors": (
        "AirplaneError APIError AttemptTimeout BadRequest ClientClosed ConfigurationError Conflict ConnectError "
        "ConnectionLost DeadlineExceeded DecodeError Forbidden InvalidResponse Locked MiddlewareSuspended NotFound "
        "NotSupported ParamValueError RateLimited ResultUnavailable RunFailed ServerError SessionCancelled "
        "SessionFailed TransportError Unauthorized WaitTimeout"
    ),
    "http": "AsyncTransport Headers Reply Request Response Transport",
    "middleware": "Middleware Next",
    "models": (
        "AnsweredPrompt Failure Hold ParameterSchema Prompt Run Runbook RunbookCall RunOutputs RunStatus Session "
        "SessionStatus StartedRun StartedSession Step Task"
    ),
    "options": "CallOptions Secret Settings",
    "policy": "NO_RETRY PollPolicy RetryBudget RetryPolicy",
    "pools": "PooledTransport PoolFigures",
    "schema.encoding": "ParamValue",
    "schema.types.references": "ConfigVar Upload",
    "version": "__version__",
    "waiters.handlers": "CANCEL AsyncPromptHandler Cancel PromptAnswer PromptHandler",
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names.split()}
_TOP = {module.partition(".")[0] for module in _PUBLIC}


def __getattr__(name: str) -> Any:
    """Load a public name, or one of the modules that hold them."""
    if name in _TOP:
        return importlib.import_module(f".{name}", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
