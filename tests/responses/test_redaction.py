"""Credentials are removed from the replies of servers, by example."""

from __future__ import annotations

import gzip
import json
import time
import traceback
from enum import StrEnum
from typing import Any

import msgspec
import pytest

from airplane_runbooks import AirplaneError, ConfigurationError, ConnectError, Headers, Response
from airplane_runbooks._responses.redaction import (
    DROPPED,
    MASK,
    Redactor,
    empty_frames,
    redactor_of,
    secrets_in,
)
from airplane_runbooks.http import is_credential_header
from airplane_runbooks.models import Session, SessionStatus
from airplane_runbooks.options import parse_base_url

KEY = "tkn_s3cr3t/Key+1"
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)


@pytest.fixture
def redactor() -> Redactor:
    return redactor_of([Headers({"X-Airplane-API-Key": KEY})])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"bad key {KEY}!", f"bad key {MASK}!"),
        (f"{KEY}{KEY}", MASK + MASK),
        (f"bad key {KEY.upper()}", f"bad key {MASK}"),
        (f"caf\xe9 {ESCAPED}", f"caf\xe9 {MASK}"),
        ("x=tkn_s3cr3t%2FKey%2B1&y=1", f"x={MASK}&y=1"),
        ("x=tkn_s3cr3t%252FKey%252B1", f"x={MASK}"),
        ("<b>tkn_s3cr3t&#47;Key&plus;1</b>", f"<b>{MASK}</b>"),
        (r"100 %, C:\temp, R&D", r"100 %, C:\temp, R&D"),
        ("", ""),
    ],
)
def test_a_text_is_decoded_only_as_far_as_masking_requires(redactor: Redactor, text: str, clean: str) -> None:
    assert redactor.text(text) == clean


def test_a_json_body_is_read_masked_and_written_again(redactor: Redactor) -> None:
    raw = b'{"error":"bad key %s","%s":[1,null,{"a":"x\\ny"}]}' % (ESCAPED.encode(), KEY.encode())
    assert json.loads(redactor.data(raw)) == {"error": f"bad key {MASK}", MASK: [1, None, {"a": "x\ny"}]}


def test_a_key_that_is_a_number_is_masked_in_numbers() -> None:
    clean = Redactor(["1234567890"]).data(b'{"key":1234567890,"other":12}')
    assert json.loads(clean) == {"key": MASK, "other": 12}


@pytest.mark.parametrize(
    "raw",
    [gzip.compress(KEY.encode()), b"a" * (4 * 1024 * 1024 + 1), b'"' + b"\\u0041" * 200_000 + b'"'],
    ids=["gzip", "huge", "much to decode"],
)
def test_a_body_that_cannot_be_searched_is_dropped(redactor: Redactor, raw: bytes) -> None:
    assert redactor.data(raw) == b""


@pytest.mark.parametrize(
    "text",
    ["%" + "25" * 200 + "41", "a" * (4 * 1024 * 1024 + 1), "%41" * 1_300_000, r"\u0025%41&#37;" * 74_000],
    ids=["nested", "long", "wide", "mixed"],
)
def test_a_text_that_takes_too_long_to_search_is_dropped_in_time(redactor: Redactor, text: str) -> None:
    started = time.process_time()
    assert redactor.text(text) == DROPPED
    assert time.process_time() - started < 20  # seconds of work


def test_bytes_that_are_no_text_survive(redactor: Redactor) -> None:
    assert redactor.data(b"\xff" + KEY.encode()) == b"\xff" + MASK.encode()
    assert redactor.data(b"\\ud800" + ESCAPED.encode()) == b"?" + MASK.encode()
    assert redactor.headers(Headers({"x-odd": f"\udc80{KEY}\ud800"}))["x-odd"] == f"\udc80{MASK}\ud800"


def test_a_model_is_masked_in_a_copy(redactor: Redactor) -> None:
    session = Session(id="ses1", name=KEY, status=SessionStatus(KEY), param_values={"a": [KEY, 1], KEY: None})
    clean = redactor.value(session)
    assert clean == Session(id="ses1", name=MASK, status=SessionStatus(MASK), param_values={"a": [MASK, 1], MASK: None})
    assert type(clean.status) is SessionStatus
    assert session.name == KEY


