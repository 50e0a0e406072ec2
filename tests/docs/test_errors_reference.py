"""The reference of errors has all of them, as they are now."""

from __future__ import annotations

from airplane_runbooks import errors
from docs.errors_reference import PAGE, page


def test_the_committed_reference_shows_todays_errors():
    assert PAGE.read_text("utf-8") == page(), "run `python -m docs.errors_reference`"


def test_the_reference_has_every_error_of_the_client():
    classes = [name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)]

    assert [name for name in classes if f"\n| `{name}` | " not in page()] == []


def test_the_reference_has_codes_with_status_and_text():
    for kind in ("runbook", "task", "environment"):
        assert f"| `{kind}_not_found` | 404 |  | there is no {kind} … |\n" in page()
    assert "| `unknown_parameter` | 400 |  | …: there is no such parameter |\n" in page()
    assert "| `missing_parameter` | 400 |  | " in page()
    assert "| `idempotency_key_in_use` | 409 | yes | " in page()
