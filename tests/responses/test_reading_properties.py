"""Error bodies and headers of any server are read as far as possible, and reading them never raises."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import APIError, Headers, Response, ServerError
from airplane_runbooks._responses.reading import read_error, retry_after, status_error
from airplane_runbooks.errors import error_class, escape_controls

WALL = 1_700_000_000.0

any_text = st.text(st.characters())
dates = st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
almost_dates = st.lists(
    st.sampled_from(
        [
            *("Sun", "Sunday,", "Nov", "06", "6", "1994", "94", "31", "06-Nov-94", ",", "-", ":"),
            *("08:49:37", "25:61:61", "00:00", "am", "GMT", "EST", "+9999", "-0000"),
            *("99999999999999999999", "0", "-1", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}"),
        ]
    ),
    max_size=9,
).map(" ".join)


def wait_of(value: str) -> float | None:
    return retry_after({"retry-after": value}, WALL)


@given(
    any_text
    | almost_dates
    | st.text("0123456789.eE+-_ infa", max_size=400)
    | st.floats().map(repr)
    | st.integers().map(str)
)
def test_retry_after_is_none_or_a_finite_number_of_seconds(value):
    for wall in (WALL, None):
        seconds = retry_after({"retry-after": value}, wall)

        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.integers(0, 10**300))
def test_a_retry_after_in_seconds_is_taken_as_it_is(seconds):
    assert wait_of(str(seconds)) == float(seconds)


@given(st.integers(max_value=-1) | st.floats(max_value=-1e-9, allow_infinity=False))
def test_a_retry_after_in_the_past_means_now(seconds):
    assert wait_of(str(seconds)) == 0


@given(dates)
def test_each_form_of_an_http_date_gives_the_seconds_until_then(moment):
    expected = max(0.0, moment.timestamp() - WALL)

    assert wait_of(format_datetime(moment, usegmt=True)) == expected
    assert wait_of(moment.strftime(f"%a %b {moment.day:2d} %H:%M:%S {moment.year:04}")) == expected


@given(st.integers(0, 40 * 365 * 86400))
def test_an_obsolete_http_date_gives_the_seconds_until_then(ahead):
    moment = datetime.fromtimestamp(WALL, UTC) + timedelta(seconds=ahead)

    assert wait_of(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")) == ahead


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["error", "code", "details"]), inner),
    max_leaves=8,
)
bodies = st.binary() | json_values.map(lambda value: json.dumps(value).encode())


@given(st.integers(100, 999), bodies, st.dictionaries(st.text(), any_text))
def test_every_response_becomes_an_error_of_the_right_class(status, body, headers):
    response = Response(status=status, headers=Headers({**headers, "retry-after": "2"}), body=body)

    error = status_error(response)

    assert type(error) is error_class(status)
    assert isinstance(error, APIError)
    assert isinstance(error, ServerError) == (status >= 500)
    assert error.status == status
    assert error.message
    assert str(error).startswith(escape_controls(f"{status}: {error.message}"))
    assert error.retry_after == 2
    assert error.headers is response.headers
    assert error.body is body


messages = st.text() | st.integers(1, 5000).map(lambda length: "m" * length)


@given(messages, messages | st.none(), st.dictionaries(st.text(min_size=6), json_values))
def test_the_message_and_the_code_of_an_error_body_are_read(message, code, more):
    body = json.dumps({**more, "error": message, "code": code}).encode()

    read = read_error(body)
    assert read[1] == (code[:2000] or None if code else None)
    if message:
        assert read[0] == message[:2000]


@given(json_values | st.binary())
def test_an_error_body_of_any_shape_is_read_as_far_as_it_goes(content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    for text in read_error(body):
        assert text is None or 1 <= len(text) <= 2000
