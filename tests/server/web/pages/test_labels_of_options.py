"""The page of a session shows the labels under which values were offered."""

from __future__ import annotations

from contextlib import closing
from enum import Enum

import pytest

from airplane_runbooks.models import Constraints, Parameter, ParameterType
from airplane_runbooks.server import Context, Field, runbook
from airplane_runbooks.server.web.pages.formats import describe_answer
from tests.support.browsing import Browser
from tests.support.servers import started


class Team(Enum):
    SUPPORT = "support"
    sales = "sales"


@runbook
def assigns(context: Context, team: Team, size: int = 2) -> str:
    """Ask for a team."""
    return context.prompt("Whose is it?", next_team=Team, plain=Field(str, options=["first", "second"]))["plain"]


def test_a_session_shows_labels_with_the_values() -> None:
    with started(assigns) as (server, api), closing(Browser(server.base_url, server.api_key)) as operator:
        session_id = api.execute("assigns", {"team": "support"})
        api.reaches(session_id, "Waiting")
        api.answer(session_id, next_team="support", plain="first")
        api.reaches(session_id, "Succeeded")
        page = operator.get(f"/sessions/{session_id}").text
    assert page.count('<p class="value">SUPPORT (support)</p>') == 2
    assert '<p class="value">first</p>' in page


@pytest.mark.parametrize(
    ("options", "value", "text"),
    [
        ([{"label": "Ten", "value": 10}], 10, "Ten (10)"),
        ([{"label": "10", "value": 10}], 10, "10"),
        ([{"label": "", "value": 10}], 10, "10"),
        ([{"value": 10}, 10, {"label": "Ten"}], 10, "10"),
        ([{"label": "Ten", "value": 10}], 11, "11"),
        ([{"label": "Ten", "value": 10}], None, "null"),
        (None, 10, "10"),
    ],
)
def test_only_another_label_is_shown(options: object, value: object, text: str) -> None:
    made = Parameter(slug="size", type=ParameterType.INTEGER, constraints=Constraints(options=options))  # type: ignore[arg-type]
    assert describe_answer(made, value).text == text
