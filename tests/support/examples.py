"""Settings for tests that need more or fewer examples of Hypothesis than others."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def examples(times: float, **options: Any) -> settings:
    """Return settings for a multiple of the number of examples that the profile in use has."""
    return settings(max_examples=max(2, round(times * settings().max_examples)), **options)
