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
        ("2022-01-11 22:32:45.601486+0000", MOMENT),
        ("2022-01-11 22:32:45.601486+00:00", MOMENT),
        ("2022-01-11 22:32:45.601486+00:00:00", MOMENT),
        ("2022-01-11 22:32:45.601486 +00", MOMENT),
        ("2022-01-11T22:32:45,601486Z", MOMENT),
        ("2022-01-11t22:32:45.601486z", MOMENT),
        ("2022-01-11T22:32:45.601485999Z", MOMENT),
        ("2022-01-11 22:32:45.601485999+00", MOMENT),
        ("2022-01-11T22:32:45.6014864999Z", MOMENT),
        ("2022-01-11 22:32:45.6014864999+00", MOMENT),
        ("2022-01-11 22:32:44.9999999+00", WHOLE),
        ("2022-01-11T22:31:60Z", WHOLE.replace(second=0)),
        ("2022-01-11 22:31:60.601486+00", MOMENT.replace(second=0)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2022-01-11T24:00:00Z", datetime(2022, 1, 12, tzinfo=UTC)),
        ("2022-01-11T24:00:00+05:30", datetime(2022, 1, 11, 18, 30, tzinfo=UTC)),
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


UNREADABLE = [
    "soon",
    "2022-13-01T00:00:00Z",
    "2022-01-11T25:00:00Z",
    "2022-01-11T24:00:01Z",
    "2022-01-11T22:00:00+24:00",
    "2022-01-11T22:00:00+99:99",
    "2022-01-11T22:60:00Z",
    "2022-01-11T22:32:61Z",
    "2022-01-11T22:32:45.1234567 CET",
    "0001-01-01 00:00:00+00 BC",
    "12022-01-11T22:32:45Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31 23:59:59-01",
    "9999-12-31T23:59:59.9999999Z",
    "infinity",
]


@pytest.mark.parametrize("written", [*UNREADABLE, 1641940365, 1641940365.5, True, [], {"seconds": 1641940365}])
@pytest.mark.parametrize("where", ["createdAt", "updatedAt"])
def test_an_unreadable_timestamp_spoils_nothing_else(written, where):
    times = {"createdAt": "2022-01-11 22:32:45.601486+00", "updatedAt": "2022-01-11T22:32:45.601486Z", where: written}

    session = decode(msgspec.json.encode({"id": "ses1", "status": "Active", **times}), Session)

    assert (session.id, session.status) == ("ses1", "Active")
    assert {session.created_at, session.updated_at} == {None, MOMENT}


@pytest.mark.parametrize(
    "zero",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01t00:00:00z",
        "0001-01-01 00:00:00+00",
        "0001-01-01T00:00:00.000000000Z",
        "0001-01-01T00:00:00-05:00",
        "0001-01-01T05:30:00+05:30",
        "0001-01-01T00:00:00",
        "0001-01-01",
    ],
)
def test_the_zero_time_of_go_counts_as_not_set(zero):
    body = msgspec.json.encode({"id": "pmt1", "submittedAt": zero})

    assert parse_timestamp(zero) is None
    assert decode(body, Prompt).submitted_at is None
    assert decode(body, Prompt).is_open


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_text_other_than_a_timestamp_raises_a_value_error(text):
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
