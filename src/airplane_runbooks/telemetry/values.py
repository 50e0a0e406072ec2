"""Types of attributes."""

from __future__ import annotations

from collections.abc import Mapping

Value = str | int | list[str]
Attributes = Mapping[str, Value]
