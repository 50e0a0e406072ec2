"""Sessions outlive the code that they were started with: they are held until a server has fitting code."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
import urllib3

from airplane_runbooks.server import Context, RunbookServer, User, runbook, task
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.rows import from_microseconds, to_microseconds
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually, served

KEY = "tkn_of_the_server"


def first():
    return 1


@pytest.fixture
def compiled(tmp_path):
    """Compile a runbook's source, as if its file had been edited since the last start."""
    count = iter(range(1000))

    def make(body, version=None, signature="context: Context"):
        path = tmp_path / f"edit_{next(count)}.py"
        path.write_text(f"def book({signature}):\n" + "".join(f"    {line}\n" for line in body))
        names = {"Context": Context, "first": first, "timedelta": timedelta}
        exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), names)
        return runbook(version=version)(names["book"])

    return make


OLD = ["one = context.step(first)", "context.prompt('Go on?', go=bool)", "return one"]
NEW = ["one = context.step(first)", "context.prompt('Go on?', go=bool)", "return one + 1"]
ANOTHER_WAY = ["context.step(first, name='other')", "context.prompt('Go on?', go=bool)", "return 2"]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'server.db'}"


@contextmanager
def serving(url, *runbooks, **options):
    with served(*runbooks, database=url, api_key=KEY, **options) as api:
        yield api


def waiting(url, book):
    """Let a session wait for its answer, and stop the server."""
    with serving(url, book) as api:
        session_id = api.execute("book")
        return session_id, api.open_prompt(session_id)["id"]


def submit(api, prompt_id):
    return api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}})


def is_refused(answer):
    return (answer.status, answer.code, answer.headers["X-Airplane-Retryable"]) == (423, "code_changed", "false")


def test_a_session_is_held_while_its_code_is_missing(url, compiled):
    session_id, prompt_id = waiting(url, compiled(OLD))
    with serving(url, compiled(NEW)) as api:
        assert is_refused(submit(api, prompt_id))
        assert is_refused(api.post("/prompts/cancel", {"id": prompt_id}))
        session = api.session(session_id)
        assert session["status"] == "Waiting"
        assert session["held"]["code"] == "code_changed"
        assert "no server has the code of book" in session["held"]["message"]
        assert api.get("/prompts/get", id=prompt_id).json["prompt"]["held"] == session["held"]
    with serving(url, compiled(OLD)) as api:
        assert api.session(session_id)["held"] is None
        assert submit(api, prompt_id).status == 200
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == 1


def test_the_home_page_has_held_sessions_with_their_reasons(url, compiled):
    session_id, _ = waiting(url, compiled(OLD))
    with serving(url, compiled(NEW)) as api, closing(Browser(api.url, KEY)) as browser:
        home = browser.get("/").text
        assert f'<a href="/sessions/{session_id}">' in home.partition('id="held"')[2].partition("</section>")[0]
        assert "no server has the code of book with which it was started" in home
        assert 'href="/held"' not in home
        assert "once one has it" in browser.get("/held").text
    with serving(url, compiled(OLD)) as api, closing(Browser(api.url, KEY)) as browser:
        assert 'id="held"' not in browser.get("/").text


def test_a_starting_server_logs_held_sessions_once_per_runbook(url, compiled, caplog):
    book = compiled(OLD)
    with serving(url, book) as api:
        for _ in range(3):
            api.open_prompt(api.execute("book"))
    with caplog.at_level(logging.WARNING), serving(url, compiled(NEW)):
        told = [record.getMessage() for record in caplog.records if "held" in record.getMessage()]
        assert len(told) == 1
        assert "3 unfinished session(s) of runbook book are held" in told[0]
        assert "version=" in told[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING), serving(url, compiled(OLD)):
        assert "held" not in caplog.text


def test_a_new_or_equal_version_lets_sessions_continue(url, compiled):
    session_id, prompt_id = waiting(url, compiled(OLD))
    with serving(url, compiled(NEW, version="1")) as api:
        assert submit(api, prompt_id).status == 200
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == 2
        another = api.execute("book")
        prompt_id = api.open_prompt(another)["id"]
    with serving(url, compiled(OLD, version="2")) as api:
        assert is_refused(submit(api, prompt_id))
    with serving(url, compiled(OLD, version="1")) as api:
        assert submit(api, prompt_id).status == 200
        api.reaches(another, "Succeeded")


def test_sessions_of_a_runbook_that_is_gone_are_held(url, compiled):
    other = runbook(slug="other")(lambda_book)
    session_id, prompt_id = waiting(url, compiled(OLD))
    with serving(url, other) as api:
        assert is_refused(submit(api, prompt_id))
        assert api.session(session_id)["status"] == "Waiting"
        assert api.finishes("other") == "done"
    with serving(url, compiled(OLD)) as api:
        assert submit(api, prompt_id).status == 200
        api.reaches(session_id, "Succeeded")


