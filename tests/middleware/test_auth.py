"""The layer that adds the API key."""

from __future__ import annotations

from airplane_runbooks.middleware.auth import Auth
from airplane_runbooks.options import Secret


def test_the_layer_shows_no_key() -> None:
    assert repr(Auth(lambda: Secret("tkn_s3cr3t-key"))) == "Auth(***)"
