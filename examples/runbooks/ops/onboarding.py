"""Onboarding of a colleague: an uploaded contract, one prompt for the equipment, one for the account."""

from __future__ import annotations

import enum
from datetime import date
from typing import Annotated, Any

import msgspec

from airplane_runbooks import Upload
from airplane_runbooks.server import Context, Field, runbook

from . import world

PEOPLE = "people.json"
ORDERS = "orders.json"


class Team(enum.Enum):
    """Teams that hire."""

    ENGINEERING = "engineering"
    FINANCE = "finance"
    SUPPORT = "support"


GROUPS = {
    Team.ENGINEERING: ["staff", "deploy", "on-call"],
    Team.FINANCE: ["staff", "ledger"],
    Team.SUPPORT: ["staff", "refunds"],
}


class Onboarding(msgspec.Struct, frozen=True):
    """A new colleague, as prepared."""

    email: str
    groups: list[str]
    laptop: str
    start: date


@runbook(name="Onboard a colleague")
def onboard(
    context: Context,
    name: str,
    email: Annotated[str, Field(regex=r"[a-z.]+@example\.com", description="Such as grace.hopper@example.com")],
    team: Team,
    start: date,
    *,
    contract: Upload | None = None,
) -> Onboarding:
    """Order the equipment of a new colleague, and make an account.

    Args:
        name: As on the contract.
        team: The team decides on the groups to choose from.
        start: First day of work.
        contract: The signed contract, a PDF.
    """
    context.step(check_address, email)
    if contract is not None:
        context.step(keep_contract, email, contract)
    equipment = context.prompt(
        f"Equipment for {name}, who starts on {start}",
        confirm_text="Order",
        laptop=Field(str, options=["13 inches", "16 inches"], default="13 inches"),
        wishes=Field(str, optional=True, multiline=True, description="Anything else, such as a chair or a screen"),
    )
    context.step(order, email, equipment["laptop"], equipment["wishes"])
    access = context.prompt(
        f"Account of {name} in {team.value}",
        confirm_text="Make the account",
        groups=Field(list[str], options=GROUPS[team], default=GROUPS[team]),
    )
    context.step(make_account, email, name, access["groups"])
    return Onboarding(email, access["groups"], equipment["laptop"], start)


def check_address(email: str) -> None:
    """See to it that the address is free. Raises ValueError if it is not."""
    if owner := world.read(PEOPLE, {"ada@example.com": {"name": "Ada Lovelace", "groups": ["staff"]}}).get(email):
        raise ValueError(f"{email} belongs to {owner['name']}: choose another address")


def keep_contract(email: str, contract: Upload) -> str:
    """Put the contract into the folder of contracts. Raises ValueError unless it is a PDF."""
    with contract.open() as file:
        content = file.read()
    if not content.startswith(b"%PDF-"):
        raise ValueError(f"{contract.name} is not a PDF: upload the signed contract")
    path = world.folder() / "contracts" / f"{email}.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def order(email: str, laptop: str, wishes: str | None) -> None:
    """Order the equipment: once, even if this step is executed again after a crash."""
    orders = world.read(ORDERS, {})
    world.write(ORDERS, {**orders, email: {"laptop": laptop, "wishes": wishes}})
    print(f"ordered a laptop of {laptop} for {email}")


def make_account(email: str, name: str, groups: list[str]) -> dict[str, Any]:
    """Make the account, and put it into its groups."""
    account = {"name": name, "groups": groups}
    world.write(PEOPLE, {**world.read(PEOPLE, {}), email: account})
    return account
