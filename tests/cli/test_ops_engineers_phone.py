"""A colleague with a phone: a message's link, through nginx with TLS below a prefix, to the end of the session."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from airplane_runbooks.webhooks import EventType
from tests.support.chromium import CHROMIUM, FLAGS, PHONE, fits
from tests.support.receivers import HookReceiver
from tests.support.reverse_proxies import NGINX
from tests.support.site import ADA, deploy, listening, site, told

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly,
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH"),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


@contextmanager
def phone():
    """Open a page on a phone, which is touched and trusts the site without its authority."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, ignore_https_errors=True)
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def test_a_refund_is_approved_and_followed_on_a_phone(tmp_path):
    deploy(tmp_path)
    with (
        listening() as sockets,
        HookReceiver() as hooks,
        site(tmp_path, sockets, hooks) as ops,
        phone() as page,
    ):
        session_id = ops.command("execute", "refund", "--param", "customer=ada@example.com").strip()
        asked = told(hooks, session_id, EventType.PROMPT_OPENED).prompt
        page.goto(asked.url)
        page.get_by_label("API key").fill(ADA)
        page.get_by_role("button", name="Sign in").tap()
        page.get_by_role("heading", name=asked.description).wait_for()
        assert fits(page)
        page.get_by_role("radio", name="Yes").tap()
        page.get_by_label("Note").fill("paid twice")
        page.get_by_role("button", name="Decide").tap()
        page.wait_for_url(f"{ops.url}/sessions/{session_id}")
        page.locator(".head .badge:has-text('Succeeded')").wait_for()
        page.get_by_role("heading", name="Result").wait_for()
        assert "Your refund rfd_1042 is on its way." in page.locator("main").inner_text()
        assert fits(page)
