"""Timestamps as servers have written them, by example."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from airplane_runbooks.models import Prompt, Run, Session, Stamped, decode, parse_timestamp

MOMENT = datetime(2022, 1, 11, 22, 32, 45, 601486, tzinfo=UTC)
WHOLE = MOMENT.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2022-01-11T22:32:45.601486Z", MOMENT),
        ("2022-01-11T22:32:45Z", WHOLE),
        ("2022-01-11T22:32:45.000000000Z", WHOLE),
        ("2022-01-11T22:32:45-00:00", WHOLE),
        ("2022-01-12T04:02:45+05:30", WHOLE),
        ("2022-01-11T22:32:45", WHOLE),
        ("2022-01-11 22:32:45.601486+00", MOMENT),
        ("2022-01-11 22:32:45.60148+00", MOMENT.replace(microsecond=601480)),
        ("2022-01-11 22:32:45+00", WHOLE),
        ("2022-01-11 19:02:45-03:30", WHOLE),
        ("", None),
    ],
)
def test_each_written_form_is_read_as_utc(text, moment):
    body = msgspec.json.encode({"id": "ses1", "status": "Active", "createdAt": text})

    assert parse_timestamp(text) == decode(body, Session).created_at == moment
    assert moment is None or decode(body, Session).created_at.tzinfo is UTC


@pytest.mark.parametrize("body", [b'{"status":"Active"}', b'{"status":"Active","createdAt":null}'])
def test_a_timestamp_that_is_null_or_absent_is_none(body):
    assert decode(body, Session).created_at is None


@pytest.mark.parametrize(
    "written", ['"soon"', '"0001-01-01T00:00:00+01:00"', '"9999-12-31 23:59:59-01"', "1641940365", "[]"]
)
def test_what_is_no_timestamp_is_refused_by_name(written):
    with pytest.raises(msgspec.ValidationError, match=r"createdAt|outside of the years"):
        decode(f'{{"status":"Active","createdAt":{written}}}'.encode(), Session)


@pytest.mark.parametrize(
    "text", ["soon", "2022-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31 23:59:59-01"]
)
def test_text_that_is_no_timestamp_raises_a_value_error(text):
    with pytest.raises(ValueError):
        parse_timestamp(text)


@pytest.mark.parametrize("model", [Session, Run, Prompt])
def test_every_timestamp_of_a_model_is_brought_to_utc(model):
    assert issubclass(model, Stamped)
    names = [field.encode_name for field in msgspec.structs.fields(model) if field.name.endswith("_at")]
    document = {"id": "x", "status": "Active", **dict.fromkeys(names, "2022-01-12T04:02:45+05:30")}

    reply = decode(msgspec.json.encode(document), model)

    stamps = [getattr(reply, field.name) for field in msgspec.structs.fields(model) if field.name.endswith("_at")]
    assert len(stamps) >= 2
    assert all(stamp == WHOLE and stamp.tzinfo is UTC for stamp in stamps)


def test_a_model_that_is_built_by_hand_is_in_utc_too():
    assert Session(status="Active", created_at=WHOLE.replace(tzinfo=None)).created_at == WHOLE
