"""All errors of the client, as one tree of plain exceptions that can be pickled.

    AirplaneError
    ├─ ConfigurationError      also a ValueError: an argument or setting that cannot work
    ├─ ParamValueError         also a ValueError: a parameter value that cannot be sent; names its path
    ├─ TransportError          no usable response; `sent` tells whether the request may have left
    │  ├─ ConnectError         DNS, refused, TLS, proxy, no free connection: surely not sent
    │  ├─ AttemptTimeout       one attempt ran out of time
    │  ├─ ConnectionLost       reset, disconnected, body cut short
    │  └─ InvalidResponse      not HTTP, over a limit, or a reply to another request
    ├─ DeadlineExceeded        also a TimeoutError: the time for the whole call is used up
    ├─ APIError                the server answered with an error status
    │  ├─ BadRequest 400       Unauthorized 401   Forbidden 403   NotFound 404
    │  ├─ Conflict 409         Locked 423         RateLimited 429
    │  ├─ ServerError 5xx
    │  └─ NotSupported         this server does not have the operation
    ├─ DecodeError             the call succeeded, its reply could not be read; keeps the response
    ├─ WaitTimeout             also a TimeoutError: the session, run or prompt has not ended in time
    ├─ SessionFailed           the session that was waited for has failed; says which step, and why
    │  └─ SessionCancelled     it was cancelled
    ├─ ResultUnavailable       the session has succeeded, and the server does not tell its result
    ├─ RunFailed               `wait` found that the run has failed or was cancelled
    ├─ ClientClosed            the client or its transport has been closed
    └─ MiddlewareSuspended     a middleware awaited something real in a sync client

Errors hold plain data only, so they pickle, copy and cross processes whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .http import Headers, Response

if TYPE_CHECKING:  # models raise errors, and errors only name models
    from .models import Failure, Prompt, Run, Session
else:
    Failure = Prompt = Run = Session = Any  # keeps `get_type_hints` working


# Characters that could rewrite a terminal, a log or the order of its words: C0, C1, bidirectional controls and other
# ends of lines; and halves of surrogate pairs, which cannot be encoded.
_CONTROLS = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"  # compiled if needed


_LONGEST_NAME = 200  # characters of what a server names, and of what it says
_LONGEST_MESSAGE = 2000


def _reason(failure: Failure) -> str:
    parts = (failure.kind[:_LONGEST_NAME], failure.message[:_LONGEST_MESSAGE])
    return ": ".join(filter(None, parts)) or "the server gives no reason"


def escape_controls(text: str) -> str:
    r"""Return a text with its control characters written as escapes, such as `\x1b` and `\n`."""
    if text.isprintable():  # as most are; none of these characters is
        return text
    return re.sub(_CONTROLS, lambda match: match[0].encode("unicode_escape").decode(), text)


class AirplaneError(Exception):
    """Base of all errors of this library.

    The text of an error is one line: control characters in it, such as a server may send, are shown escaped.

    Attributes:
        operation: Name of the operation, such as `runbooks.execute`; None outside a call.
        attempts: Number of attempts; there may have been no time left to send the last one.
        idempotency_key: Key of all attempts. Repeat the call with it, so that nothing happens twice.
        maybe_processed: True if the server may have acted on the request although the call failed.
        session_id: ID of the session that the call followed or had started, if any.
    """

    operation: str | None = None
    attempts: int = 0
    idempotency_key: str | None = None
    maybe_processed: bool = False
    session_id: str | None = None

    def __init__(self, *args: object) -> None:  # gives `inspect.signature` one, as built-in exceptions have none
        super().__init__(*args)

    def __str__(self) -> str:
        return escape_controls(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[AirplaneError], args: tuple[Any, ...], state: dict[str, Any]) -> AirplaneError:
    error = cls.__new__(cls, *args)
    error.args = args  # an OSError, such as a TimeoutError, sets them only in __init__
    error.__dict__.update(state)
    return error


class ConfigurationError(AirplaneError, ValueError):
    """An argument or setting that cannot work. Nothing was sent, unless a retry strategy failed after an attempt."""


class ParamValueError(AirplaneError, ValueError):
    """A value that cannot be sent unchanged. Nothing was sent.

    Attributes:
        path: Path of the value, such as `param_values.rows[3].at`.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class TransportError(AirplaneError):
    """No usable response came back from an attempt.

    Attributes:
        sent: False if no byte of the request can have reached the server; None if that is unknown.
        transient: Whether another attempt may succeed.
        status: HTTP status of the response that broke off, if its head had arrived.
    """

    def __init__(
        self, message: str, *, sent: bool | None = None, transient: bool = True, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.transient = transient
        self.status = status
        self.maybe_processed = sent is not False


class ConnectError(TransportError):
    """No connection was available, so nothing was sent. Not transient if the server's certificate is the reason."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message, sent=False, transient=transient)


class AttemptTimeout(TransportError):
    """An attempt did not finish within its time."""


class ConnectionLost(TransportError):
    """The connection broke before the whole response had arrived."""


class InvalidResponse(TransportError):
    """The response is malformed, over a limit, undecodable, or a reply to another request.

    Only the last is transient: the next attempt is made on another connection. A transport or a middleware that
    returns no response at all is named in the message.
    """

    def __init__(
        self, message: str, *, sent: bool | None = None, transient: bool = False, status: int | None = None
    ) -> None:
        super().__init__(message, sent=sent, transient=transient, status=status)


class DeadlineExceeded(AirplaneError, TimeoutError):
    """The time allowed for the whole call is used up, or the next attempt could not start within it.

    The failure of the last attempt is the `__cause__`.

    Attributes:
        retry_after: Seconds that the server last asked to wait, if it did.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class APIError(AirplaneError):
    """The server answered with a status other than 2xx.

    Attributes:
        status: HTTP status code.
        message: The server's message as it came, or a generic text if its body held none.
        code: The server's machine-readable code, if any.
        request_id: The server's ID of the request, if it sent one.
        retry_after: Seconds from the `Retry-After` header, if any.
        headers: Response headers.
        body: Response body without the credentials that were sent. JSON that repeats them is encoded again without
            them. A body that cannot be searched, since it is compressed or has megabytes, is left out.
        advice: What the caller can do about it, if the client knows more than the server says; part of the text.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        headers: Headers | None = None,
        body: bytes = b"",
        advice: str | None = None,
    ) -> None:
        super().__init__(f"{status}: {message}" + (f" [{code}]" if code else "") + (f"; {advice}" if advice else ""))
        self.status = status
        self.message = message
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.advice = advice
        self.maybe_processed = status >= 500


class BadRequest(APIError):
    """400: the payload or a parameter is invalid."""


class Unauthorized(APIError):
    """401: the API key is missing or invalid."""


class Forbidden(APIError):
    """403: the API key lacks the permission."""


class NotFound(APIError):
    """404: no such object."""


class Conflict(APIError):
    """409: conflicts with another request or with the state of the object."""


class Locked(APIError):
    """423: the object is in use by another request."""


class RateLimited(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx: the server failed."""


class NotSupported(APIError):
    """The server does not have the operation, which the API's documentation does not name. See `status` for its reply.

    An object that does not exist is NotFound instead, as far as the server tells the two apart.
    """


class DecodeError(AirplaneError):
    """The server accepted the call, but its reply could not be read.

    Attributes:
        response: The response, without the credentials that were sent.
    """

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response
        self.maybe_processed = True


class WaitTimeout(AirplaneError, TimeoutError):
    """The session, run or prompt has not ended in time. Its ID is enough to wait for it again.

    Attributes:
        last: The object as it was last seen; None if it never was.
    """

    def __init__(self, message: str, *, last: Session | Run | Prompt | None = None) -> None:
        super().__init__(message)
        self.last = last


class SessionFailed(AirplaneError):
    """A session that was waited for has failed or been cancelled.

    The text names the step that failed, and the kind and message of its exception, as far as the server tells them.

    Attributes:
        session: The session in its final state.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(self._described(session))
        self.session = session

    @property
    def failure(self) -> Failure | None:
        """The reason; None if the server does not tell it, and if a user has cancelled the session."""
        return self.session.error

    @classmethod
    def _described(cls, session: Session) -> str:
        if (error := session.error) is None:
            return f"session {session.id} has ended: {session.status}"
        place = "" if error.step is None else f" in step {error.step[:_LONGEST_NAME]!r}"
        return f"session {session.id} failed{place}: {_reason(error)}"


class SessionCancelled(SessionFailed):
    """A session that was waited for has been cancelled: by a user, or by its own runbook after a cancelled prompt."""

    @classmethod
    def _described(cls, session: Session) -> str:
        why = "" if session.error is None else f": {_reason(session.error)}"
        return f"session {session.id} was cancelled{why}"


class ResultUnavailable(AirplaneError):
    """The session has succeeded, but the server does not tell results. Those of its steps may say enough.

    Attributes:
        session: The session in its final state.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(
            f"session {session.id} has succeeded, and the server does not tell the results of sessions: "
            f"read those of its steps with sessions.steps"
        )
        self.session = session


class RunFailed(AirplaneError):
    """A run that was waited for has failed or been cancelled. The text says why, as far as the server tells it.

    Attributes:
        run: The run in its final state.
    """

    def __init__(self, run: Run) -> None:
        verb = "was cancelled" if run.status == "Cancelled" else "failed"
        why = f"has ended: {run.status}" if run.error is None else f"{verb}: {_reason(run.error)}"
        super().__init__(f"run {run.id} {why}")
        self.run = run


class ClientClosed(AirplaneError):
    """The client or its transport has been closed, before a request or while it was under way.

    Attributes:
        sent: False if no byte of the request can have reached the server; None if that is unknown.
    """

    def __init__(self, message: str, *, sent: bool | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.maybe_processed = sent is not False


class MiddlewareSuspended(AirplaneError):
    """A middleware of a sync client awaited something that really suspends."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    423: Locked,
    429: RateLimited,
}


def error_class(status: int) -> type[APIError]:
    """Return the class for a status: the listed one, ServerError for 5xx, APIError for the rest."""
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else APIError)
