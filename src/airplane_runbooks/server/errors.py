"""Why a call of the API is refused. Each class knows the status that tells a client so."""

from __future__ import annotations

import math
from typing import ClassVar


class Refused(Exception):
    """A call that is not carried out. `code` is for machines and never changes; the message is for people."""

    status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False
    retry_after: int | None = None  # seconds

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Invalid(Refused):
    """The call makes no sense as it is, today or tomorrow."""


class Unauthorized(Refused):
    """The call carries no valid key."""

    status = 401


class Forbidden(Refused):
    """The user is known, and not allowed to."""

    status = 403


class NotFound(Refused):
    """Nothing of that ID or slug exists."""

    status = 404


class Conflict(Refused):
    """The object's state forbids the call for good."""

    status = 409


class Held(Refused):
    """The session is held until a server has the code for it."""

    status = 423


class KeyBusy(Refused):
    """The first call with this idempotency key has not been answered yet. It has at most `seconds` left."""

    status = 409
    retryable = True

    def __init__(self, code: str, message: str, seconds: float) -> None:
        super().__init__(code, message)
        self.retry_after = max(1, math.ceil(seconds))


class Misdirected(Refused):
    """The request means another server."""

    status = 421


class HeadTooLarge(Refused):
    """The request's line and headers exceed the limits."""

    status = 431


class TooLarge(Refused):
    """The body exceeds the limit, before or after decompression."""

    status = 413


class TooSlow(Refused):
    """The body did not arrive in time."""

    status = 408
    retryable = True


class TooMany(Refused):
    """More calls are being answered than the server takes on."""

    status = 429
    retryable = True
    retry_after = 1


class WrongKeys(Refused):
    """There were too many wrong keys lately. A right one would not be refused, so trying this one again is no use."""

    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__("too_many_wrong_keys", "there were too many wrong API keys; this is one of them")
        self.retry_after = retry_after


class Closing(Refused):
    """The server is about to stop."""

    status = 503
    retryable = True
    retry_after = 1


class Overloaded(Refused):
    """More connections are open than the server keeps."""

    status = 503
    retryable = True
    retry_after = 1


class Unready(Refused):
    """The server lives, but can do nothing for now."""

    status = 503
    retryable = True
    retry_after = 1


class Defect(Refused):
    """The server has failed, and nobody knows how far it got."""

    status = 500
    retryable = True
