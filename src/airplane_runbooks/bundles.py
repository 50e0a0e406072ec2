"""Bundles: all that a wrapping SDK adds to a client, in one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .errors import ConfigurationError
from .middleware import Middleware
from .options import CallOptions, check_shared


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Additions of a wrapping SDK to a client, which its users pass as `bundles=`.

    A client's own arguments come first, then its bundles in their order. The layers of the first one are outermost, and
    its options take precedence; environment variables come last.

    Attributes:
        middleware: Layers around each call, the first one outermost.
        attempt_middleware: Layers around each attempt, inside of the retries.
        options: Options of all calls, such as timeouts and headers. Headers are merged.
        attributes: Further attributes of the spans and metrics of calls. Those of the client itself cannot be replaced.
        user_agent: Product that is added to the `User-Agent`, such as `acme-tools/1.4`.
    """

    middleware: tuple[Middleware, ...] = ()
    attempt_middleware: tuple[Middleware, ...] = ()
    options: CallOptions = CallOptions()
    attributes: Mapping[str, str | int] = {}
    user_agent: str = ""

    def __post_init__(self) -> None:
        checked_layers("middleware", self.middleware)
        checked_layers("attempt_middleware", self.attempt_middleware)
        if not isinstance(self.options, CallOptions):
            raise ConfigurationError(f"the options of a bundle must be CallOptions, not {type(self.options).__name__}")
        check_shared(self.options)
        for name, value in self.attributes.items():
            if not isinstance(name, str) or not name or not isinstance(value, str | int):
                raise ConfigurationError(f"attribute {name!r} of a bundle must be a string, an integer or a bool")


def checked_layers(name: str, layers: Any) -> tuple[Middleware, ...]:
    """Return the layers that an argument holds. Raises ConfigurationError, naming the argument and the position."""
    try:
        found = tuple(layers)
    except TypeError:
        raise ConfigurationError(f"{name} must be a list or tuple of layers, not {_type_of(layers)}") from None
    for position, layer in enumerate(found):
        if not callable(layer):
            raise ConfigurationError(
                f"{name}[{position}] must be a callable of a request and call_next, not {_type_of(layer)}"
            )
    return found


def _type_of(value: object) -> str:
    return type(value).__name__


class Combined(NamedTuple):
    """A client's own arguments with those of its bundles."""

    middleware: tuple[Middleware, ...]
    attempt_middleware: tuple[Middleware, ...]
    options: CallOptions
    attributes: Mapping[str, str | int]
    user_agent: str


def combine(own: Bundle, bundles: Sequence[Bundle]) -> Combined:
    """Combine a client's own arguments with its bundles, by the order that `Bundle` describes."""
    if isinstance(bundles, Bundle):
        raise ConfigurationError("bundles must be a sequence: write bundles=[...] around a single Bundle")
    ordered = (own, *bundles)
    options = CallOptions()
    attributes: dict[str, str | int] = {}
    for bundle in reversed(ordered):
        if not isinstance(bundle, Bundle):
            raise ConfigurationError(f"bundles must hold Bundle objects, not {type(bundle).__name__}")
        options = bundle.options.over(options)
        attributes |= bundle.attributes
    return Combined(
        tuple(layer for bundle in ordered for layer in bundle.middleware),
        tuple(layer for bundle in ordered for layer in bundle.attempt_middleware),
        options,
        attributes,
        " ".join(bundle.user_agent for bundle in ordered if bundle.user_agent),
    )
