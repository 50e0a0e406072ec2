"""How long an example takes is no matter of correctness: a hang meets the time limit of its test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
