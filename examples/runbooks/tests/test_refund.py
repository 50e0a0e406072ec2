from __future__ import annotations

import pytest

from airplane_runbooks import Airplane, ParameterSchema, Prompt, PromptHandler, SessionFailed


def approve(_prompt: Prompt, _schema: ParameterSchema) -> dict[str, object]:
    return {"approve": True, "note": "paid twice"}


def refuse(_prompt: Prompt, _schema: ParameterSchema) -> dict[str, object]:
    return {"approve": False, "note": "not this one"}


def refund(airplane: Airplane, customer: str, on_prompt: PromptHandler = approve) -> object:
    return airplane.runbooks.run("refund", {"customer": customer}, wait_timeout=60, on_prompt=on_prompt)


def test_an_approved_refund_is_issued(airplane: Airplane) -> None:
    assert refund(airplane, "ada@example.com") == "to ada@example.com: Your refund rfd_1042 is on its way."


def test_a_refused_refund_leaves_the_invoice_as_it_is(airplane: Airplane) -> None:
    refusal = refund(airplane, "ada@example.com", on_prompt=refuse)

    assert refusal == "to ada@example.com: We cannot refund this invoice."
    assert "is on its way" in str(refund(airplane, "ada@example.com"))


def test_an_invoice_is_refunded_once(airplane: Airplane) -> None:
    refund(airplane, "ada@example.com")

    with pytest.raises(SessionFailed, match=r"inv_1042 of ada@example\.com was refunded before, with the note"):
        refund(airplane, "ada@example.com")


def test_a_customer_without_an_invoice_is_named(airplane: Airplane) -> None:
    with pytest.raises(SessionFailed, match=r"bob@example\.com has no invoice"):
        refund(airplane, "bob@example.com")
