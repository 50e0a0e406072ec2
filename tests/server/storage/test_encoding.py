"""JSON on its way into the records, and texts that the server makes: times, IDs and messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from airplane_runbooks.schema.problems import NotEncodable
from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.storage.encoding import MAX_OUTPUT, decode, encode
from airplane_runbooks.server.storage.ids import new_id, stamp
from airplane_runbooks.server.storage.records import error_output
from tests.support.examples import examples
from tests.support.servers import served

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**4000), 2**4000) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=30,
)


@runbook
def echo(context: Context, value: Any) -> Any:
    """Send a value through everything there is: parameter, step, replay, result."""
    return context.step(lambda value: value, value, name="echo")


@pytest.fixture(scope="module")
def api():
    with served(echo) as client:
        yield client


@examples(1, suppress_health_check=[HealthCheck.too_slow])
@given(value=JSON)
@example(value={"": [0, -0.0, 1e308, 5e-324, 2**64, -(2**63) - 1, "\0", "\U0010ffff", {"a": {}}]})
@example(value=[[]] * 3)
def test_any_json_comes_out_of_a_step_as_it_went_in(api, value):
    session_id = api.execute("echo", {"value": value})
    api.reaches(session_id, "Succeeded")
    runbook_run, step = api.runs(session_id)
    for one in (
        api.session(session_id)["paramValues"]["value"],
        runbook_run["paramValues"]["value"],
        step["paramValues"]["value"],
        api.output(step),
        api.output(runbook_run),
    ):
        assert json.dumps(one) == json.dumps(value)


@given(value=JSON)
def test_encoding_keeps_every_json_value(value):
    assert json.dumps(decode(encode(value))) == json.dumps(value)


def nested(levels):
    value = None
    for _ in range(levels):
        value = [value]
    return value


def cycle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("-inf")],
        {"a": (float("nan"),)},
        "\ud800",
        {"\ud800": 1},
        cycle(),
        nested(201),
        nested(100_000),
        object(),
        {(1, 2): 3},
        10**5000,
        "x" * MAX_OUTPUT,
        {1j},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_cannot_hold_is_refused(value):
    with pytest.raises(NotEncodable):
        encode(value)


def test_values_may_be_nested_up_to_the_limit():
    assert decode(encode(nested(200))) == nested(200)


def test_error_messages_are_always_text():
    assert decode(error_output("a\ud800b")) == {"error": "a?b"}


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "2022-02-03T04:05:06Z"), (7, "2022-02-03T04:05:06.000007Z"), (120000, "2022-02-03T04:05:06.120000Z")],
)
def test_timestamps_have_at_most_six_digits_and_end_in_z(microsecond, text):
    assert stamp(datetime(2022, 2, 3, 4, 5, 6, microsecond, tzinfo=UTC)) == text
    assert stamp(None) is None


def test_new_ids_do_not_repeat():
    assert len({new_id("ses") for _ in range(1000)}) == 1000
