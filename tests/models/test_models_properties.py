"""Replies of every generation of the API decode, and no document breaks more than its own call."""

from __future__ import annotations

import functools
import json
import types
import typing
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import models
from airplane_runbooks.models import Model, OpenEnum, Run, Session, decode, parse_timestamp
from airplane_runbooks.models._bounds import Allowance
from airplane_runbooks.models.decoding import object_reader, plan_of

REPLIES = [
    models.StartedSession,
    models.Session,
    models.SessionPage,
    models.StartedRun,
    models.Run,
    models.RunOutputs,
    models.RunPage,
    models.CancelledRun,
    models.PromptReply,
    models.PromptPage,
    models.AnsweredPrompt,
]

# Bytes that are not text, and documents deeper than the stack, raise the decoder's own errors; the client catches them.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

replies = st.sampled_from(REPLIES)
integers = st.integers(-(2**63), 2**64 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)

minutes = st.integers(-23 * 60 - 59, 23 * 60 + 59)
zones = minutes.map(lambda offset: timezone(timedelta(minutes=offset)))
# Two days away from either end, so that every offset leaves the moment within the years of a datetime.
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001


def offset_text(moment: datetime, form: str) -> str:
    """Write the offset of a moment: `long` as +05:30, `short` as PostgreSQL does, without minutes if there are none."""
    seconds = moment.utcoffset() // timedelta(seconds=1)
    hours, minutes = divmod(abs(seconds) // 60, 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{hours:02}" if form == "short" and not minutes else f"{sign}{hours:02}:{minutes:02}"


def rfc3339(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat()
    return text + ("Z" if moment.tzinfo is UTC else offset_text(moment, "long"))


def postgres(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat(" ")
    return (text.rstrip("0") if "." in text else text) + offset_text(moment, "short")


def stamp(text: str) -> datetime | None:
    """Read a timestamp as part of a reply."""
    return decode(msgspec.json.encode({"status": "Active", "createdAt": text}), Session).created_at


@given(moments, st.sampled_from([rfc3339, postgres]))
def test_both_forms_of_a_timestamp_mean_the_same_instant_in_utc(moment, write):
    for read in (parse_timestamp, stamp):
        parsed = read(write(moment))

        assert parsed == moment
        assert parsed.tzinfo is UTC


@given(moments, st.text("0123456789", min_size=1, max_size=20), st.sampled_from("T "), st.booleans())
def test_a_fraction_of_any_length_is_kept_to_the_microsecond(moment, digits, separator, is_utc):
    whole = moment.replace(microsecond=0, tzinfo=UTC if is_utc else moment.tzinfo)
    zone = "Z" if is_utc else offset_text(moment, "long")
    exact = whole + timedelta(seconds=int(digits) / 10 ** len(digits))

    for read in (parse_timestamp, stamp):
        parsed = read(f"{whole.replace(tzinfo=None).isoformat(separator)}.{digits}{zone}")

        assert abs(parsed - exact) <= timedelta(microseconds=1 if len(digits) > 6 else 0)
        assert parsed.tzinfo is UTC


@given(moments, st.sampled_from([rfc3339, postgres]), st.text("0123456789", max_size=3))
def test_both_ways_of_decoding_read_a_timestamp_alike(moment, write, more):
    text = write(moment).replace("+", f"{more}+", 1) if moment.microsecond else write(moment)

    assert stamp(text) == parse_timestamp(text)


stamps = st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?", fullmatch=True)


@given(stamps | json_values)
def test_a_timestamp_of_a_reply_is_read_or_not_set(value):
    body = json.dumps({"status": "Active", "createdAt": value}).encode()
    created_at = decode(body, Session).created_at

    assert created_at is None or created_at.tzinfo is UTC


@given(stamps)
def test_a_text_other_than_a_timestamp_is_a_value_error(text):
    try:
        parsed = parse_timestamp(text)
    except ValueError:
        return
    assert parsed is None if text == "" or text.startswith("0001-01-01") else parsed.tzinfo is UTC


# Documents in today's form, made from the types of the models themselves.


@functools.cache
def of_type(hint: Any, depth: int) -> st.SearchStrategy[Any]:
    """Return values as the API writes them for a field of this type."""
    origin = typing.get_origin(hint)
    if is_kept_as_json(hint):
        return json_values
    if origin is types.UnionType:
        (arm,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return st.none() if depth == 0 and is_model(arm) else st.none() | of_type(arm, depth)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        return st.just([]) if depth == 0 else st.lists(of_type(item, depth - 1), max_size=2)
    if origin is dict:
        return st.dictionaries(st.text(), of_type(typing.get_args(hint)[1], depth), max_size=3)
    if is_model(hint):
        return documents(hint, depth)
    if issubclass_of(hint, OpenEnum):
        return st.sampled_from([member.value for member in hint]) | st.text()
    if origin is typing.Annotated:
        return st.text(min_size=1)
    simple = {str: st.text(), bool: st.booleans(), int: integers, datetime: moments.map(rfc3339), Any: json_values}
    return simple[hint]


def issubclass_of(hint: Any, kind: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, kind)


def is_kept_as_json(hint: Any) -> bool:
    return msgspec.Raw in typing.get_args(hint)


def is_model(hint: Any) -> bool:
    return issubclass_of(hint, Model)


@functools.cache
def documents(model: type[Model], depth: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents in today's form: unset fields null or absent, and unknown ones in between."""
    fields = msgspec.structs.fields(model)
    needed = {field.encode_name: of_type(field.type, depth) for field in fields if field.required}
    other = {
        field.encode_name: st.deferred(lambda t=field.type: of_type(t, depth)) for field in fields if not field.required
    }
    known = {field.encode_name for field in fields}
    unknown = st.dictionaries(st.text().filter(lambda key: key not in known), json_values, max_size=2)
    return st.builds(lambda mine, more: {**more, **mine}, st.fixed_dictionaries(needed, optional=other), unknown)


today = replies.flatmap(lambda model: st.tuples(st.just(model), documents(model)))


def documents_of_one_model() -> st.SearchStrategy[tuple[type[Model], dict[str, Any]]]:
    """Return sessions, runs and prompts: all that has optional fields other than its own list."""
    kinds = st.sampled_from([models.Session, models.Run, models.Prompt])
    return kinds.flatmap(lambda model: st.tuples(st.just(model), documents(model)))


@given(today)
def test_both_ways_of_decoding_agree_on_a_new_document(pair):
    model, document = pair
    body = json.dumps(document).encode()

    forgiving = object_reader(model)(msgspec.json.decode(body), Allowance(body))

    assert without_json(decode(body, model)) == forgiving
    strict = plan_of(model).read_quickly(body)
    assert strict is None or without_json(strict) == forgiving


def without_json(reply: Any) -> Any:
    """Return a reply without the members that are kept as JSON, which the forgiving reader leaves out."""
    if isinstance(reply, models.SessionPage):
        return models.SessionPage(sessions=tuple(map(without_json, reply.sessions)))
    return msgspec.structs.replace(reply, raw_output=msgspec.UNSET) if isinstance(reply, Session) else reply


@given(documents(Session), st.sampled_from(["yes", True]))
def test_a_result_is_kept_as_it_came_either_way(document, is_private):
    session = decode(json.dumps({**document, "isPrivate": is_private}).encode(), Session)

    assert session.raw_output == (
        msgspec.Raw(json.dumps(document["output"]).encode()) if "output" in document else msgspec.UNSET
    )
    assert session.output == document.get("output")


@given(documents_of_one_model(), st.data())
def test_an_unreadable_optional_member_spoils_nothing_else(pair, data):
    model, document = pair
    optional = [field for field in msgspec.structs.fields(model) if not field.required]
    field = data.draw(st.sampled_from(optional))
    whole = decode(json.dumps(document).encode(), model)

    spoiled = {**document, field.encode_name: data.draw(json_values | stamps)}
    reply = decode(json.dumps(spoiled).encode(), model)

    for other in msgspec.structs.fields(model):
        assert other.name == field.name or getattr(reply, other.name) == getattr(whole, other.name)


@given(documents_of_one_model(), st.data())
def test_both_ways_of_decoding_agree_if_the_strict_one_accepts(pair, data):
    model, document = pair
    path = data.draw(st.sampled_from(places(document)))
    body = json.dumps(replaced(document, path, data.draw(json_values | stamps))).encode()
    try:
        strict = plan_of(model).read_quickly(body)
    except msgspec.DecodeError:
        return

    assert strict is None or without_json(strict) == object_reader(model)(msgspec.json.decode(body), Allowance(body))


@given(today)
def test_a_reply_comes_back_from_its_own_encoding(pair):
    model, document = pair
    reply = decode(json.dumps(document).encode(), model)

    assert decode(msgspec.json.encode(reply), model) == reply


def nullable(model: type[Model]) -> list[str]:
    """Return the keys of fields that can be left out. A null that is kept as JSON is a value."""
    fields = msgspec.structs.fields(model)
    return [field.encode_name for field in fields if not (field.required or is_kept_as_json(field.type))]


@given(today, st.data())
def test_a_null_means_the_same_as_an_absent_field(pair, data):
    model, document = pair
    unset = data.draw(st.sets(st.sampled_from(nullable(model)))) if nullable(model) else set()
    absent = {key: value for key, value in document.items() if key not in unset}

    nulls = {**absent, **dict.fromkeys(unset)}

    assert decode(json.dumps(nulls).encode(), model) == decode(json.dumps(absent).encode(), model)


@given(replies, json_values | st.binary())
def test_an_arbitrary_document_is_read_or_refused(model, content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with suppress(*UNREADABLE):
        assert isinstance(decode(body, model), model)


@given(today, st.data())
def test_a_document_with_one_thing_wrong_is_read_or_refused(pair, data):
    model, document = pair
    path = data.draw(st.sampled_from(places(document)))
    body = json.dumps(replaced(document, path, data.draw(json_values | stamps))).encode()
    with suppress(msgspec.ValidationError):
        assert isinstance(decode(body, model), model)


@given(today, st.data())
def test_a_document_cut_short_is_refused(pair, data):
    model, document = pair
    body = json.dumps(document).encode()

    with pytest.raises(msgspec.DecodeError):
        decode(body[: data.draw(st.integers(0, len(body) - 1))], model)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the paths of everything in a document, itself included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key, item in items for rest in places(item))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


# The older generation: other names, a wrapper, PostgreSQL's timestamps, and three ways to say "not set".


def aged(document: dict[str, Any], unset: str | None) -> dict[str, Any]:
    """Write a run as the older generation did."""
    old = {"creatorID": document.get("createdBy"), "runID": document["id"]}
    if "params" in document:
        old["parameters"] = {"parameters": document["params"]}
    for key, value in document.items():
        if key.endswith("At"):
            old[key] = unset if value is None else postgres(parse_timestamp(value))
        elif key not in ("id", "createdBy", "params"):
            old[key] = value
    return old


@given(documents(Run), st.sampled_from([None, ""]), st.booleans())
def test_a_run_in_the_older_form_is_the_same_run(document, unset, wrapped):
    old = aged(document, unset)
    body = json.dumps({"run": old, "task": {"id": "tsk1"}} if wrapped else old).encode()

    assert decode(body, Run) == decode(json.dumps(document).encode(), Run)


@given(st.text(), st.sampled_from([kind for kind in vars(models).values() if issubclass_of(kind, OpenEnum)]))
def test_any_text_is_a_member_of_an_open_enum(text, kind):
    if kind is OpenEnum:
        return
    decoder = msgspec.json.Decoder(kind)

    member = decoder.decode(msgspec.json.encode(text))

    assert type(member) is kind
    assert member == text == member.value == str(member)
    assert hash(member) == hash(text)
    assert msgspec.json.decode(msgspec.json.encode(member)) == text
    assert member.is_known == (text in [known.value for known in kind])
