"""How long an example takes is no matter of correctness: a hang meets the time limit of its test."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=30)  # for suites that repeat another one
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
