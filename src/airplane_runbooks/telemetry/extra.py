"""Attributes of attempts that a user can ask for: those that the conventions for HTTP spans call opt-in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeVar

import msgspec

from ..errors import ConfigurationError
from ..http import (
    Request,
    Response,
    is_credential_header,
    is_header_name,
)
from .values import Value

T = TypeVar("T")

_DIGITS = 19  # numbers with as many may need more than the 63 bits that exporters have


def _content_length(response: Response) -> int | None:
    """Return the size of the body before decoding, where it is known."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < _DIGITS:
        return int(length)
    return None if "content-encoding" in response.headers else len(response.body)


_OF_REQUEST: dict[str, Callable[[Request], Value | None]] = {
    "http.request.body.size": lambda request: None if request.body is None else len(request.body),
    "url.scheme": lambda request: request.origin.partition(":")[0],
    "url.template": lambda request: request.path,
    "user_agent.original": lambda request: request.headers.get("user-agent"),
}
_OF_RESPONSE: dict[str, Callable[[Response], Value | None]] = {"http.response.body.size": _content_length}

_REQUEST_HEADER, _RESPONSE_HEADER = "http.request.header.", "http.response.header."


class ExtraAttributes(msgspec.Struct, frozen=True):
    """The attributes that one user has asked for, as functions that read them from requests and responses.

    Attributes:
        template: Whether `url.template` is among them.
        of_request: Names of attributes of requests, with their readers.
        of_response: Names of attributes of responses, with their readers.
    """

    template: bool = False
    of_request: tuple[tuple[str, Callable[[Request], Value | None]], ...] = ()
    of_response: tuple[tuple[str, Callable[[Response], Value | None]], ...] = ()

    @classmethod
    def parse(cls, names: Collection[str]) -> ExtraAttributes:
        """Read the names of attributes. Raises ConfigurationError for one that is unknown, or holds credentials."""
        if isinstance(names, str):
            raise ConfigurationError("opt_in_attributes is a collection of names, not one string")
        of_request, of_response = dict(_OF_REQUEST), dict(_OF_RESPONSE)
        for name in names:
            if not isinstance(name, str):
                raise ConfigurationError(f"opt_in_attributes: {name!r} is not a string")
            if (header := _header(name, _REQUEST_HEADER)) is not None:
                of_request[name] = partial(_values, header)
            elif (header := _header(name, _RESPONSE_HEADER)) is not None:
                of_response[name] = partial(_values, header)
            elif name not in of_request and name not in of_response:
                raise ConfigurationError(f"opt_in_attributes: {name!r} is not a supported opt-in attribute")
        wanted = sorted(set(names))
        return cls(
            template="url.template" in wanted,
            of_request=tuple((name, of_request[name]) for name in wanted if name in of_request),
            of_response=tuple((name, of_response[name]) for name in wanted if name in of_response),
        )


def _header(name: str, prefix: str) -> str | None:
    """Return the header named by an attribute; None for other attributes."""
    if not name.startswith(prefix):
        return None
    header = name.removeprefix(prefix)
    if is_credential_header(header):
        raise ConfigurationError(f"opt_in_attributes: {name!r} would show credentials")
    if not is_header_name(header) or header != header.lower():
        raise ConfigurationError(f"opt_in_attributes: {name!r} does not end with a lower-case header name")
    return header


def _values(header: str, message: Request | Response) -> list[str] | None:
    value = message.headers.get(header)
    return None if value is None else [value]


def read(readers: Iterable[tuple[str, Callable[[T], Value | None]]], source: T) -> dict[str, Value]:
    """Return the attributes that the readers find."""
    return {name: value for name, reader in readers if (value := reader(source)) is not None}
