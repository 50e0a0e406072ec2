from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ops.onboarding import Onboarding

from airplane_runbooks import Airplane, ParameterSchema, ParamValueError, Prompt, SessionFailed

VALUES: dict[str, Any] = {
    "name": "Grace Hopper",
    "email": "grace.hopper@example.com",
    "team": "engineering",
    "start": date(2026, 12, 1),
}


def choose(prompt: Prompt, _schema: ParameterSchema) -> dict[str, Any]:
    """Take the large laptop, and leave the other fields to their defaults."""
    return {"laptop": "16 inches"} if prompt.confirm_text == "Order" else {}


def test_a_colleague_gets_equipment_and_an_account(airplane: Airplane, world_folder: Path) -> None:
    outcome = airplane.runbooks.run("onboard", VALUES, wait_timeout=60, on_prompt=choose, type=Onboarding)

    assert outcome == Onboarding(
        "grace.hopper@example.com", ["staff", "deploy", "on-call"], "16 inches", date(2026, 12, 1)
    )
    people = json.loads((world_folder / "people.json").read_text("utf-8"))
    assert people["grace.hopper@example.com"]["name"] == "Grace Hopper"
    orders = json.loads((world_folder / "orders.json").read_text("utf-8"))
    assert orders == {"grace.hopper@example.com": {"laptop": "16 inches", "wishes": None}}


def test_a_contract_is_kept(airplane: Airplane, tmp_path: Path, world_folder: Path) -> None:
    (tmp_path / "signed.pdf").write_bytes(b"%PDF-1.7 signed")
    contract = airplane.uploads.create(tmp_path / "signed.pdf")
    airplane.runbooks.run("onboard", {**VALUES, "contract": contract}, wait_timeout=60, on_prompt=choose)

    kept = world_folder / "contracts" / "grace.hopper@example.com.pdf"
    assert kept.read_bytes() == b"%PDF-1.7 signed"


def test_a_contract_that_is_not_a_pdf_is_refused(airplane: Airplane, tmp_path: Path) -> None:
    (tmp_path / "signed.txt").write_text("I sign.", encoding="utf-8")
    contract = airplane.uploads.create(tmp_path / "signed.txt")

    with pytest.raises(SessionFailed, match=r"signed\.txt is not a PDF"):
        airplane.runbooks.run("onboard", {**VALUES, "contract": contract}, wait_timeout=60)


def test_an_address_that_is_taken_is_refused_first(airplane: Airplane) -> None:
    with pytest.raises(SessionFailed, match=r"ada@example\.com belongs to Ada Lovelace: choose another address"):
        airplane.runbooks.run("onboard", {**VALUES, "email": "ada@example.com"}, wait_timeout=60)


def test_an_address_elsewhere_starts_nothing(airplane: Airplane) -> None:
    (runbook,) = [one for one in airplane.runbooks.list() if one.slug == "onboard"]

    with pytest.raises(ParamValueError, match="email"):
        runbook.parameters.validate({**VALUES, "email": "grace@elsewhere.com"})
