"""The pages in a real browser: without JavaScript, on a phone as on a desk, by keyboard, and as axe judges them."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import Context, Field, RunbookServer, User, runbook
from tests.support.browsing import disguise, expired
from tests.support.chromium import CHROMIUM, FLAGS, PHONE, fits
from tests.support.servers import Client

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH"),
]

DESK = {"width": 1280, "height": 800}
NARROW = {"width": 320, "height": 640}
ABORTED = "net::ERR_ABORTED"
GRAVE = ("error", "warning")
EVE = User("eve@example.com", "tkn_eve_2")
OPERATOR = "tkn_own_1"


def look(thing: str) -> dict[str, Any]:
    """Return what is seen, at length."""
    return {"thing": thing, "url": "https://example.com/" + "a" * 200, "rows": list(range(60))}


def explode(reason: str) -> None:
    """Raise."""
    raise ValueError(reason * 20)


@runbook
def refund(context: Context, customer: str) -> dict[str, Any]:
    """Ask for a decision."""
    context.step(look, customer)
    context.show("## Mind\n\nOnly **paid** invoices, see `rules`.\n\n- one\n- two", name="Rules")
    context.show([{"invoice": "in_1", "cents": 4200, "note": "word " * 30}] * 2, name="Invoices")
    answer = context.prompt(
        f"Refund {customer}?", approve=bool, cents=Field(int, description="In euro cents"), note=str
    )
    return dict(answer)


@runbook
def everything(context: Context) -> str:
    """Ask for a value of each type."""
    answer = context.prompt(
        "Fill this in",
        name=str,
        flag=bool,
        maybe=Field(bool, optional=True),
        count=int,
        share=float,
        day=date,
        moment=datetime,
        speed=Literal["slow", "fast"],
        size=Field(str, options=[f"size {number}" for number in range(9)]),
        colours=Field(list[str], options=["red", "green", "blue"]),
        lines=list[str],
        table=dict[str, int],
        anything=Any,
        left_out=Field(str, optional=True),
    )
    return repr(answer)


@runbook
def fails(context: Context) -> None:
    """Fail, with a long word."""
    context.step(explode, "nospaceinhere" * 3)


@runbook
def reports(context: Context) -> list[dict[str, Any]]:
    """Return a table that is wider than a phone."""
    return [{f"column {number}": "word" * number for number in range(12)}] * 3


@runbook(confirm="All users of the host are signed out.")
def rotates(
    context: Context, host: str, level: Literal["low", "high"], token: Annotated[str, Field(secret=True)]
) -> str:
    """Rotate the keys of a host.

    ## When to use it

    1. After a *leak*, see `keys`.
    2. Every month, as [the handbook](https://example.com/handbook) says.

    | when | who |
    | --- | --- |
    | night | the one on duty |

    Args:
        host: Its name in the inventory.
    """
    return f"{host} {level} {len(token)}"


@runbook
def decides(context: Context) -> bool:
    """Ask for a yes or no, and for nothing else."""
    return context.prompt("Restart the database?", confirm_text="Restart", sure=bool)["sure"]


@runbook
def for_others(context: Context) -> None:
    """Ask another user."""
    context.prompt("Others only", reviewers=Reviewers(users=("nobody@example.com",)), sure=bool)


@pytest.fixture(scope="module")
def server():
    with RunbookServer(
        [refund, everything, fails, reports, rotates, decides, for_others], api_key=OPERATOR, users=[EVE]
    ) as server:
        yield server


@pytest.fixture(scope="module")
def api(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def root(server):
    return server.base_url.removesuffix("/v0")


@contextmanager
def window(chromium, root, size=DESK, **options):
    """Open a window in which nothing may go wrong unseen and everything comes from the server."""
    context = chromium.new_context(viewport=size, **{"java_script_enabled": False, **options})
    context.set_default_timeout(20_000)
    complaints = []
    context.on("console", lambda message: message.type in GRAVE and complaints.append(message.text))
    # a page left early takes its icon with it
    context.on("requestfailed", lambda request: request.failure == ABORTED or complaints.append(request.url))
    context.on("request", lambda request: request.url.startswith(root) or complaints.append(f"left: {request.url}"))
    yield context
    context.close()
    # Chromium reports a page that is not 200 as it does a script that is missing
    assert [text for text in complaints if "the server responded with a status of 4" not in text] == []


def sign_in(page, root, key="tkn_eve_2"):
    page.goto(root)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Home").wait_for()


def asked(api, slug="refund", values=None):
    session_id = api.execute(slug, values)
    return session_id, api.open_prompt(session_id)["id"]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_user_signs_in_and_answers_a_prompt(api, chromium, root, size):
    session_id, prompt_id = asked(api, values={"customer": f"customer {size['width']}"})
    with window(chromium, root, size) as context:
        page = context.new_page()
        page.goto(f"{root}/prompts/{prompt_id}")
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        assert "This is not an API key of this server." in page.get_by_role("alert").inner_text()
        page.get_by_label("API key").fill("tkn_eve_2")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Refund customer").wait_for()

        page.get_by_role("link", name="Sessions", exact=True).click()
        page.locator(f"a:has-text('{session_id}')").click()
        page.get_by_role("link", name="Answer").click()
        page.get_by_role("radio", name="Yes").check()
        page.get_by_label("Cents").fill("a dozen")
        page.get_by_label("Note").fill("<i>paid twice</i>")
        page.get_by_role("button", name="Submit").click()

        assert page.title().startswith("Error: ")
        page.get_by_role("link", name="Cents: Enter a whole number, such as 42.").click()
        assert page.locator("#field-cents:focus").count() == 1
        assert page.get_by_role("radio", name="Yes").is_checked()
        assert page.get_by_label("Note").input_value() == "<i>paid twice</i>"
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type("1200")
        page.keyboard.press("Enter")

        page.locator(".head .badge:has-text('Succeeded')").wait_for()
        assert page.url == f"{root}/sessions/{session_id}"
        assert page.get_by_text("Answered by eve@example.com").count() == 1
        assert page.get_by_text("<i>paid twice</i>").count() >= 1
        assert fits(page)
    assert api.output(api.runs(session_id)[0]) == {"approve": True, "cents": 1200, "note": "<i>paid twice</i>"}


def test_the_page_of_a_session_updates_until_it_is_paused(api, chromium, root):
    session_id, _ = asked(api, values={"customer": "c"})
    with window(chromium, root) as context:
        page, paused = context.new_page(), context.new_page()
        sign_in(page, root)
        for tab in (page, paused):
            tab.goto(f"{root}/sessions/{session_id}")
        paused.get_by_role("link", name="Pause").click()
        api.answer(session_id, approve=True, cents=1, note="n")
        page.locator(".head .badge:has-text('Succeeded')").wait_for()
        assert page.get_by_role("link", name="Pause").count() == 0
        assert paused.locator(".head .badge").inner_text() == "Waiting"


READERS = {  # the zone of each, with its language and how its times end
    "America/New_York": ("en-US", ("UTC-4", "UTC-5")),
    "Asia/Kolkata": ("ar-EG", ("UTC+5:30",)),
    "UTC": ("de", ("UTC",)),
}


@pytest.mark.parametrize("zone", READERS)
def test_times_are_in_the_zone_of_the_reader(api, chromium, root, zone):
    locale, suffixes = READERS[zone]
    session_id, _ = asked(api, values={"customer": "c"})
    with window(chromium, root, java_script_enabled=True, timezone_id=zone, locale=locale) as context:
        page = context.new_page()
        sign_in(page, root)
        page.goto(f"{root}/sessions/{session_id}?live=off")
        shown = page.locator("time").all()
        assert len(shown) >= 3
        for time in shown:
            moment = datetime.fromisoformat(time.get_attribute("datetime"))
            text, _, suffix = time.inner_text().rpartition(" ")
            assert text == f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
            assert suffix in suffixes
            assert time.get_attribute("title") == f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def test_times_are_in_utc_without_javascript(api, chromium, root):
    session_id, _ = asked(api, values={"customer": "c"})
    with window(chromium, root, timezone_id="America/New_York") as context:
        page = context.new_page()
        sign_in(page, root)
        page.goto(f"{root}/sessions/{session_id}?live=off")
        for time in page.locator("time").all():
            moment = datetime.fromisoformat(time.get_attribute("datetime"))
            assert time.inner_text() == f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def test_a_runbook_is_started_on_a_phone_and_run_again(api, chromium, root):
    with window(chromium, root, PHONE) as context:
        page = context.new_page()
        sign_in(page, root)
        page.get_by_role("link", name="Start a runbook").click()
        page.get_by_role("link", name="Rotates").click()
        page.get_by_role("heading", name="When to use it").wait_for()
        page.get_by_role("textbox", name="Host").fill("db1")
        page.get_by_label("Token").fill("hush-hush")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("link", name="Tick the box to agree before it starts.").click()
        assert page.locator("#confirmed:focus").count() == 1
        page.keyboard.press("Space")
        page.get_by_role("radio", name="high").check()
        page.get_by_label("Token").fill("hush-hush")  # which is not sent back
        page.get_by_role("button", name="Start").click()
        page.locator(".head .badge:has-text('Succeeded')").wait_for()
        first = page.url
        page.get_by_role("link", name="Run again…").click()
        assert page.get_by_role("textbox", name="Host").input_value() == "db1"
        assert page.get_by_role("radio", name="high").is_checked()
        assert page.get_by_label("Token").input_value() == ""
        page.get_by_label("Token").fill("another")
        page.get_by_label("All users of the host are signed out.").check()
        page.get_by_role("button", name="Start").dblclick()
        page.wait_for_url(f"{root}/sessions/*")
        page.locator(".head .badge:has-text('Succeeded')").wait_for()
        assert page.url != first
    found = api.get("/sessions/list").json["sessions"]
    assert [one["name"] for one in found].count("Rotates") == 2


def test_a_session_is_cancelled_by_keyboard_after_a_question(api, chromium, root):
    session_id, _ = asked(api, values={"customer": "c"})
    with window(chromium, root, PHONE) as context:
        page = context.new_page()
        sign_in(page, root)
        page.goto(f"{root}/sessions/{session_id}?live=off")
        page.get_by_role("link", name="Cancel…").focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Cancel this session?").wait_for()
        page.get_by_role("button", name="Cancel the session").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"{root}/sessions/{session_id}")
        page.get_by_text("Cancelled by eve@example.com").first.wait_for()
    api.reaches(session_id, "Cancelled")


def test_a_session_is_deleted_by_keyboard_after_a_question(api, chromium, root):
    session_id = api.execute("reports")
    api.reaches(session_id, "Succeeded")
    with window(chromium, root, PHONE) as context:
        page = context.new_page()
        sign_in(page, root, OPERATOR)
        page.goto(f"{root}/sessions/{session_id}")
        page.get_by_role("link", name="Delete…").focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Delete this session?").wait_for()
        page.get_by_role("button", name="Delete the session").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"{root}/sessions")
        assert page.locator(f"a:has-text('{session_id}')").count() == 0
        page.go_back()
        page.reload()
        page.get_by_role("heading", name="There is nothing here").wait_for()
    assert api.get("/sessions/get", id=session_id).status == 404


def test_a_form_in_a_second_tab_is_too_late(api, chromium, root):
    session_id, prompt_id = asked(api, values={"customer": "c"})
    with window(chromium, root) as context:
        first, second = context.new_page(), context.new_page()
        sign_in(first, root)
        for tab, note in ((first, "first"), (second, "second")):
            tab.goto(f"{root}/prompts/{prompt_id}")
            tab.get_by_role("radio", name="Yes").check()
            tab.get_by_label("Cents").fill("1")
            tab.get_by_label("Note").fill(note)
        first.get_by_role("button", name="Submit").click()
        first.wait_for_url(f"{root}/sessions/{session_id}")
        second.get_by_role("button", name="Submit").click()
        second.get_by_role("heading", name="Somebody was faster, or time was up").wait_for()
        assert second.get_by_text("Answered by eve@example.com").count() == 1
        assert second.get_by_text("What you sent has changed nothing.").count() == 1
        second.get_by_role("link", name="See the session").click()
        second.wait_for_url(f"{root}/sessions/{session_id}")
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0])["note"] == "first"


def test_a_prompt_that_has_expired_says_so(api, chromium, root, server, monkeypatch):
    _, prompt_id = asked(api, values={"customer": "c"})
    with window(chromium, root) as context:
        page = context.new_page()
        sign_in(page, root)
        page.goto(f"{root}/prompts/{prompt_id}")
        disguise(monkeypatch, server, prompt=expired)
        page.get_by_label("Cents").fill("1")
        page.get_by_role("button", name="Submit").click()
        page.get_by_text("Expired at").wait_for()
        assert page.get_by_role("button", name="Submit").count() == 0


def test_a_sign_in_that_ends_keeps_the_values_typed(api, chromium, root):
    session_id, prompt_id = asked(api, values={"customer": "c"})
    with window(chromium, root) as context:
        page = context.new_page()
        sign_in(page, root)
        page.goto(f"{root}/prompts/{prompt_id}")
        page.get_by_role("radio", name="Yes").check()
        page.get_by_label("Cents").fill("7")
        page.get_by_label("Note").fill("kept")
        context.clear_cookies()
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("heading", name="You are not signed in any more").wait_for()
        with context.expect_page() as opened:
            page.get_by_role("link", name="sign in in a new tab").click()
        opened.value.get_by_label("API key").fill("tkn_eve_2")
        opened.value.get_by_role("button", name="Sign in").click()
        opened.value.get_by_role("heading", name="Home").wait_for()
        page.reload()
        page.wait_for_url(f"{root}/sessions/{session_id}")
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0])["note"] == "kept"


def test_a_link_from_a_chat_keeps_the_user_signed_in(api, chromium, root):
    _, prompt_id = asked(api, values={"customer": "c"})
    chat = "http://chat.example/"
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, root)
    link = f'<a href="{root}/prompts/{prompt_id}">There is a prompt</a>'
    page.route(chat, lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto(chat)
    page.get_by_role("link").click()
    page.get_by_role("heading", name="Refund c?").wait_for()
    context.close()


TYPED = {
    "name": ["text:Ada Lovelace"],
    "flag": ["Space"],
    "maybe": ["ArrowUp"],  # from no answer to the choice above it
    "count": ["text:42"],
    "share": ["text:2.5"],
    "day": ["text:02292024"],  # month first: so does a Chromium that speaks American English
    "moment": ["text:02292024", "ArrowRight", "text:0430P"],
    "speed": ["Space", "ArrowDown"],
    "size": ["text:size 7"],
    "colours": ["Space", "Tab", "Tab", "Space"],
    "lines": ["text:one", "Enter", "text:two"],
    "table": ['text:{"a": 1}'],
    "anything": ["text:null"],
    "left_out": [],
}


def tab_to(page, selector):
    """Press Tab until the element has the focus; the parts of a date are places to stop at, too."""
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} is out of reach")


def test_a_whole_form_is_filled_in_by_keyboard_alone(api, chromium, root):
    session_id, prompt_id = asked(api, "everything")
    with window(chromium, root, locale="en-US") as context:
        page = context.new_page()
        page.goto(f"{root}/prompts/{prompt_id}")
        keys = page.keyboard
        keys.press("Tab")
        assert page.locator(".skip:focus").inner_text() == "Skip to the content"
        keys.press("Enter")
        keys.press("Tab")
        keys.type("tkn_eve_2")
        keys.press("Enter")
        page.get_by_role("heading", name="Fill this in").wait_for()
        keys.press("Tab")
        keys.press("Enter")
        keys.press("Tab")  # the way back to the session
        assert page.locator("a:focus").inner_text() == "Everything"
        for field, typed in TYPED.items():
            tab_to(page, f"[name=field-{field}]")
            for key in typed:
                keys.type(key.removeprefix("text:")) if key.startswith("text:") else keys.press(key)
        tab_to(page, "button[value=submit]")
        keys.press("Enter")
        page.wait_for_url(f"{root}/sessions/{session_id}")
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == repr(
        {
            "name": "Ada Lovelace",
            "flag": True,
            "maybe": False,
            "count": 42,
            "share": 2.5,
            "day": date(2024, 2, 29),
            "moment": datetime(2024, 2, 29, 16, 30, tzinfo=UTC),
            "speed": "fast",
            "size": "size 7",
            "colours": ["red", "blue"],
            "lines": ["one", "two"],
            "table": {"a": 1},
            "anything": None,
            "left_out": None,
        }
    )


def visited(api, root):
    """Return the address of each kind of page there is."""
    (waiting, prompt), (_, full), (_, decision), (_, others) = (
        asked(api, values={"customer": "c" * 60}),
        asked(api, "everything"),
        asked(api, "decides"),
        asked(api, "for_others"),
    )
    failed, (done, answered) = api.execute("fails"), asked(api, values={"customer": "d"})
    api.reaches(failed, "Failed")
    table = api.execute("reports")
    api.reaches(table, "Succeeded")
    api.answer(done, approve=True, cents=1, note="n" * 200)
    api.reaches(done, "Succeeded")
    paths = [
        "/",
        "/sessions",
        "/sessions?before=1",
        "/sessions?text=c&from=x&by=eve@example.com",
        "/sessions?text=nothing+like+it&env=prod",
        f"/sessions/{waiting}",
        f"/sessions/{failed}",
        f"/sessions/{done}",
        f"/sessions/{table}",
        f"/sessions/{waiting}/cancel",
        f"/sessions/{done}/delete",
        "/held",
        "/deliveries",
        f"/runbooks/refund?sessionID={waiting}",
        "/runbooks/rotates?host=db1&level=unknown",
        "/runbooks",
        *(f"/prompts/{one}" for one in (prompt, full, decision, others, answered)),
        "/sessions/ses_nope",
    ]
    return [f"{root}{path}{'&' if '?' in path else '?'}live=off" for path in paths], f"{root}/prompts/{full}"


def test_every_page_fits_a_width_of_320_pixels(api, chromium, root):
    addresses, form = visited(api, root)
    with window(chromium, root, NARROW) as context:
        page = context.new_page()
        page.goto(root)
        assert fits(page)
        sign_in(page, root, OPERATOR)  # who has more pages and buttons than a user
        for address in addresses:
            page.goto(address)
            for fold in page.locator("summary").all():
                fold.click()
            assert fits(page), address
        page.goto(form)
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("alert").wait_for()
        assert fits(page)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.nightly)])
def test_axe_finds_no_accessibility_fault(api, chromium, root, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python", reason="axe-playwright-python, which brings axe, is not installed"
    )
    script = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")
    addresses, form = visited(api, root)
    found = {}

    def check(page, name):
        page.evaluate(script)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert len(result["passes"]) > 10
        if result["violations"]:
            found[name] = [(one["id"], [node["html"] for node in one["nodes"]]) for one in result["violations"]]

    with window(chromium, root, java_script_enabled=True, bypass_csp=True, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(root)
        check(page, "sign-in")
        page.get_by_role("button", name="Sign in").click()
        check(page, "sign-in refused")
        sign_in(page, root, OPERATOR)  # who has more pages and buttons than a user
        for address in addresses:
            page.goto(address)
            for fold in page.locator("summary").all():
                fold.click()
            check(page, address.removeprefix(root))
        page.goto(form)
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("alert").wait_for()
        check(page, "form with errors")
    assert found == {}
