"""Values that runbooks show to people, taken from the arguments of `context.show`."""

from __future__ import annotations

from typing import Any

from ...schema.problems import NotEncodable
from ..storage.encoding import encode, text

_LONGEST_TEXT = 100_000  # characters
_LONGEST_VALUE = 1_000_000  # bytes of JSON


class Display:
    """A value that a runbook shows: a text in Markdown, or any other value that JSON can hold.

    Raises TypeError for a value that has no form in JSON, and ValueError for one that is too long.

    Attributes:
        name: Its heading.
        document: Its JSON.
    """

    def __init__(self, value: Any, name: str) -> None:
        self.name = text(name, "the name of what is shown")
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            raise ValueError(f"a text to be shown has at most {_LONGEST_TEXT:,} characters, not {len(value):,}")
        try:
            self.document = encode(value)
        except NotEncodable as problem:
            raise TypeError(f"the value to be shown cannot be written as JSON: {problem}") from None
        if len(self.document) > _LONGEST_VALUE:
            raise ValueError(
                f"a value to be shown takes at most {_LONGEST_VALUE:,} bytes of JSON, not {len(self.document):,}"
            )