class Closed(StrEnum):
    KEY = KEY


def test_a_value_of_a_closed_enum_becomes_text(redactor: Redactor) -> None:
    assert redactor.value(Closed.KEY) == MASK


class Foreign(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def chained(link: BaseException) -> AirplaneError:
    error = ConnectError(f"no connection: {KEY}")
    error.add_note(f"see {KEY}")
    error.__cause__ = link
    return error


def test_an_error_is_masked_with_its_notes_and_causes(redactor: Redactor) -> None:
    cause = RuntimeError(KEY, Response(status=400, headers=Headers({"x-echo": KEY}), body=KEY.encode()))
    cause.__context__ = ValueError(KEY)
    error: Any = chained(cause)
    error.reply = {"key": KEY}
    cause.__context__.__context__ = error
    redactor.error(error)
    assert str(error) == f"no connection: {MASK}"
    assert error.__notes__ == [f"see {MASK}"]
    assert error.reply == {"key": MASK}
    assert error.__cause__ is cause
    assert cause.args[0] == MASK
    assert (cause.args[1].headers["x-echo"], cause.args[1].body) == (MASK, MASK.encode())
    assert str(cause.__context__) == MASK


@pytest.mark.parametrize("link", [OSError(1, KEY), UnicodeDecodeError("ascii", b"\xff", 0, 1, "odd"), Foreign()])
def test_a_cause_that_cannot_be_masked_is_cut_off(redactor: Redactor, link: BaseException) -> None:
    error = chained(link)
    redactor.error(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_what_is_nested_too_deep_in_an_error_is_dropped(redactor: Redactor) -> None:
    nested: Any = KEY
    for _ in range(10_000):
        nested = [nested]
    error = RuntimeError(nested)
    redactor.error(error)
    assert error.args == (DROPPED,)


def test_without_credentials_nothing_is_done() -> None:
    error = RuntimeError("x")
    redactor_of(()).error(error)
    assert redactor_of(()).text("x") == "x"
    assert error.args == ("x",)


def test_a_redactor_does_not_show_what_it_masks(redactor: Redactor) -> None:
    assert KEY not in repr(redactor)


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("X-Airplane-API-Key", " short ", {"short"}),
        ("X-Airplane-API-Key", "", set()),
        ("Authorization", "Bearer abcdefgh1", {"Bearer abcdefgh1", "abcdefgh1"}),
        ("Authorization", "Bearer a", {"Bearer a"}),
        ("Cookie", "theme=dark; id=0123456789", {"0123456789"}),
        ("X-Airplane-View-Token", "0123456789", {"0123456789"}),
        ("Idempotency-Key", "0123456789", set()),
    ],
)
def test_all_credentials_that_were_sent_are_known(name: str, value: str, secrets: set[str]) -> None:
    assert secrets_in([Headers({name: value})]) == secrets


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *[(name, True) for name in ("authorization", "proxy-authorization", "cookie", "set-cookie", "set-cookie2")],
        *[(f"x-airplane-{word}", True) for word in ("api-key", "token", "view-token", "dev-token", "sandbox-token")],
        *[(name, True) for name in ("X_AIRPLANE_VIEW_TOKEN", "X-Auth-Token", "X-Amz-Security-Token", "apikey")],
        *[(name, False) for name in ("idempotency-key", "x-request-id", "x-team-id", "x-tokens-left", "accept")],
    ],
)
def test_headers_that_hold_credentials_are_known_by_their_names(name: str, is_one: bool) -> None:
    assert is_credential_header(name) is is_one


def test_models_with_nothing_to_mask_stay_what_they_are(redactor: Redactor) -> None:
    session = Session(id="ses1", status=SessionStatus.ACTIVE)
    assert redactor.value(session) is session
    assert isinstance(session, msgspec.Struct)


def test_only_our_own_frames_lose_their_variables() -> None:
    note = "kept"
    try:
        parse_base_url("nonsense", allow_insecure_http=False)
    except ConfigurationError as error:
        caught = error
    empty_frames(caught)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.__traceback__)]
    assert frames[0]["note"] == note
    assert frames[1:] == [{}]
