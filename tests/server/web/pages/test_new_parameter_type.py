"""A parameter type is one object and one template: here is one that the package does not have, from end to end."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import pytest

from airplane_runbooks import ParamValueError
from airplane_runbooks.models import ParameterSchema, ParameterType
from airplane_runbooks.schema.encoding import encode_params
from airplane_runbooks.schema.types import SCALARS, TYPES, Scalar, register
from airplane_runbooks.server import Context, Field, runbook
from airplane_runbooks.server.authoring.fields import parameter
from airplane_runbooks.server.web.pages import rendering
from tests.support.browsing import Browser
from tests.support.servers import served

CONTROL = '<input class="duration" id="{{ field.name }}" name="{{ field.name }}" value="{{ field.text }}">'


class DurationType(Scalar):
    """A span of time in whole seconds, such as `90s`."""

    name = ParameterType("duration")
    python = timedelta
    wanted = "a duration"
    control = "duration"
    hint = "In seconds or minutes."
    instruction = "Enter a duration, such as 90s or 5m."

    def encode(self, value: timedelta) -> str:
        return f"{value.total_seconds():.0f}s"

    def convert(self, value: Any) -> timedelta:
        if not re.fullmatch("[0-9]{1,9}s", value):
            raise ValueError
        return timedelta(seconds=int(value[:-1]))

    def convert_text(self, text: str) -> str:
        amount, unit = text.strip()[:-1], text.strip()[-1:]
        return f"{int(amount) * {'s': 1, 'm': 60}[unit]}s"

    def display(self, value: str) -> str:
        return f"{value[:-1]} seconds"


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Register the type, and give the pages the template of its control."""

    def with_duration(folder: Path) -> jinja2.BaseLoader:
        added = jinja2.DictLoader({"controls/duration.html": CONTROL})
        return jinja2.ChoiceLoader([added, jinja2.FileSystemLoader(folder)])

    monkeypatch.setattr(rendering, "FileSystemLoader", with_duration)
    register(DurationType)
    yield
    del TYPES[DurationType.name], SCALARS[timedelta]


SEEN: list[Any] = []


def waits(context: Context, limit: timedelta, more: list[timedelta] | None = None) -> None:
    """Ask for a duration."""
    answer = context.prompt("How long?", pause=timedelta, short=Field(timedelta, options=[timedelta(seconds=5)]))
    SEEN.extend([limit, more, answer])


def test_a_client_encodes_reads_and_checks_a_new_type():
    schema = ParameterSchema(parameters=(parameter("pause", Field(timedelta, options=[timedelta(seconds=90)])),))
    values = {"pause": timedelta(minutes=1, seconds=30)}
    sent = encode_params(values)

    assert sent == b'{"pause":"90s"}'
    assert schema.parameters[0].type == "duration"
    assert msgspec.json.decode(msgspec.json.encode(schema), type=ParameterSchema) == schema
    assert schema.validate(values) == schema.validate(json.loads(sent)) == values
    with pytest.raises(ParamValueError, match=r"^values\.pause: expected a duration, got a number$"):
        schema.validate({"pause": 90})
    with pytest.raises(ParamValueError, match=r"^values\.pause: the value is not among the options$"):
        schema.validate({"pause": "91s"})


def test_people_answer_a_prompt_with_a_value_of_a_new_type():
    SEEN.clear()
    with served(runbook(waits)) as api:
        session_id = api.execute("waits", {"limit": "20s", "more": ["1s", "2s"]})
        prompt = api.open_prompt(session_id)
        assert [field["type"] for field in prompt["schema"]["parameters"]] == ["duration", "duration"]
        with closing(Browser(api.url, api.headers["X-Airplane-API-Key"])) as browser:
            html = browser.get(f"/prompts/{prompt['id']}").text
            assert '<input class="duration" id="field-pause"' in html
            assert "In seconds or minutes." in html
            refused = browser.answer(prompt["id"], pause="long", short="0")
            assert refused.status == 422
            assert "Enter a duration, such as 90s or 5m." in refused.text
            assert browser.answer(prompt["id"], pause="2m", short="0").status == 303
            api.reaches(session_id, "Succeeded")
            assert "120 seconds" in browser.get(f"/prompts/{prompt['id']}").text
        assert api.get("/prompts/get", id=prompt["id"]).json["prompt"]["values"] == {"pause": "120s", "short": "5s"}
    answer = {"pause": timedelta(minutes=2), "short": timedelta(seconds=5)}
    assert [timedelta(seconds=20), [timedelta(seconds=1), timedelta(seconds=2)], answer] == SEEN
