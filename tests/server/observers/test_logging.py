from __future__ import annotations

import io
import logging
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.models import RunStatus
from airplane_runbooks.server import Context, Field, RunbookServer, events, runbook
from airplane_runbooks.server.observers.logging import LOGGER, Logging, console
from tests.support.browsing import Browser
from tests.support.observers import Recorder
from tests.support.servers import Client

ROOT = events.Root(session_id="ses1", run_id="run1", kind="runbook", slug="refund", trace_context={"traceparent": "00"})
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = MOMENT + timedelta(seconds=1.5)
STEP = {"root": ROOT, "run_id": "run2"}
CLOSED = {"root": ROOT, "run_id": "run3", "prompt_id": "pmt1", "opened_at": MOMENT, "at": LATER}
ATTEMPT = {**STEP, "kind": "step", "slug": "find", "attempt": 2}
ENDED = {"root": ROOT, "started_at": MOMENT, "at": LATER}
OF_ROOT = "runbook=refund session_id=ses1 run_id=run1"
CANARY = "kanarienvogel"

LINES = [
    (events.SessionStarted(root=ROOT, caller="usr1", environment="prod"), f"{OF_ROOT} caller=usr1 environment=prod"),
    (events.SegmentStarted(root=ROOT, segment=2, start=3), f"{OF_ROOT} segment=2 start=3"),
    (
        events.SegmentEnded(root=ROOT, segment=2, start=3, duration=0.12345),
        f"{OF_ROOT} segment=2 start=3 duration=0.123",
    ),
    (events.StepStarted(**STEP, step="find it"), 'runbook=refund session_id=ses1 run_id=run2 step="find it"'),
    (events.AttemptStarted(**ATTEMPT), "runbook=refund session_id=ses1 run_id=run2 attempt=2 step=find"),
    (
        events.AttemptEnded(**ATTEMPT, error="LookupError", duration=2.0),
        "runbook=refund session_id=ses1 run_id=run2 attempt=2 error_type=LookupError duration=2.0 step=find",
    ),
    (
        events.StepEnded(**STEP, step="find", status=RunStatus.SUCCEEDED, error=None, started_at=MOMENT, at=LATER),
        "runbook=refund session_id=ses1 run_id=run2 step=find status=Succeeded duration=1.5",
    ),
    (
        events.PromptOpened(root=ROOT, run_id="run3", prompt_id="pmt1", expires_at=MOMENT),
        "runbook=refund session_id=ses1 run_id=run3 prompt_id=pmt1 expires_at=2026-01-01T00:00:00+00:00",
    ),
    (
        events.PromptAnswered(**CLOSED, caller="usr1"),
        "runbook=refund session_id=ses1 run_id=run3 prompt_id=pmt1 caller=usr1 duration=1.5",
    ),
    (
        events.PromptExpired(**CLOSED, caller=None),
        "runbook=refund session_id=ses1 run_id=run3 prompt_id=pmt1 duration=1.5",
    ),
    (events.SessionHeld(root=ROOT), OF_ROOT),
    (
        events.SessionEnded(**ENDED, status=RunStatus.FAILED, error="StepFailed", caller=None),
        f"{OF_ROOT} status=Failed error_type=StepFailed duration=1.5",
    ),
    (events.SignedIn(caller="usr1", address="127.0.0.1"), "caller=usr1 address=127.0.0.1"),
]


@pytest.mark.parametrize(("event", "fields"), LINES, ids=lambda part: type(part).__name__)
def test_an_event_is_one_line_with_its_fields(event, fields, caplog):
    with caplog.at_level(logging.INFO, LOGGER.name):
        Logging().observe(event)
    (record,) = caplog.records
    words = "".join(f" {one.lower()}" if one.isupper() else one for one in type(event).__name__).strip()
    assert record.getMessage() == f"{words} {fields}"
    assert (record.name, record.levelno, record.event) == (LOGGER.name, logging.INFO, type(event).__name__)
    for pair in fields.replace('"', "").replace("find it", "find-it").split():
        name, _, value = pair.partition("=")
        assert str(getattr(record, name)).replace(" ", "-") == value


def test_requests_and_announcements_are_not_logged(caplog):
    with caplog.at_level(logging.INFO, LOGGER.name):
        Logging().observe(events.RequestAnswered(method="GET", route="/", status=200))
    assert caplog.records == []


def test_a_refused_sign_in_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING, LOGGER.name):
        Logging().observe(events.SignedIn(caller="usr1", address="::1"))
        Logging().observe(events.SignInRefused(address="::1", reason="unauthorized"))
    assert [record.getMessage() for record in caplog.records] == ["sign in refused address=::1 reason=unauthorized"]


@given(st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Lu", "Zs", "Cs"]), min_size=1))
def test_no_text_breaks_or_disguises_its_line(text):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        Logging().observe(events.StepStarted(**STEP, step=text))
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(logging.NOTSET)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def find(value: str) -> str:
    return f"{CANARY} {value}"


def fail(value: str) -> str:
    raise LookupError(f"{CANARY} {value}")


@runbook
def tells(context: Context, secret: Annotated[str, Field(secret=True)], value: str = "") -> str:
    """Handle what must not be seen anywhere."""
    found = context.step(find, value)
    answer = context.prompt(f"{CANARY}?", text=str, hidden=Annotated[str, Field(secret=True)])
    context.step(fail, found + answer["text"] + secret)
    return found


class Everything(Recorder):
    """An observer that keeps what it is announced, too."""

    def observe(self, event, /):
        self.events.append(event)

    def enclose(self, event, /):
        self.events.append(event)


def test_no_value_or_key_is_in_an_event_or_a_line(caplog):
    recorder, key = Everything(), f"tkn_{CANARY}_0123456789"
    with (
        caplog.at_level(logging.DEBUG, LOGGER.name),
        RunbookServer([tells], api_key=key, observers=[recorder]) as server,
    ):
        api, browser = Client(server), Browser(server.base_url, key)
        session_id = api.execute("tells", {"secret": f"{CANARY}1", "value": f"{CANARY}2"})
        prompt = api.open_prompt(session_id)
        assert browser.answer(prompt["id"], text=f"{CANARY}3", hidden=f"{CANARY}4").status == 303
        api.reaches(session_id, "Failed")
        api.close()
        browser.close()
    assert {"RequestReceived", "RunStarting", "AttemptStarted", "SessionEnded"} <= set(recorder.names())
    assert CANARY not in repr(recorder.events)
    assert CANARY not in "".join(str(vars(record)) for record in caplog.records)


def test_the_console_leaves_out_the_details_of_steps(capsys):
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with console():
            Logging().observe(events.SegmentStarted(root=ROOT, segment=1, start=1))
            Logging().observe(events.SessionHeld(root=ROOT))
            logging.getLogger(f"{LOGGER.name}.app").warning("something else")
        Logging().observe(events.SessionHeld(root=ROOT))
    finally:
        root.handlers = handlers
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [f"INFO session held {OF_ROOT}", "WARNING something else"]


def test_the_console_leaves_configured_logging_alone(capsys):
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    try:
        with console():
            assert LOGGER.handlers == [handler]
            Logging().observe(events.SessionHeld(root=ROOT))
    finally:
        LOGGER.removeHandler(handler)
    assert capsys.readouterr().err == ""
