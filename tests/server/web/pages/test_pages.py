"""The pages, without a browser: what they show, whom they let in, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from contextlib import contextmanager
from datetime import date, timedelta
from urllib.parse import urlencode, urlsplit

import pytest
import urllib3
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from airplane_runbooks.server import Context, Field, Limits, RunbookServer, User, create_app, runbook
from airplane_runbooks.server.service.identity import Users
from airplane_runbooks.server.web import failed_logins
from airplane_runbooks.server.web.pages import signing
from airplane_runbooks.server.web.pages.formats import (
    describe_json,
    describe_value,
    format_duration,
    plain,
)
from tests.support.browsing import Browser, disguise, expired
from tests.support.engines import saying
from tests.support.servers import Client, eventually

ADA = User("ada@example.com", "tkn_ada_1")
BOB = User("bob@example.com", "tkn_bob_2")
HOSTILE = "<script>alert(1)</script>\"'&\n{{ 7 * 7 }}"


def look(thing: str) -> dict:
    """Return what is seen."""
    return {"thing": thing, "rows": list(range(40))}


def explode(thing: str) -> None:
    """Raise."""
    raise ValueError(f"no {thing}")


@runbook(name="Ask & tell")
def ask(context: Context, thing: str, count: int = 2) -> dict:
    """Look, ask, and return the answer."""
    context.step(look, thing, name=f"look at {thing}")
    answer = context.prompt(
        f"What of {thing}?",
        sure=Field(bool, default=False),
        amount=int,
        due=Field(date, optional=True),
        note=Field(str, default="none"),
    )
    return {"amount": answer["amount"], "due": answer["due"], "note": answer["note"], "sure": answer["sure"]}


@runbook
def quick(context: Context, thing: str = "x") -> str:
    """Do one thing."""
    context.step(look, thing)
    return thing


@runbook
def fails(context: Context, thing: str = "x") -> None:
    """Do what cannot be done."""
    context.step(explode, thing, retries=1)


@runbook
def many(context: Context) -> None:
    """Take many steps."""
    for number in range(150):
        context.step(int, number, name=f"number {number}")


@pytest.fixture(scope="module")
def server():
    with RunbookServer([ask, quick, fails, many], users=[ADA, BOB]) as server:
        yield server


@pytest.fixture(scope="module")
def api(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture
def ada(server):
    browser = Browser(server.base_url, "tkn_ada_1")
    yield browser
    browser.close()


@pytest.fixture
def bob(server):
    browser = Browser(server.base_url, "tkn_bob_2")
    yield browser
    browser.close()


@pytest.fixture
def stranger(server):
    browser = Browser(server.base_url)
    yield browser
    browser.close()


def asked(api, thing="this"):
    session_id = api.execute("ask", {"thing": thing})
    return session_id, api.open_prompt(session_id)["id"]


def store(server):
    return server._lifecycle.services.store


def test_the_list_shows_sessions_with_state_and_starter(api, ada, server):
    mine = Client(server, **{"X-Airplane-API-Key": "tkn_ada_1"})
    done, open_one = mine.execute("quick"), asked(api)[0]
    mine.close()
    api.reaches(done, "Succeeded")
    page = ada.get("/sessions")
    assert (page.status, page.title) == (200, "Sessions")
    newest, older = re.findall("<li>.*?</li>", page.text, re.DOTALL)[:2]
    assert open_one in newest
    assert "Waiting" in newest
    assert "API user" in newest
    assert "Ask &amp; tell" in newest
    assert done in older
    assert "Succeeded" in older
    assert "ada@example.com" in older
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", older)


def test_the_list_can_be_limited_to_one_runbook(api, ada):
    quick_id, ask_id = api.execute("quick"), asked(api)[0]
    page = ada.get("/sessions?runbook=quick")
    assert quick_id in page.text
    assert ask_id not in page.text
    assert '<option value="quick" selected>' in page.text


def test_the_list_can_be_limited_to_a_state_and_stays_so(api, ada):
    done, waiting = api.execute("quick"), [asked(api)[0] for _ in range(26)]
    api.reaches(done, "Succeeded")
    page = ada.get("/sessions?status=Waiting&live=off")
    assert done not in page.text
    assert all(one in page.text for one in waiting[1:])
    assert '<option value="Waiting" selected>' in page.text
    addresses = re.findall('href="(\\?[^"]*)"', page.text)
    assert len(addresses) == 2  # to go on by itself, and to the older ones
    assert all("status=Waiting" in one for one in addresses)
    assert waiting[0] in ada.get("/sessions" + addresses[1].replace("&amp;", "&")).text
    both = ada.get("/sessions?status=Waiting&runbook=quick")
    assert "There are no such sessions." in both.text


def test_the_list_has_pages(api, ada):
    for _ in range(26):
        last = api.execute("quick")
    first = ada.get("/sessions")
    assert last in first.text
    assert ">Newest</a>" not in first.text
    following = re.search('rel="next" href="([^"]*)"', first.text)[1].replace("&amp;", "&")
    second = ada.get("/sessions" + following)
    assert last not in second.text
    assert ">Newest</a>" in second.text
    assert "There are no more sessions" in ada.get("/sessions?before=1").text
    for nonsense in ("-1", "x", "9" * 50, "²"):
        assert last in ada.get("/sessions?" + urlencode({"before": nonsense})).text


def test_a_session_shows_its_parameters_steps_and_result(api, ada):
    session_id, prompt_id = asked(api, "that")
    waiting = ada.get(f"/sessions/{session_id}")
    assert waiting.status == 200
    assert f'href="/prompts/{prompt_id}"' in waiting.text
    assert "What of that?" in waiting.text
    assert ada.answer(prompt_id, sure="on", amount="7", note="fine").status == 303
    api.reaches(session_id, "Succeeded")
    page = ada.get(f"/sessions/{session_id}").text
    assert re.search(r"Thing</dt>.*?that", page, re.DOTALL)
    assert re.search(r"Count</dt>.*?2", page, re.DOTALL)
    assert page.index("Result") < page.index("look at that") < page.index("What of that?")
    assert "<summary>45 lines</summary>" in page
    assert re.search(r"Answered by <strong>ada@example.com</strong> at <time[^>]*>[^<]* UTC</time>", page)
    assert re.search(r"Sure</dt>.*?Yes", page, re.DOTALL)
    assert re.search(r"Amount</dt>.*?7", page, re.DOTALL)
    assert re.search(r"Result</h2>.*?&#34;note&#34;:&#34;fine&#34;", page, re.DOTALL)


def test_the_failure_of_a_step_is_shown_with_its_attempts(api, ada):
    session_id = api.execute("fails", {"thing": "luck"})
    api.reaches(session_id, "Failed")
    page = ada.get(f"/sessions/{session_id}").text
    assert "attempt 2" in page
    assert page.count("ValueError: no luck") == 3
    link, step = re.search(r'<a href="\?page=1#(step-(\w+))">See the step that failed</a>', page).groups()
    assert f'<li id="{link}"' in page
    assert step == api.session(session_id)["error"]["stepRunID"]
    assert page.index("It failed") < page.index(">Steps</h2>")
    assert "attempt 1: ValueError: no luck" in page
    assert "step &#39;explode&#39; failed: ValueError: no luck" in page


def test_long_sessions_open_with_their_last_page_of_steps(api, ada):
    session_id = api.execute("many")
    api.reaches(session_id, "Succeeded")
    latest = ada.get(f"/sessions/{session_id}").text
    assert "101 to 150 of 150" in latest
    assert latest.index("number 100<") < latest.index("number 149<")
    first = ada.get(f"/sessions/{session_id}?page=1").text
    assert "number 0<" in first
    assert "number 100<" not in first
    assert "101 to 150" in ada.get(f"/sessions/{session_id}?page=99").text


def test_every_value_on_a_page_is_escaped(api, ada):
    session_id, prompt_id = asked(api, HOSTILE)
    for path in ("/", "/sessions", f"/sessions/{session_id}", f"/prompts/{prompt_id}", "/sessions/%3Cscript%3E"):
        page = ada.get(path).text
        assert "<script>" not in page
        assert ("{{ 7 * 7 }}" in page) == (path not in ("/sessions", "/sessions/%3Cscript%3E"))
    reply = ada.answer(prompt_id, amount="<script>", note="<script>")
    assert reply.status == 422
    assert "<script>" not in reply.text


def test_an_answer_has_values_of_the_types_of_its_fields(api, ada):
    session_id, prompt_id = asked(api)
    form = ada.get(f"/prompts/{prompt_id}").form
    assert [name for name in form.controls if name.startswith("field-")] == [
        "field-sure",
        "field-amount",
        "field-due",
        "field-note",
    ]
    reply = ada.answer(prompt_id, sure="on", amount="12", due="2024-02-29", note="a\r\nb")
    assert (reply.status, reply.location) == (303, f"/sessions/{session_id}")
    api.reaches(session_id, "Succeeded")
    prompt = api.get("/prompts/get", id=prompt_id).json["prompt"]
    assert prompt["values"] == {"sure": True, "amount": 12, "due": "2024-02-29", "note": "a\nb"}
    assert prompt["submittedBy"] == ADA.id
    assert prompt["submittedAt"]


def test_a_form_with_invalid_values_is_shown_again(api, ada):
    session_id, prompt_id = asked(api)
    reply = ada.answer(prompt_id, sure="on", amount="a dozen", note="kept")
    assert reply.status == 422
    assert '<a href="#field-amount">Amount: Enter a whole number, such as 42.</a>' in reply.text
    assert "<title>Error: " in reply.text
    assert reply.form.controls["field-amount"]["value"] == "a dozen"
    assert reply.form.controls["field-amount"]["aria-invalid"] == "true"
    assert reply.form.controls["field-note"]["value"] == "kept"
    assert "checked" in reply.form.controls["field-sure"]
    assert api.session(session_id)["status"] == "Waiting"


def test_a_prompt_is_cancelled_with_an_empty_form(api, ada):
    session_id, prompt_id = asked(api)
    reply = ada.answer(prompt_id, action="cancel")
    assert (reply.status, reply.location) == (303, f"/sessions/{session_id}")
    api.reaches(session_id, "Cancelled")
    assert "Cancelled by <strong>ada@example.com</strong>" in ada.get(f"/prompts/{prompt_id}").text


def test_a_second_answer_changes_nothing(api, ada, bob):
    session_id, prompt_id = asked(api)
    token = bob.token(prompt_id)
    assert ada.answer(prompt_id, amount="1").status == 303
    for action in ("submit", "cancel"):
        late = bob.post(f"/prompts/{prompt_id}", {"token": token, "action": action, "field-amount": "2"})
        assert late.status == 409
        assert "Answered by <strong>ada@example.com</strong>" in late.text
        assert "What you sent has changed nothing." in late.text
        assert re.search(r"Amount</dt>.*?1", late.text, re.DOTALL)
    nonsense = bob.post(f"/prompts/{prompt_id}", {"token": token, "action": "submit", "field-amount": "x"})
    assert nonsense.status == 409
    seen = bob.get(f"/prompts/{prompt_id}")
    assert seen.status == 200
    assert "This prompt is closed" in seen.text
    assert "field-amount" not in seen.form.controls
    api.reaches(session_id, "Succeeded")
    assert api.get("/prompts/get", id=prompt_id).json["prompt"]["values"]["amount"] == 1


def test_one_of_many_answers_at_once_counts(api, server):
    session_id, prompt_id = asked(api)
    browsers = [Browser(server.base_url, key) for key in ("tkn_ada_1", "tkn_bob_2") * 4]
    tokens = [browser.token(prompt_id) for browser in browsers]
    together, statuses = threading.Barrier(len(browsers)), []

    def answer(number):
        fields = {"token": tokens[number], "action": "submit", "field-amount": number}
        together.wait()
        statuses.append(browsers[number].post(f"/prompts/{prompt_id}", fields).status)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(len(browsers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for browser in browsers:
        browser.close()
    assert sorted(statuses) == [303] + [409] * 7
    api.reaches(session_id, "Succeeded")


def test_a_prompt_past_its_time_is_closed_at_once(api, ada, server, monkeypatch):
    session_id, prompt_id = asked(api)
    token = ada.token(prompt_id)
    disguise(monkeypatch, server, prompt=expired)
    assert "Expired at" in ada.get(f"/prompts/{prompt_id}").text
    assert "A prompt has expired" in ada.get(f"/sessions/{session_id}").text
    for fields in ({"field-amount": "1"}, {}):
        late = ada.post(f"/prompts/{prompt_id}", {"token": token, "action": "submit", **fields})
        assert late.status == 409
        assert "Expired at" in late.text
    for operation in ("submit", "cancel"):
        answer = api.post(f"/prompts/{operation}", {"id": prompt_id, "values": {"sure": True, "amount": 1}})
        assert (answer.status, answer.code) == (409, "prompt_expired")
    store(server).answer(prompt_id, saying(None), None)
    assert "Expired at" in ada.get(f"/prompts/{prompt_id}").text


def test_a_prompt_that_ended_with_its_session_says_so(api, ada):
    session_id, prompt_id = asked(api)
    api.post("/runs/cancel", {"id": api.runs(session_id)[0]["id"]})
    assert "Cancelled by <strong>API user</strong>" in ada.get(f"/prompts/{prompt_id}").text


@pytest.mark.parametrize("path", ["/sessions/ses_nope", "/prompts/pmt_nope"])
def test_an_unknown_session_or_prompt_is_a_404_page(ada, path):
    page = ada.get(path)
    assert (page.status, page.title) == (404, "There is nothing here")
    assert page.headers["Content-Type"].startswith("text/html")


PAGES = [
    "/",
    "/sessions",
    "/sessions/{session}",
    "/sessions/{session}/cancel",
    "/prompts/{prompt}",
    "/runbooks",
    "/runbooks/ask",
]


def test_no_page_is_shown_without_a_sign_in(api, stranger):
    session_id, prompt_id = asked(api)
    for path in PAGES:
        address = path.format(session=session_id, prompt=prompt_id)
        reply = stranger.get(address)
        assert (reply.status, reply.text) == (303, "")
        assert reply.location == "/sign-in?" + urlencode({"next": address})
    assert stranger.get("/sessions/ses_nope").status == 303
    for path in ("/prompts/" + prompt_id, "/sign-out"):
        reply = stranger.post(path, {"action": "cancel"})
        assert (reply.status, reply.title) == (403, "You are not signed in any more")
    assert api.session(session_id)["status"] == "Waiting"


def test_a_sign_in_leads_to_the_page_asked_for(stranger, server):
    assert stranger.get("/sign-in?next=/prompts/pmt1").form.by_name() == {"next": ["/prompts/pmt1"], "key": [""]}
    reply = stranger.sign_in(" tkn_ada_1 ", next="/prompts/pmt1")
    assert (reply.status, reply.location) == (303, "/prompts/pmt1")
    assert "ada@example.com" in stranger.get("/").text
    assert stranger.get("/sign-in?next=/prompts/pmt1").location == "/prompts/pmt1"
    assert stranger.sign_in(server.api_key).status == 303
    assert "API user" in stranger.get("/").text


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/sign-out",
        "/sessions/../x",
        "/sessions/a\n",
        "x",
        "",
    ],
)
def test_a_sign_in_leads_to_no_other_site(stranger, address):
    assert stranger.sign_in("tkn_ada_1", next=address).location == "/"


def test_the_cookie_is_http_only_and_holds_no_key(stranger):
    reply = stranger.sign_in("tkn_ada_1")
    value, *attributes = reply.headers["Set-Cookie"].split("; ")
    assert {one.lower() for one in attributes} == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
    assert "tkn" not in value


@contextmanager
def under_uvicorn(app, **options):
    """Serve an application by a server of another project, and yield its URL."""
    config = uvicorn.Config(
        app, port=0, loop="asyncio", log_config=None, log_level="warning", lifespan="off", **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    yield "http://127.0.0.1:" + str(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()


async def close(app):
    """Run the end of an application whose lifespan is not run."""
    async with app.router.lifespan_context(app):
        pass


def test_a_cookie_set_over_https_is_secure():
    app = create_app([quick], api_key="tkn_1")
    forwarded = {"X-Forwarded-Proto": "https"}
    with under_uvicorn(app, proxy_headers=True, forwarded_allow_ips="127.0.0.1") as url:
        browser = Browser(url)
        reply = browser.post("/sign-in", {"key": "tkn_1"}, **forwarded)
        assert reply.headers["Set-Cookie"].startswith("__Host-airplane_runbooks_")
        assert "; Secure" in reply.headers["Set-Cookie"]
        assert "; Secure" not in browser.post("/sign-in", {"key": "tkn_1"}).headers["Set-Cookie"]
        browser.close()
    asyncio.run(close(app))


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: cookie.replace(ADA.id, BOB.id),
        lambda cookie: re.sub(r"\.(\d+)\.", lambda match: f".{int(match[1]) + 1}.", cookie),
        lambda cookie: cookie.replace(ADA.id, "usr_nobody"),
        lambda cookie: re.sub("=.*", "=", cookie),
        lambda cookie: re.sub("=.*", "=a.b.c.d", cookie),
        lambda cookie: re.sub("_[0-9a-f]{8}=", "=", cookie),
        lambda cookie: re.sub(r"\.[0-9a-f]{32}\.", f".{'0' * 32}.", cookie),
        lambda cookie: cookie + "x",
    ],
)
def test_a_forged_cookie_signs_no_one_in(ada, forge):
    assert ada.get("/").status == 200
    ada.cookie = forge(ada.cookie)
    assert ada.get("/").status == 303


def test_a_cookie_is_valid_on_every_server_with_the_key():
    here, there = Users("tkn_1", [ADA]), Users("tkn_2", [User("ADA@example.com", "tkn_ada_1")])
    cookie = signing.sign_in_cookie(ADA, "tkn_ada_1", 1000.0)
    assert signing.read_cookie(here, cookie, 1000.0 + signing.LIFETIME - 1).user is ADA
    assert signing.read_cookie(there, cookie, 1000.0).user.email == "ada@example.com"
    assert signing.read_cookie(here, cookie, 1000.0 + signing.LIFETIME) is None
    changed = Users("tkn_1", [User("ada@example.com", "tkn_ada_new")])
    assert signing.read_cookie(changed, cookie, 1000.0) is None


def test_a_cookie_ends_with_the_key_it_was_made_with():
    both = Users("tkn_1", [User("ada@example.com", ["tkn_ada_new", "tkn_ada_1"])])
    new, old = (signing.sign_in_cookie(both.get(ADA.id), key, 1000.0) for key in ("tkn_ada_new", "tkn_ada_1"))
    assert all(signing.read_cookie(both, cookie, 1000.0) for cookie in (new, old))
    after = Users("tkn_1", [User("ada@example.com", ["tkn_ada_new"])])
    assert [bool(signing.read_cookie(after, cookie, 1000.0)) for cookie in (new, old)] == [True, False]


def test_a_wrong_key_signs_no_one_in(stranger):
    reply = stranger.sign_in("tkn_wrong")
    assert reply.status == 403
    assert "Set-Cookie" not in reply.headers
    assert "This is not an API key of this server." in reply.text
    assert "tkn_wrong" not in reply.text
    assert reply.form.controls["key"]["aria-invalid"] == "true"


def test_the_right_key_signs_in_after_many_wrong_ones():
    with RunbookServer([quick], api_key="tkn_right") as server:
        browser, most = Browser(server.base_url), failed_logins.MAX_PER_KEY
        assert [browser.sign_in("tkn_wrong").status for _ in range(most)] == [403] * most
        held_up = eventually(lambda: (reply := browser.sign_in("tkn_wrong")).status == 429 and reply)
        assert held_up.headers["Retry-After"] == "1"
        assert browser.sign_in("tkn_right").status == 303
        browser.close()


def test_a_sign_out_removes_the_cookie(ada):
    token = next(iter(ada.get("/").tokens()))
    assert ada.post("/sign-out", {"token": "x"}).status == 403
    reply = ada.post("/sign-out", {"token": token})
    assert (reply.status, reply.location) == (303, "/sign-in")
    assert re.match('airplane_runbooks_[0-9a-f]{8}=("")?; .*Max-Age=0', reply.headers["Set-Cookie"])


def test_a_form_needs_the_token_of_its_prompt_and_its_user(api, ada, bob):
    (session_id, prompt_id), (_, other_prompt) = asked(api), asked(api)
    for token in ("", "x", "ü", bob.token(prompt_id), ada.token(other_prompt), next(iter(ada.get("/").tokens()))):
        for action in ("submit", "cancel"):
            reply = ada.post(f"/prompts/{prompt_id}", {"token": token, "action": action, "field-amount": "1"})
            assert reply.status == 403
            assert "Nothing was changed" in reply.text
    assert api.session(session_id)["status"] == "Waiting"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "HERE"}, 303),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_forms_of_other_sites_are_refused(api, ada, headers, status):
    _, prompt_id = asked(api)
    fields = {"token": ada.token(prompt_id), "action": "submit", "field-amount": "1"}
    headers = {name: ada.root if value == "HERE" else value for name, value in headers.items()}
    reply = ada.post(f"/prompts/{prompt_id}", fields, **headers)
    assert reply.status == status
    assert ada.post("/sign-in", {"key": "tkn_ada_1"}, **headers).status == status


def test_a_link_from_another_site_leads_over_a_page_of_ours(stranger):
    page = stranger.get("/prompts/pmt1", **{"Sec-Fetch-Site": "cross-site"})
    assert page.status == 200
    assert '<meta http-equiv="refresh" content="0; url=/prompts/pmt1">' in page.text
    assert stranger.get("/prompts/pmt1", **{"Sec-Fetch-Site": "same-origin"}).status == 303


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"token=%ff", "application/x-www-form-urlencoded"),
        ("token=ü".encode(), "application/x-www-form-urlencoded"),
        (b"token", "application/x-www-form-urlencoded"),
        (b"a=1&" * 10_001, "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"token=x", ""),
    ],
)
def test_a_malformed_form_is_refused(api, ada, body, kind):
    _, prompt_id = asked(api)
    reply = ada.send("POST", f"/prompts/{prompt_id}", body, **{"Content-Type": kind})
    assert (reply.status, reply.title) == (400, "This did not work")


def test_a_form_without_an_action_does_nothing(api, ada):
    session_id, prompt_id = asked(api)
    assert ada.answer(prompt_id, action="both", amount="1").status == 400
    assert api.session(session_id)["status"] == "Waiting"
    assert (
        ada.send("POST", f"/prompts/{prompt_id}", b"", **{"Content-Type": "application/x-www-form-urlencoded"}).status
        == 403
    )


def test_posted_forms_have_the_limits_of_calls():
    limits = Limits(max_body=20_000, max_calls=1, body_timeout=2)
    with RunbookServer([ask], api_key="tkn_1", limits=limits, users=[ADA]) as server:
        client, browser = Client(server), Browser(server.base_url, "tkn_1")
        session_id = client.execute("ask", {"thing": "this"})
        prompt_id = client.open_prompt(session_id)["id"]
        assert browser.answer(prompt_id, amount="1", note="x" * 20_000).status == 413
        assert browser.sign_in("x" * 17_000).status == 413
        parts = urlsplit(server.base_url)
        with socket.create_connection((parts.hostname, parts.port)) as slow:
            head = f"POST /prompts/{prompt_id} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {browser.cookie}\r\n"
            slow.sendall(f"{head}Content-Length: 10\r\n\r\n".encode())
            for _ in range(3):  # each one a turn of the event loop, in which it may come to what arrived before
                assert browser.get("/healthz").status == 200
            busy = browser.post(f"/prompts/{prompt_id}", {"token": "x"})  # one body of each user at a time
            assert busy.status == 429
            assert busy.headers["Retry-After"] == "1"
            # the call before may just be leaving its place
            eventually(lambda: client.get("/sessions/list").status == 200)
            eventually(lambda: browser.get("/").status == 200)
            ada = Browser(server.base_url, "tkn_ada_1")
            assert ada.post(f"/prompts/{prompt_id}", {"token": "x"}).status == 403
            ada.close()
            answer = slow.recv(65536)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"text/html" in answer
        browser.close()
        client.close()


def test_every_page_has_security_headers(api, ada, stranger):
    session_id, prompt_id = asked(api)
    paths = [path.format(session=session_id, prompt=prompt_id) for path in PAGES] + ["/sign-in", "/sessions/nope"]
    for reply in [*map(ada.get, paths), stranger.get("/sign-in"), stranger.get("/"), ada.answer(prompt_id, amount="x")]:
        policy = dict(one.strip().partition(" ")[::2] for one in reply.headers["Content-Security-Policy"].split(";"))
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in reply.headers["Permissions-Policy"]


def test_pages_have_one_script_and_no_outside_links(api, ada, stranger):
    session_id, prompt_id = asked(api)
    pages = [ada.get(path.format(session=session_id, prompt=prompt_id)) for path in PAGES] + [stranger.get("/sign-in")]
    for page in pages:
        assert not re.search(r"style=|\son[a-z]+=|https?://", page.text)
        (script,) = re.findall(r"<script[^>]*>[^<]*", page.text)
        assert re.fullmatch(r'<script src="/static/local-times.js\?v=[0-9a-f]+" defer>', script)
        for address in re.findall(r'(?:src|href)="(/static/[^"]*)"', page.text):
            asset = stranger.get(address)
            assert asset.status == 200
            assert "immutable" in asset.headers["Cache-Control"]
            assert asset.headers["Content-Type"].partition(";")[0] in (
                "text/css",
                "image/svg+xml",
                "text/javascript",
            )


def test_only_live_pages_reload_and_they_can_be_paused(api, ada):
    session_id, prompt_id = asked(api)
    live = [
        path for path in ("/", "/sessions", f"/sessions/{session_id}") if 'http-equiv="refresh"' in ada.get(path).text
    ]
    assert live == ["/", "/sessions", f"/sessions/{session_id}"]
    for path in live:
        link = re.search(r'<a href="(\?[^"]*live=off)">Pause</a>', ada.get(path).text)[1].replace("&amp;", "&")
        paused = ada.get(path + link).text
        assert "http-equiv" not in paused
        again = re.search(r'<a href="(\?[^"]*live=on)">', paused)[1].replace("&amp;", "&")
        assert 'http-equiv="refresh"' in ada.get(path + again).text
    assert f"/sessions/{session_id}?live=off" in ada.get("/sessions?live=off").text
    assert "http-equiv" not in ada.get(f"/prompts/{prompt_id}").text
    assert "http-equiv" not in ada.answer(prompt_id, amount="x").text
    ada.answer(prompt_id, amount="1")
    api.reaches(session_id, "Succeeded")
    assert "http-equiv" not in ada.get(f"/sessions/{session_id}").text


def test_the_api_stays_json_beside_the_pages(api):
    assert api.get("/nope").code == "route_not_found"
    reply = urllib3.request("GET", api.url.removesuffix("/v0") + "/nope")
    assert (reply.status, reply.json()["code"]) == (404, "route_not_found")


def test_a_cookie_does_not_open_the_api(ada):
    assert ada.get("/v0/sessions/list").status == 401


def test_the_pages_can_be_mounted_below_a_path():
    inner = create_app([ask, quick], api_key="tkn_1")
    outer = Starlette(routes=[Mount("/tools", app=inner)])
    with under_uvicorn(outer) as url:
        browser = Browser(url + "/tools")
        assert browser.get("/").location == "/tools/sign-in?next=%2F"
        reply = browser.sign_in("tkn_1", next="/")
        assert reply.location == "/tools/"
        assert "Path=/tools/;" in reply.headers["Set-Cookie"]
        body = json.dumps({"slug": "quick"})
        started = browser.send("POST", "/v0/runbooks/execute", body, **{"X-Airplane-API-Key": "tkn_1"})
        session_id = json.loads(started.text)["sessionID"]
        page = browser.get("/sessions").text
        assert f'href="/tools/sessions/{session_id}"' in page
        assert browser.get(f"/sessions/{session_id}").status == 200
        links = re.findall(r'(?:href|action)="(/[^"]*)"', page)
        assert links
        assert all(link.startswith("/tools/") for link in links)
        browser.close()
    asyncio.run(close(inner))


def test_an_internal_error_is_a_page_without_details(api, ada, server, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("tkn_secret")

    monkeypatch.setattr(server._lifecycle.services.store, "sessions", broken)
    page = ada.get("/")
    assert (page.status, page.title) == (500, "An error")
    assert "tkn_secret" not in page.text + caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0042, "4 ms"),
        (1, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_formatted_by_their_largest_units(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


def test_values_are_text_or_json_and_long_ones_folded():
    assert (describe_value("two words").text, describe_value("two words").is_code) == ("two words", False)
    assert (describe_value("").text, describe_value("").is_code) == ('""', True)
    assert describe_value({"a": 1}).text == '{"a":1}'
    assert describe_value({"__airplaneType": "configvar", "name": "db"}).text == "db"
    assert describe_value([{"id": "upl1", "url": None, "name": "a.csv", "size": 1}]).text == '["a.csv"]'
    assert describe_value({"id": "1", "url": None, "name": "a", "size": 1}).is_code
    assert describe_value(["x" * 100]).text == '[\n  "' + "x" * 100 + '"\n]'
    assert describe_value(list(range(100))).summary == "102 lines"
    assert describe_value("y" * 601).summary == "601 characters"
    assert describe_json(json.dumps("x" * 40_000).encode()).text.startswith("40,002 bytes of JSON: too long")


def test_bidirectional_controls_are_isolated(api, ada):
    turned = "\u202egnp.exe"
    session_id, prompt_id = asked(api, turned)
    for path in (f"/sessions/{session_id}", f"/prompts/{prompt_id}"):
        page = ada.get(path).text
        assert turned in page
        for heading in re.findall(r"<h[1-3][^>]*>(.*?)</h[1-3]>", page, re.DOTALL):
            assert re.fullmatch(r"<bdi>[^<]*</bdi>|[^<\u202e]*", heading)
    assert plain(turned) == "\\u202egnp.exe"
