# ruff: noqa: INP001 - run by path, not imported
"""Takes the pictures of the pages in `docs/images` anew: `python docs/screenshots.py`.

Needs Playwright, Pillow and a Chromium on the PATH. Starts a server with the demo's runbook and goes through its pages
as people do.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, User, runbook
from airplane_runbooks.server.demo import refund

IMAGES = Path(__file__).parent / "images"
DESKTOP = (1000, 700)
PHONE = (390, 844)
ADA_KEY = "tkn_ada_0123456789"


@runbook
def plan_refunds(context: Context) -> bool:
    """Refund all overdue invoices."""
    context.show("Only **overdue** invoices are refunded, see `rules`.", name="Rules")
    invoices = [("in_9301", "grace@example.com", 4200), ("in_9307", "alan@example.com", 1999)]
    context.show([dict(zip(("invoice", "customer", "cents"), one, strict=True)) for one in invoices], name="Invoices")
    return bool(context.prompt("Refund these invoices?", confirm_text="Refund them", sure=bool)["sure"])


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    users = [User("ada@example.com", ADA_KEY, groups=["support"])]
    with (
        RunbookServer([refund, plan_refunds], users=users) as server,
        Airplane(server.api_key, base_url=server.base_url) as airplane,
        chromium() as browser,
    ):
        url = server.base_url.removesuffix("/v0")
        for customer in ("grace@example.com", "alan@example.com"):
            airplane.runbooks.execute_and_wait(
                "refund",
                param_values={"customer": customer},
                wait_timeout=60,
                on_prompt=lambda _prompt, _schema: {"approve": True, "note": "as agreed"},
            )
        for customer in ("edsger@example.com", "barbara@example.com"):
            session = airplane.runbooks.execute("refund", param_values={"customer": customer})
        take(browser, url, session.session_id)
        page = signed_in(browser, url, DESKTOP)
        page.goto(f"{url}/sessions/{airplane.runbooks.execute('plan_refunds').session_id}")
        page.get_by_role("link", name="Answer").click()
        shoot(page, "shown")


def take(browser: Browser, url: str, session_id: str) -> None:
    """Go through the pages, by a desktop and by a phone."""
    page = signed_in(browser, url, DESKTOP)
    page.wait_for_selector("li:has-text('edsger')")
    shoot(page, "home")
    page.goto(f"{url}/sessions")
    page.wait_for_selector("li:has-text('Waiting') >> nth=1")
    shoot(page, "sessions")
    page.goto(f"{url}/runbooks/refund?customer=grace@example.com")
    shoot(page, "runbook")
    page.goto(f"{url}/sessions/{session_id}")
    shoot(page, "session")
    page.get_by_role("link", name="Answer").click()
    page.get_by_role("radio", name="Yes").check()
    shoot(page, "prompt")
    page.get_by_role("button", name="Decide").click()
    shoot(page, "prompt-error")
    address = page.url
    phone = signed_in(browser, url, PHONE)
    phone.goto(address)
    shoot(phone, "prompt-phone")
    page.get_by_label("Note").fill("The invoice was paid twice.")
    page.get_by_role("button", name="Decide").click()
    page.wait_for_selector("h1 + .badge:has-text('Succeeded')")
    shoot(page, "result")
    phone.goto(page.url)
    shoot(phone, "session-phone")


@contextmanager
def chromium() -> Generator[Browser]:
    """Run the machine's own Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("there is no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, url: str, size: tuple[int, int]) -> Page:
    """Open a window in which Ada has signed in."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, java_script_enabled=False, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(url)
    page.get_by_label("API key").fill(ADA_KEY)
    page.get_by_role("button", name="Sign in").click()
    return page


def shoot(page: Page, name: str) -> None:
    """Write a picture of the whole page, in as many colours as a page has but for its letters' edges."""
    picture = Image.open(BytesIO(page.screenshot(full_page=True)))
    picture.quantize(64).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
