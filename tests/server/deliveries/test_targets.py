"""Targets: what they may be, and what they show."""

from __future__ import annotations

import pytest

from airplane_runbooks import ConfigurationError
from airplane_runbooks.server import Context, RunbookServer, Slack, Webhook, runbook
from airplane_runbooks.server.storage.records import Delivery
from tests.support.receivers import SECRET
from tests.support.tracebacks import traceback_of

URL = "https://hooks.example.com/services/T00/hidden?key=hidden"


def made(kind, url=URL, **options):
    return kind(url, **({"secret": SECRET} if kind is Webhook else {}), **options)


@pytest.fixture(params=[Webhook, Slack])
def kind(request):
    return request.param


@pytest.mark.parametrize(
    "url", [URL, "http://127.0.0.1:8000", "http://localhost/hidden", "http://[::1]:80/", "https://[2001:db8::1]/x"]
)
def test_https_and_this_machine_can_be_told(kind, url):
    assert made(kind, url).name in ("webhook", "slack")


@pytest.mark.parametrize(
    "url",
    [
        "http://hidden.example.com/",
        "http://127.0.0.1.example.com/",
        "ftp://hidden.example.com/",
        "https://",
        "https:///hidden",
        "https://ada:hidden@example.com/",
        "https://example.com/#hidden",
        "https://example.com:hidden/",
        "https://example.com/hid den",
        "https://ex\u00e4mple.com/hidden",
        "hidden",
        "",
        None,
    ],
)
def test_other_urls_are_refused_without_being_shown(kind, url):
    with pytest.raises(ValueError, match="must be an https URL") as caught:
        made(kind, url)

    assert "hidden" not in traceback_of(caught.value)


@pytest.mark.parametrize("name", ["", "a" * 61, "<b>", "a\nb", " a", None])
def test_names_that_cannot_be_shown_are_refused(kind, name):
    with pytest.raises(ValueError, match="name"):
        made(kind, name=name)


@pytest.mark.parametrize("events", [[], ["session.lost"], ["prompt.opened", 1]])
def test_unknown_types_of_events_are_refused(kind, events):
    with pytest.raises(ValueError, match=r"prompt\.opened, session\.succeeded"):
        made(kind, events=events)


@pytest.mark.parametrize("events", ["prompt.opened", None, 1])
def test_types_of_events_that_are_not_a_list_are_refused(kind, events):
    with pytest.raises(TypeError, match="list"):
        made(kind, events=events)


def test_a_webhook_needs_a_secret_that_is_not_shown():
    with pytest.raises(ConfigurationError, match="whsec_") as caught:
        Webhook(URL, secret="hidden")

    assert "hidden" not in traceback_of(caught.value)


def test_the_reprs_of_a_target_and_its_request_show_its_name(kind):
    target = made(kind, name="ops")
    body = (
        b'{"type":"session.failed","timestamp":"2026-11-28T07:00:00Z","data":{"session":{"id":"s","status":"Failed"}}}'
    )
    request = target.request(Delivery(id="m", target="ops", event_type="e", session_id="s", body=body), 1)

    assert request.url == URL
    assert [repr(target), repr(request)] == [f"<{kind.__name__} 'ops'>", "<the request to ops>"]


@runbook
def idle(context: Context) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "others",
    [
        [Slack("https://hooks.example.com/other")],
        [Webhook(URL, secret=SECRET, name="slack")],
    ],
)
def test_two_targets_of_one_name_are_refused(others):
    with pytest.raises(ValueError, match="'slack'"):
        RunbookServer([idle], notify=[Slack(URL), *others])
    with pytest.raises(ValueError, match="'slack'"):
        runbook(notify=[Slack(URL), *others])(idle.function)
    with pytest.raises(ValueError, match="'slack'"):
        RunbookServer([runbook(notify=others)(idle.function)], notify=[Slack(URL)])


def test_webhooks_of_one_name_must_have_the_same_secret():
    other = "whsec_" + "A" * 32
    assert Webhook(URL, secret=SECRET).is_like(Webhook(URL, secret=SECRET))
    assert not Webhook(URL, secret=SECRET).is_like(Webhook(URL, secret=other))


def test_one_target_may_be_that_of_the_server_and_of_runbooks():
    own = runbook(notify=[Slack(URL, events=["session.failed"])])(idle.function)
    RunbookServer([own], notify=[Slack(URL)]).close()


@pytest.mark.parametrize("notify", [Slack(URL), URL, [URL], None])
def test_notify_is_a_list_of_targets(notify):
    with pytest.raises(TypeError, match="notify"):
        RunbookServer([idle], notify=notify)
    with pytest.raises(TypeError, match="notify"):
        runbook(notify=notify)(idle.function)
