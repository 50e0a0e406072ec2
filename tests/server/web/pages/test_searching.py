"""Search on the list of sessions: each criterion, bad input, pages, and the bound of what is searched."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Annotated, Any
from urllib.parse import urlencode

import pytest

from airplane_runbooks.server import Context, Field, RunbookServer, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import Client

ADA = User("ada@example.com", "tkn_ada_of_the_search")


@runbook
def refund(
    context: Context, customer: str, cents: int = 1, card: Annotated[str, Field(secret=True)] = "", more: Any = None
) -> str:
    return context.prompt("Sure?", note=str)["note"] if cents < 0 else customer


@runbook(name="Failover")
def switch_over(context: Context) -> None:
    pass


@pytest.fixture
def server():
    with RunbookServer([refund, switch_over], users=[ADA], environments=["prod", "test"]) as server:
        yield server


@pytest.fixture
def api(server):
    with closing(Client(server)) as client:
        yield client


@pytest.fixture
def ada(api):
    with closing(Browser(api.url, "tkn_ada_of_the_search")) as browser:
        yield browser


def listed(page):
    return re.findall(r'<span class="id"> (\w+)</span>', page.text)


def search(browser, **query):
    return listed(browser.get("/sessions?" + urlencode(query)))


def refunds(api, *customers):
    return [api.execute("refund", {"customer": one}) for one in customers]


def test_sessions_are_found_by_a_text_in_any_case(api, ada):
    first, second = refunds(api, "Zoë Lovelace", "bob")
    nested = api.execute("refund", {"customer": "eve", "cents": 42424242, "more": {"deeply_nested": ["needle", 77.5]}})
    other = api.execute("switch_over")
    assert search(ada, text="zoË love") == [first]
    assert search(ada, text="NEEDLE") == search(ada, text="2424242") == search(ada, text="77.5") == [nested]
    assert search(ada, text="failo") == search(ada, text="switch_") == [other]
    assert search(ada, text=second.upper()) == [second]
    assert search(ada, text="refund") == [nested, second, first]
    assert search(ada, text="deeply") == search(ada, text="customer") == search(ada, text="%") == []


def test_secrets_and_long_values_are_not_searched(api, ada):
    with_secret = api.execute("refund", {"customer": "ann@ann", "card": "4111-1111"})
    api.execute("refund", {"customer": "long " * 1000})
    page = ada.get("/sessions?text=4111-1111")
    assert listed(page) == []
    assert "Secrets are not searched, nor are the values of a session that take more than 4 KB." in page.text
    assert search(ada, text="ann@") == [with_secret]
    assert search(ada, text="long long") == []


def test_sessions_are_found_by_their_starter_and_environment(server, api, ada):
    (of_server,) = refunds(api, "bob")
    with closing(Client(server, **{"X-Airplane-API-Key": "tkn_ada_of_the_search"})) as hers:
        in_prod = hers.execute("refund", {"customer": "bob"})
        body = {"slug": "refund", "paramValues": {"customer": "bob"}}
        in_test = hers.post("/runbooks/execute?envSlug=test", body).json["sessionID"]
    assert search(ada, by="ada@example.com") == [in_test, in_prod]
    assert search(ada, by="API user") == [of_server]
    assert search(ada, env="prod") == [in_prod, of_server]
    assert search(ada, env="test", by="ada@example.com", text="bob", runbook="refund") == [in_test]
    assert search(ada, env="test", by="API user") == []
    assert search(ada, env="test", runbook="switch_over") == []


def test_sessions_are_found_by_the_time_of_their_start(api, ada):
    ids = refunds(api, "a@a", "b@b", "c@c")
    first, second, third = (api.session(one)["createdAt"].removesuffix("Z") for one in ids)
    assert search(ada, **{"from": second}) == [ids[2], ids[1]]
    assert search(ada, to=second) == [ids[1], ids[0]]
    assert search(ada, **{"from": second, "to": second}) == [ids[1]]
    assert search(ada, **{"from": f"{third[:10]} {third[11:]}Z"}) == [ids[2]]
    assert search(ada, to="0001-01-01T00:00") == search(ada, **{"from": "9999-12-31 23:59"}) == []
    assert search(ada, **{"from": first, "text": "b@"}) == [ids[1]]


@pytest.mark.parametrize(
    ("query", "label", "error"),
    [
        ({"from": "yesterday"}, "Started from", "Enter a date and a time, such as 2024-01-31 16:30."),
        ({"to": "2026-02-30T10:00"}, "Started until", "Enter a date and a time, such as 2024-01-31 16:30."),
        (
            {"from": "2026-02-02T10:00", "to": "2026-02-02T09:59"},
            "Started until",
            "This is before the time from which to search.",
        ),
        ({"runbook": "nope"}, "Runbook", "Choose one of those on the list."),
        ({"status": "Nonsense"}, "State", "Choose one of those on the list."),
        ({"by": "nobody@example.com"}, "Started by", "Choose one of those on the list."),
        ({"env": "moon"}, "Environment", "Choose one of those on the list."),
    ],
)
def test_bad_input_is_named_at_its_field(api, ada, query, label, error):
    (session_id,) = refunds(api, "a")
    page = ada.get("/sessions?" + urlencode({"text": "kept", **query}))
    name = list(query)[-1]
    assert page.status == 422
    assert f'<a href="#{name}">{label}: {error}</a>' in page.text
    assert f'<p class="error" id="{name}-error"><span class="hidden">Error: </span>{error}</p>' in page.text
    assert page.form.controls[name]["aria-invalid"] == "true"
    assert ("text", "kept") in page.form.posted
    assert session_id not in page.text
    assert 'http-equiv="refresh"' not in page.text


def test_pages_of_a_search_keep_its_criteria(api, ada):
    ids = refunds(api, *["bob & co"] * 27)
    api.execute("switch_over")
    first = ada.get("/sessions?" + urlencode({"text": "Bob &", "live": "off"}))
    assert listed(first) == ids[:1:-1]
    older = re.search('rel="next" href="([^"]*)">Older<', first.text)[1].replace("&amp;", "&")
    assert "text=Bob+%26" in older.replace("%20", "+")
    assert "live=off" in older
    refunds(api, "bob & co")  # which moves nothing to another page
    second = ada.get("/sessions" + older)
    assert listed(second) == ids[1::-1]
    assert 'rel="next"' not in second.text
    assert ("text", "Bob &") in second.form.posted


def test_a_search_is_bounded_and_says_so(api, ada, monkeypatch):
    monkeypatch.setattr("airplane_runbooks.server.service.search._MOST", 4)
    monkeypatch.setattr("airplane_runbooks.server.service.search._BATCH", 2)
    wanted, *_ = refunds(api, "ann@ann", *"abcd")
    page = ada.get("/sessions?text=ann@")
    assert listed(page) == []
    assert "There are no such sessions among these." in page.text
    assert "Searched 4 sessions, back to <time" in page.text
    older = re.search('rel="next" href="([^"]*)">Search older ones<', page.text)[1].replace("&amp;", "&")
    last = ada.get("/sessions" + older)
    assert listed(last) == [wanted]
    assert "Searched" not in last.text
    assert search(ada, runbook="refund")[-1] == wanted  # by an index


def test_a_search_ends_a_day_before_the_time_it_is_from(api, ada, monkeypatch):
    monkeypatch.setattr("airplane_runbooks.server.service.search._MOST", 4)
    monkeypatch.setattr("airplane_runbooks.server.service.search._BATCH", 2)
    refunds(api, *"abcdef")
    page = ada.get("/sessions?from=9999-01-01T00:00")
    assert listed(page) == []
    assert "There are no such sessions." in page.text
    assert "Searched" not in page.text
