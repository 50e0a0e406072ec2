"""Errors that callers of the API get, each with its HTTP status."""

from __future__ import annotations

import math
from typing import ClassVar


class ApiError(Exception):
    """Refusal or failure of a call. `code` is for programs and never changes; the message is for people."""

    status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False
    retry_after: int | None = None  # seconds

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Invalid(ApiError):
    """The call is invalid and will stay so."""


class Unauthorized(ApiError):
    """The call carries no valid key."""

    status = 401


class Forbidden(ApiError):
    """The user is known, but may not make this call."""

    status = 403


class NotFound(ApiError):
    """No object has this ID or slug."""

    status = 404


class Conflict(ApiError):
    """The object's state forbids the call for good."""

    status = 409


class Held(ApiError):
    """The session is held: until a server has the code for it, or until an operator lets it go on."""

    status = 423


class EncryptionKeyMissing(ApiError):
    """The call needs a secret value that this server has no encryption key for."""

    status = 423


class KeyBusy(ApiError):
    """The first call with this idempotency key has not been answered yet. It has at most `seconds` left."""

    status = 409
    retryable = True

    def __init__(self, code: str, message: str, seconds: float) -> None:
        super().__init__(code, message)
        self.retry_after = max(1, math.ceil(seconds))


class WrongHost(ApiError):
    """The request names a host that this server does not serve."""

    status = 421


class HeadTooLarge(ApiError):
    """The request's line and headers exceed the limits."""

    status = 431


class TooLarge(ApiError):
    """The body exceeds the limit, before or after decompression."""

    status = 413


class UnsupportedEncoding(ApiError):
    """The body is encoded in a way that the server does not know. The reply names those that it knows."""

    status = 415


class TooSlow(ApiError):
    """The body did not arrive in time."""

    status = 408
    retryable = True


class TooMany(ApiError):
    """The server is answering as many calls as it may at a time."""

    status = 429
    retryable = True
    retry_after = 1


class WrongKeys(ApiError):
    """Too many wrong keys were shown lately. A right key is never refused, so a retry with this one is useless."""

    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__("too_many_wrong_keys", "there were too many wrong API keys; this is one of them")
        self.retry_after = retry_after


class Closing(ApiError):
    """The server is about to stop."""

    status = 503
    retryable = True
    retry_after = 1


class Overloaded(ApiError):
    """As many connections are open as the server may keep."""

    status = 503
    retryable = True
    retry_after = 1


class Unavailable(ApiError):
    """The server runs, but cannot work for now."""

    status = 503
    retryable = True
    retry_after = 1


class InternalError(ApiError):
    """The server failed at an unknown point of the call."""

    status = 500
    retryable = True