def lambda_book(context: Context) -> str:
    return "done"


@pytest.fixture
def slow(tmp_path):
    """Return a step that stays until its file is there, and that file."""
    return tmp_path / "go on"


def test_a_session_in_progress_is_held_as_pending(url, compiled, slow):
    wait = ["import pathlib, time", f"while not pathlib.Path({str(slow)!r}).exists(): time.sleep(0.01)"]
    old = compiled(["context.step(first)", "def wait():", *(f"    {line}" for line in wait), "context.step(wait)"])
    with serving(url, old, grace=0) as api:
        session_id = api.execute("book")
        eventually(lambda: len(api.runs(session_id)) == 3)
    slow.touch()
    with serving(url, compiled(NEW)) as api:
        eventually(lambda: api.session(session_id)["held"])
        assert api.session(session_id)["status"] == "Pending"
    with serving(url, old) as api:
        api.reaches(session_id, "Succeeded")


def begins_nothing(server):
    """Let a server take sessions on, and die before it gets round to them."""
    engine = server._lifecycle.services.engine
    engine.reserve = lambda: None
    engine.start = lambda job_id: None


def test_a_session_that_has_not_begun_takes_any_code(url, compiled):
    book = compiled(["return 'old'"])
    server = RunbookServer([book], database=url, api_key=KEY)
    with server:
        client = Client(server)
        begins_nothing(server)
        session_id = client.execute("book")
        client.close()
    with serving(url, compiled(["return 'new'"])) as api:
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == "new"


def test_a_task_that_is_gone_waits_until_it_is_served_again(url, compiled):
    def lookup() -> str:
        return "found"

    server = RunbookServer([], [task(lookup)], database=url, api_key=KEY)
    with server:
        client = Client(server)
        begins_nothing(server)
        run_id = client.post("/tasks/execute", {"slug": "lookup"}).json["runID"]
        client.close()
    with serving(url, compiled(OLD)) as api:
        time.sleep(1.5)  # it would have been begun by now
        assert api.get("/runs/get", id=run_id).json["status"] in {"Queued", "Active"}
    with serving(url, tasks=[task(lookup)]) as api:
        eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")


def test_a_prompt_does_not_expire_while_its_session_is_held(url, compiled):
    body = list(OLD)
    body[1] = "context.prompt('Go on?', go=bool, expires_in=timedelta(seconds=20))"
    session_id, prompt_id = waiting(url, compiled(body))
    with serving(url, compiled(NEW)) as api:
        late = now() - timedelta(seconds=1)
        set_expiry(url, prompt_id, late)
        time.sleep(2.2)  # several rounds of what expires prompts
        assert is_refused(submit(api, prompt_id))
        assert api.session(session_id)["status"] == "Waiting"
    with serving(url, compiled(body)):
        assert expiry(url, prompt_id) - late >= timedelta(seconds=2)


def set_expiry(url, prompt_id, moment):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        values = (to_microseconds(moment), prompt_id)
        database.execute("UPDATE runbook_prompts SET expires_at = ? WHERE id = ?", values)


def expiry(url, prompt_id):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        found = database.execute("SELECT expires_at FROM runbook_prompts WHERE id = ?", (prompt_id,)).fetchone()
    return from_microseconds(found[0])


def test_an_incompatible_version_holds_a_session(url, compiled):
    session_id, prompt_id = waiting(url, compiled(OLD, version="1"))
    wrong = compiled(ANOTHER_WAY, version="1")
    with serving(url, wrong) as api:
        assert submit(api, prompt_id).status == 200
        held = eventually(lambda: api.session(session_id)["held"])
        assert "it had step 'first' and now has step 'other'" in held["message"]
        assert api.session(session_id)["status"] == "Pending"
    with serving(url, wrong) as api:  # the same code would do the same again
        time.sleep(1.5)
        assert api.session(session_id)["held"] == held
    with serving(url, compiled(NEW, version="1")) as api:
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"body": [OLD[0], "context.prompt('Go on?', go=int)", "return 2"]},
        pytest.param({"body": NEW, "signature": "context: Context, needed: int"}, marks=pytest.mark.nightly),
        pytest.param({"body": ["return 2"]}, marks=pytest.mark.nightly),
        {"body": [*NEW[:1], "context.prompt('Go on, please?', go=bool)"]},
    ],
    ids=["field", "parameter", "end", "prompt"],
)
def test_an_incompatible_version_of_any_kind_holds_a_session(url, compiled, change):
    session_id, prompt_id = waiting(url, compiled(OLD, version="1"))
    with serving(url, compiled(**change, version="1")) as api:
        assert submit(api, prompt_id).status == 200
        eventually(lambda: api.session(session_id)["held"])
    with serving(url, compiled(OLD, version="1")) as api:
        api.reaches(session_id, "Succeeded")


