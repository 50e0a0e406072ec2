"""The errors of this SDK, and which error of the client becomes which of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from airplane_runbooks import (
    AirplaneError,
    APIError,
    ClientClosed,
    ConfigurationError,
    DeadlineExceeded,
    Locked,
    ParamValueError,
    RateLimited,
    ServerError,
    SessionFailed,
    TransportError,
    WaitTimeout,
)


class OpsError(Exception):
    """Base of all errors of this SDK, raised itself if a reply cannot be read. The client's error is its `__cause__`.

    Attributes:
        job: ID of the job, once one has started.
        request_id: Pass it again, and the operation happens only once.
        may_have_happened: True if the operation may have begun all the same.
    """

    def __init__(
        self, message: str, *, job: str | None = None, request_id: str | None = None, may_have_happened: bool = False
    ) -> None:
        super().__init__(message)
        self.job = job
        self.request_id = request_id
        self.may_have_happened = may_have_happened


class OpsRefused(OpsError):
    """The request is at fault: a value, a permission, an ID, a client that is closed. Do not repeat it."""


class OpsUnavailable(OpsError):
    """The service did not answer in time, or is overloaded. Repeat it later, with the same `request_id`."""


class OpsPending(OpsError):
    """The operation has begun, and its end was not seen. `Ops.receipt` waits for it further."""


class OpsFailed(OpsError):
    """The operation has begun and failed. The message says in which step, and why."""


def kind_of(error: AirplaneError) -> type[OpsError]:
    """Return the error of this SDK that stands for one of the client."""
    match error:
        case SessionFailed():
            return OpsFailed
        case WaitTimeout():
            return OpsPending
        case Locked() | RateLimited() | ServerError() | TransportError() | DeadlineExceeded():
            return OpsUnavailable if error.session_id is None else OpsPending
        case ParamValueError() | ConfigurationError() | ClientClosed() | APIError():
            return OpsRefused
        case _:
            return OpsError


@contextmanager
def translated() -> Generator[None]:
    """Turn errors of the client into errors of this SDK."""
    try:
        yield
    except AirplaneError as error:
        raise kind_of(error)(
            str(error),
            job=error.session_id,
            request_id=error.idempotency_key,
            may_have_happened=error.maybe_processed or error.session_id is not None,
        ) from error
