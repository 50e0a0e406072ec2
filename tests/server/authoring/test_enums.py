"""Enums and references as parameters of a runbook and as fields of a prompt."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum

import pytest

from airplane_runbooks import ConfigVar
from airplane_runbooks.models import ParameterType
from airplane_runbooks.server import Context, Field, runbook
from airplane_runbooks.server.authoring.fields import parameter
from tests.support.servers import served


class Speed(Enum):
    SLOW = "by sea"
    FAST = "by air"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Colour(StrEnum):
    RED = "red"


class Mixed(Enum):
    A = 1
    B = "b"


SEEN = []


@runbook
def ships(
    context: Context,
    speed: Speed,
    colours: list[Colour],
    *,
    size: Size = Size.SMALL,
    token: ConfigVar | None = None,
) -> str:
    """Ship it.

    Args:
        speed: How fast.
        size: How large.
    """
    SEEN.append((speed, colours, size, token))
    answer = context.prompt("Really?", how=Field(Speed, default=Speed.SLOW), sizes=list[Size])
    SEEN.append((answer["how"], answer["sizes"]))
    return speed.name


@pytest.fixture
def api():
    SEEN.clear()
    with served(ships, config_variables={"db_token": "hush"}) as client:
        yield client


def test_a_runbook_gets_members_and_references(api):
    values = {
        "speed": "by air",
        "colours": ["red"],
        "token": {"__airplaneType": "configvar", "name": "db_token"},
    }
    session_id = api.execute("ships", values)
    assert api.answer(session_id, sizes=[2, 1]).status == 200
    api.reaches(session_id, "Succeeded")
    assert SEEN[0] == (Speed.FAST, [Colour.RED], Size.SMALL, ConfigVar("db_token", "hush"))
    assert isinstance(SEEN[0][0], Speed)
    assert SEEN[-1] == (Speed.SLOW, [Size.LARGE, Size.SMALL])
    assert isinstance(SEEN[-1][1][0], Size)
    assert api.output(api.runs(session_id)[0]) == "FAST"


def test_a_value_that_no_member_has_is_refused(api):
    answer = api.post("/runbooks/execute", {"slug": "ships", "paramValues": {"speed": "FAST", "colours": []}})
    assert answer.status == 400
    assert "paramValues.speed" in answer.error


def test_options_are_labelled_by_the_members_names():
    made = parameter("p", Speed)
    assert made.type is ParameterType.STRING
    assert made.constraints.options == [{"label": "SLOW", "value": "by sea"}, {"label": "FAST", "value": "by air"}]
    assert parameter("p", Size).type is ParameterType.INTEGER
    assert parameter("p", list[Colour]).multi


@pytest.mark.parametrize("kind", [Mixed, Enum("Empty", {})])
def test_members_of_one_kind_make_a_parameter(kind):
    with pytest.raises(TypeError, match="must be all of one kind: strings, bools, integers, floats, times or dates"):
        parameter("p", kind)