def test_a_runbook_that_differs_with_the_same_code_fails(url, compiled):
    flips = compiled(["import random", "context.step(first, name=str(random.random()))", *OLD[1:2]])
    session_id, prompt_id = waiting(url, flips)
    with serving(url, flips) as api:
        submit(api, prompt_id)
        api.reaches(session_id, "Failed")


def test_only_an_operator_can_fail_a_held_session(url, compiled):
    book = compiled(OLD)
    ids = [waiting(url, book)[0] for _ in range(2)]
    ada = User("ada@example.com", "tkn_ada_5d41402abc4b2a76")
    with serving(url, compiled(NEW), users=[ada]) as api:
        extensions = Client.__new__(Client)
        extensions.__dict__.update(api.__dict__, url=api.url.replace("/v0", "/ext/v0"))
        fail = {"sessionID": ids[0], "reason": "obsolete"}
        refused = extensions.post("/sessions/fail", fail, **{"X-Airplane-API-Key": "tkn_ada_5d41402abc4b2a76"})
        assert (refused.status, refused.code) == (403, "operators_only")
        assert extensions.post("/sessions/fail", fail).status == 200
        assert api.session(ids[0])["status"] == "Failed"
        assert api.session(ids[0])["held"] is None
        assert api.output(api.runs(ids[0])[0]) == {"error": "obsolete"}
        again = extensions.post("/sessions/fail", fail)
        assert (again.status, again.code) == (409, "session_not_held")
        assert extensions.post("/sessions/cancel", {"sessionID": ids[1]}).status == 200
        assert api.session(ids[1])["status"] == "Cancelled"
        healthy = api.execute("book")
        api.open_prompt(healthy)
        assert extensions.post("/sessions/fail", {"sessionID": healthy}).status == 409
        assert api.session(healthy)["status"] == "Waiting"


@contextmanager
def browsing(api, key=KEY):
    """Yield a function that requests a page as a signed-in user."""
    pool = urllib3.PoolManager()
    root = api.url.removesuffix("/v0")
    headers = {"Origin": root, "Sec-Fetch-Site": "same-origin"}

    def ask(path, **form):
        options = {"fields": form, "encode_multipart": False} if form else {}
        return pool.request("POST" if form else "GET", root + path, redirect=False, headers=headers, **options)

    headers["Cookie"] = ask("/sign-in", key=key).headers["set-cookie"].partition(";")[0]
    yield ask
    pool.clear()


def token_of(page):
    return re.search('name="token" value="([^"]+)"', page.data.decode().partition("<main")[2])[1]


def test_pages_of_a_held_session_say_so_and_show_no_form(url, compiled):
    session_id, prompt_id = waiting(url, compiled(OLD))
    with serving(url, compiled(NEW)) as api, browsing(api) as ask:
        prompt = ask(f"/prompts/{prompt_id}").data.decode()
        assert "This cannot be answered for now" in prompt
        assert 'name="action"' not in prompt
        assert "This session is held" in ask(f"/sessions/{session_id}").data.decode()
    with serving(url, compiled(OLD)) as api, browsing(api) as ask:
        form = ask(f"/prompts/{prompt_id}")
        assert 'name="action"' in form.data.decode()
    with serving(url, compiled(NEW)) as api, browsing(api) as ask:  # a reviewer who has the form open learns it then
        answer = ask(f"/prompts/{prompt_id}", token=token_of(form), action="submit", go="on")
        assert answer.status == 423
        assert api.session(session_id)["status"] == "Waiting"


def test_a_held_session_can_be_cancelled_and_failed_on_its_page(url, compiled):
    book = compiled(OLD)
    ids = [waiting(url, book)[0] for _ in range(2)]
    ada = User("ada@example.com", "tkn_ada_5d41402abc4b2a76")
    with serving(url, compiled(NEW), users=[ada]) as api:
        with browsing(api, "tkn_ada_5d41402abc4b2a76") as ask:
            page = ask(f"/sessions/{ids[0]}")
            assert "Fail the session" not in page.data.decode()
            token = token_of(page)
            assert ask(f"/sessions/{ids[0]}", token="x", action="cancel").status == 403
            assert ask(f"/sessions/{ids[0]}", token=token, action="other").status == 400
            assert ask(f"/sessions/{ids[0]}", token=token, action="fail").status == 403
            assert ask(f"/sessions/{ids[0]}", token=token, action="cancel").status == 303
        assert api.session(ids[0])["status"] == "Cancelled"
        with browsing(api) as ask:
            page = ask(f"/sessions/{ids[1]}")
            assert ask(f"/sessions/{ids[1]}", token=token_of(page), action="fail").status == 303
        assert api.session(ids[1])["status"] == "Failed"
