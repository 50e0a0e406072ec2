"""Fields for files and config variables: chosen on a page, kept over errors, and shown with a link."""

from __future__ import annotations

import re

import pytest
import urllib3

from airplane_runbooks import ConfigVar, Upload
from airplane_runbooks.server import Context, Limits, runbook
from tests.support.browsing import Browser
from tests.support.servers import started

TABLE = b"name,age\r\nada,36\r\n\0\xff"
SEEN = []


@runbook
def imports(
    context: Context, file: Upload, count: int, more: list[Upload] | None = None, using: ConfigVar | None = None
) -> str:
    SEEN.append((file.open().read(), [one.name for one in more or ()], using and using.value))
    scan = context.prompt("A scan?", scan=Upload, code=str)["scan"]
    return f"{scan.name}: {scan.size}"


@pytest.fixture(scope="module")
def server():
    limits = Limits(max_upload=1000, max_uploads=1_000_000)
    with started(imports, config_variables={"dsn": "hush-hush", "region": "eu-west-1"}, limits=limits) as both:
        yield both


@pytest.fixture(scope="module")
def api(server):
    return server[1]


@pytest.fixture
def browser(server):
    SEEN.clear()
    browser = Browser(server[0].base_url, server[0].api_key)
    yield browser
    browser.close()


def send(browser, path, fields, files):
    """Post a form as a browser does: with each file, or an empty one where none was chosen."""
    pairs = [(name, text) for name, texts in fields.items() for text in texts]
    pairs += [(name, (file_name, content, "text/csv")) for name, file_name, content in files]
    body, content_type = urllib3.encode_multipart_formdata(pairs)
    return browser.send("POST", path, body, **{"Content-Type": content_type})


def filled(page, **fields):
    posted = {name: texts for name, texts in page.form.by_name().items() if not is_file(page, name) or texts != [""]}
    return {**posted, **{f"field-{slug}": texts for slug, texts in fields.items()}}


def is_file(page, name):
    return page.form.controls[name].get("type") == "file"


def test_a_form_with_files_starts_a_session_and_links_them(api, browser):
    page = browser.get("/runbooks/imports")
    assert 'enctype="multipart/form-data"' in page.text
    assert "hush-hush" not in page.text
    files = [("field-file", "C:\\a b.csv", TABLE), ("field-more", "1.txt", b"1"), ("field-more", "2.txt", b"2")]
    sent = filled(page, count=["3"], using=["0"])
    sent.pop("field-file", None)
    reply = send(browser, "/runbooks/imports", sent, files)
    assert reply.status == 303
    session_id = reply.location.rpartition("/")[2]
    api.open_prompt(session_id)
    assert SEEN == [(TABLE, ["1.txt", "2.txt"], "hush-hush")]
    again = send(browser, "/runbooks/imports", sent, files)
    assert again.location == reply.location
    session = browser.get(f"/sessions/{session_id}")
    assert "hush-hush" not in session.text
    links = re.findall(r'href="(/uploads/[^"]+)"><bdi>([^<]*)', session.text)
    assert [name for _, name in links] == ["a b.csv", "1.txt", "2.txt"]
    download = browser.pool.request("GET", browser.root + links[0][0], headers={"Cookie": browser.cookie})
    assert download.data == TABLE
    assert download.headers["Content-Disposition"] == 'attachment; filename="a b.csv"'
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["Content-Length"] == str(len(TABLE))


def test_a_file_is_kept_when_another_field_is_wrong(api, browser):
    page = browser.get("/runbooks/imports")
    wrong = send(
        browser, "/runbooks/imports", filled(page, count=["x"]), [("field-file", "r\u00e9sum\u00e9.csv", b"1")]
    )
    assert wrong.status == 422
    assert "Sent already: <bdi>r\u00e9sum\u00e9.csv</bdi>" in wrong.text
    empty = [("field-file", "", b""), ("field-more", "", b"")]
    reply = send(browser, "/runbooks/imports", filled(wrong, count=["3"]), empty)
    assert reply.status == 303
    session_id = reply.location.rpartition("/")[2]
    api.open_prompt(session_id)
    assert SEEN[0][0] == b"1"
    again = browser.get(f"/runbooks/imports?sessionID={session_id}")
    assert "Sent already: <bdi>r\u00e9sum\u00e9.csv</bdi>" in again.text


def test_a_prompt_asks_for_a_file_within_the_limits(api, browser):
    page = browser.get("/runbooks/imports")
    reply = send(browser, "/runbooks/imports", filled(page, count=["3"]), [("field-file", "a", b"1")])
    session_id = reply.location.rpartition("/")[2]
    path = f"/prompts/{api.open_prompt(session_id)['id']}"
    asked = browser.get(path)
    fields = {"token": [list(asked.tokens())[1]], "action": ["submit"], "field-code": ["c"]}
    missing = send(browser, path, fields, [("field-scan", "", b"")])
    assert (missing.status, "Choose a file." in missing.text) == (422, True)
    large = send(browser, path, fields, [("field-scan", "scan.png", bytes(1001))])
    assert (large.status, "more than 1000 bytes" in large.text) == (422, True)
    assert send(browser, path, fields, [("field-scan", "scan.png", bytes(1000))]).status == 303
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == "scan.png: 1000"
    assert "scan.png</bdi></a>" in browser.get(f"/sessions/{session_id}").text


def test_a_file_that_is_too_large_is_refused_before_the_start(browser):
    page = browser.get("/runbooks/imports")
    reply = send(browser, "/runbooks/imports", filled(page, count=["3"]), [("field-file", "a", bytes(1001))])
    assert (reply.status, "more than 1000 bytes" in reply.text) == (422, True)
    assert SEEN == []


def test_a_caller_who_is_not_signed_in_gets_no_file(server, browser):
    stranger = Browser(server[0].base_url)
    assert stranger.get("/uploads/upl1").location.startswith("/sign-in")
    stranger.close()
    assert browser.get("/uploads/upl1").status == 404


def test_the_names_of_config_variables_are_there_to_choose_from(browser):
    page = browser.get("/runbooks/imports?using=region")
    assert re.findall(r"<bdi>(dsn|region)</bdi>", page.text) == ["dsn", "region"]
    assert page.form.by_name()["field-using"] == ["1"]


@pytest.mark.parametrize("body", [b"", b"--abc", b"--abc\r\nContent-Disposition: form-data\r\n\r\n\r\n--abc--"])
def test_a_form_that_no_browser_sends_is_refused(browser, body):
    content_type = {"Content-Type": "multipart/form-data; boundary=abc"}
    assert browser.send("POST", "/runbooks/imports", body, **content_type).status == 400
