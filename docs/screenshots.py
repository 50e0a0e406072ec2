# ruff: noqa: INP001 - run by path, not imported
"""Takes the pictures of the pages in `docs/images` anew: `python docs/screenshots.py`.

Needs Playwright, Pillow and a Chromium on the PATH. Serves the runbooks in `examples/runbooks`, goes through the pages
as people do, and once more after the database was restored.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import chdir, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from airplane_runbooks import Airplane
from airplane_runbooks.cli.app import commands
from airplane_runbooks.server import Context, RunbookServer, Slack, User, Webhook, runbook

EXAMPLES = Path(__file__).parents[1] / "examples" / "runbooks"
IMAGES = Path(__file__).parent / "images"
DESKTOP = (1000, 700)
PHONE = (390, 844)
ADA_KEY = "tkn_ada_0123456789"
SERVER_KEY = "tkn_of_the_server_itself"
SECRET = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
CONTRACT = {"name": "contract.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 signed"}
ONBOARD = "/runbooks/onboard?name=Grace+Hopper&email=grace@example.com&team=support&start=2026-12-01"
DEAD_STANDBY = {"role": "standby", "lag_seconds": 2, "up": False, "refuses": 0}


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
    database = "sqlite:///runbooks.db"
    with TemporaryDirectory() as folder, chdir(folder), chromium() as browser:
        Path("world", "cluster").mkdir(parents=True)
        Path("world", "cluster", "db-2.json").write_text(json.dumps(DEAD_STANDBY), encoding="utf-8")
        with serving(database) as server, client(server) as airplane:
            work(airplane)
            take(browser, airplane, server.base_url.removesuffix("/v0"))
        commands(["restore", "--mark", "--database", database], standalone_mode=False)
        with gone() as url, serving(database, notify=targets(url)) as server, client(server) as airplane:
            take_operators(browser, airplane, server.base_url.removesuffix("/v0"))


def serving(database: str, **options: Any) -> RunbookServer:
    """Return a server of the examples."""
    sys.path.insert(0, str(EXAMPLES))
    from ops import failover, onboard, refund  # whose world is the folder of that name

    users = [User("ada@example.com", ADA_KEY, groups=["support"])]
    runbooks = [failover, onboard, plan_refunds, refund]
    return RunbookServer(runbooks, database=database, api_key=SERVER_KEY, users=users, capture_logs=True, **options)


def client(server: RunbookServer) -> Airplane:
    """Return a client with Ada's key."""
    return Airplane(ADA_KEY, base_url=server.base_url)


def work(airplane: Airplane) -> None:
    """Leave sessions that have succeeded, failed, and wait."""
    for customer in ("grace@example.com", "alan@example.com"):
        refund_at_once(airplane, customer)
    failed = airplane.runbooks.execute("failover", param_values={"reason": "the disk of db-1 is full"}).session_id
    airplane.sessions.wait(failed, wait_timeout=60, raise_on_failure=False)
    for customer in ("edsger@example.com", "barbara@example.com"):
        airplane.runbooks.execute("refund", param_values={"customer": customer})


def refund_at_once(airplane: Airplane, customer: str) -> str:
    """Refund a customer, and return the ID of the session."""
    session = airplane.runbooks.execute_and_wait(
        "refund",
        param_values={"customer": customer},
        wait_timeout=60,
        on_prompt=lambda _prompt, _schema: {"approve": True, "note": "as agreed"},
    )
    return session.id


def take(browser: Browser, airplane: Airplane, url: str) -> None:
    """Go through the pages of users, by a desktop and by a phone."""
    page = signed_in(browser, url, DESKTOP)
    page.wait_for_selector("li:has-text('edsger')")
    shoot(page, "home")
    page.goto(f"{url}/sessions")
    page.wait_for_selector("li:has-text('Waiting') >> nth=1")
    shoot(page, "sessions")
    page.get_by_role("link", name="Failover").click()
    shoot(page, "failure")
    take_onboarding(page, url)
    take_refund(browser, page, url, airplane.runbooks.execute("refund", param_values={"customer": "ada@example.com"}))
    page.goto(f"{url}/sessions/{airplane.runbooks.execute('plan_refunds').session_id}")
    page.get_by_role("link", name="Answer").click()
    shoot(page, "shown")


def take_onboarding(page: Page, url: str) -> None:
    """Upload a contract, and see the session that it starts."""
    page.goto(f"{url}{ONBOARD}")
    page.get_by_label("Contract").set_input_files([CONTRACT])
    shoot(page, "start")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("link", name="Answer").wait_for()
    shoot(page, "session")


def take_refund(browser: Browser, page: Page, url: str, started: Any) -> None:
    """Answer a prompt, after having left a field out."""
    page.goto(f"{url}/sessions/{started.session_id}")
    page.get_by_role("link", name="Answer").click()
    page.get_by_role("radio", name="Yes").check()
    shoot(page, "prompt")
    page.get_by_role("button", name="Decide").click()
    shoot(page, "prompt-error")
    phone = signed_in(browser, url, PHONE)
    phone.goto(page.url)
    shoot(phone, "prompt-phone")
    page.get_by_label("Note").fill("The invoice was paid twice.")
    page.get_by_role("button", name="Decide").click()
    page.wait_for_selector("h1 + .badge:has-text('Succeeded')")
    shoot(page, "result")
    phone.goto(page.url)
    shoot(phone, "session-phone")


def take_operators(browser: Browser, airplane: Airplane, url: str) -> None:
    """Go through the pages that an operator has besides, once the database was restored."""
    page = signed_in(browser, url, DESKTOP, SERVER_KEY)
    page.goto(f"{url}/held")
    shoot(page, "held")
    session_id = next(one.id for one in airplane.sessions.list() if one.status == "Succeeded")
    page.goto(f"{url}/sessions/{session_id}/delete")
    shoot(page, "delete")
    airplane.sessions.cancel(airplane.runbooks.execute("plan_refunds").session_id)
    airplane.sessions.wait(
        airplane.runbooks.execute("refund", param_values={"customer": "joan@example.com"}).session_id,
        wait_timeout=60,
        raise_on_failure=False,
    )
    while page.goto(f"{url}/deliveries") and not (
        page.get_by_role("button", name="Send").count() and page.get_by_text("attempts: 1, the last one: no").count()
    ):
        page.wait_for_timeout(100)
    shoot(page, "deliveries")


def targets(url: str) -> list[Webhook | Slack]:
    """Return a receiver that is gone for good, and one that does not answer."""
    return [
        Webhook(url, secret=SECRET, name="billing", events=["session.cancelled"]),
        Slack("http://127.0.0.1:9/services", name="pager", events=["session.failed"]),
    ]


@contextmanager
def gone() -> Generator[str]:
    """Yield the URL of a receiver that answers 410."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_error(410)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        Thread(target=receiver.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{receiver.server_port}/hook"
        receiver.shutdown()


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


def signed_in(browser: Browser, url: str, size: tuple[int, int], key: str = ADA_KEY) -> Page:
    """Open a window in which Ada has signed in, or the owner of another key."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, java_script_enabled=False, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(url)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    return page


def shoot(page: Page, name: str) -> None:
    """Write a picture of the whole page, in as many colours as a page has but for its letters' edges."""
    picture = Image.open(BytesIO(page.screenshot(full_page=True)))
    picture.quantize(64).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
