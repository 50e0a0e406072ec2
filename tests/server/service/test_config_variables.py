"""Config variables: the runbook gets their values, and nothing else shows those of secret ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import ConfigVar
from airplane_runbooks.server import ConfigVariable, Context, Field, options_from_environment, runbook
from airplane_runbooks.server.service.config_variables import complete_variables
from tests.support.servers import served

DSN = "postgresql://ada:correct-horse@db/refunds"
SEEN = []


def connect(dsn: str, variable: ConfigVar) -> str:
    SEEN.append(variable)
    return f"connected to {dsn}"


@runbook
def vacuums(context: Context, database: ConfigVar, regions: list[ConfigVar] | None = None) -> dict[str, object]:
    told = context.step(connect, database.value, database)
    region = context.prompt("Where?", region=Field(ConfigVar, optional=True))["region"]
    found = [one.value for one in (*(regions or ()), *([region] if region else ()))]
    return {"told": told, "regions": found, "shown": repr(database)}


VARIABLES = {"refunds_dsn": DSN, "region": ConfigVariable("eu-west-1", secret=False)}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("variables") / "runbooks.db"


@pytest.fixture(scope="module")
def api(database):
    with served(vacuums, config_variables=VARIABLES, database=f"sqlite:///{database}") as client:
        yield client


def everything(api, session_id):
    """Return all that the API tells of a session, as one text."""
    runs = api.runs(session_id)
    return json.dumps(
        [
            api.session(session_id),
            runs,
            *(api.output(run) for run in runs),
            *(api.get("/runs/get", id=run["id"]).json for run in runs),
        ]
    )


def test_a_runbook_gets_values_and_replies_show_no_secret_one(api, database):
    SEEN.clear()
    session_id = api.execute("vacuums", {"database": "refunds_dsn", "regions": ["region"]})
    assert api.answer(session_id, region="region").status == 200
    api.reaches(session_id, "Succeeded")
    assert [ConfigVar("refunds_dsn", DSN)] == SEEN
    told = everything(api, session_id)
    assert "correct-horse" not in told
    output = api.output(api.runs(session_id)[0])
    assert output["told"].startswith("connected to ***")
    assert output["regions"] == ["eu-west-1", "eu-west-1"]
    assert output["shown"] == "ConfigVar('refunds_dsn')"
    shown = api.session(session_id)["paramValues"]
    assert shown["database"] == {"__airplaneType": "configvar", "name": "refunds_dsn"}
    assert shown["regions"] == [{"__airplaneType": "configvar", "name": "region"}]
    kept = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert b"correct-horse" not in kept


@pytest.mark.parametrize("value", ["other", {"__airplaneType": "configvar", "name": "other", "value": "of the caller"}])
def test_an_unknown_name_is_refused_as_value_and_answer(api, value):
    refused = api.post("/runbooks/execute", {"slug": "vacuums", "paramValues": {"database": value}})
    assert (refused.status, refused.code) == (400, "config_variable_not_found")
    assert refused.error == "paramValues.database: there is no config variable other"
    session_id = api.execute("vacuums", {"database": "region"})
    assert api.answer(session_id, region=value).code == "config_variable_not_found"
    assert api.answer(session_id).status == 200


def test_the_value_that_a_caller_sends_along_does_not_count(api):
    SEEN.clear()
    value = {"__airplaneType": "configvar", "name": "region", "value": "of the caller"}
    session_id = api.execute("vacuums", {"database": value})
    assert api.answer(session_id).status == 200
    api.reaches(session_id, "Succeeded")
    assert [ConfigVar("region", "eu-west-1")] == SEEN


def test_a_session_keeps_the_value_that_it_has_begun_with(tmp_path):
    url = f"sqlite:///{tmp_path / 'runbooks.db'}"
    with served(vacuums, config_variables={"dsn": "the old value"}, database=url) as client:
        session_id = client.execute("vacuums", {"database": "dsn"})
        client.open_prompt(session_id)
    with served(vacuums, config_variables={"dsn": "the new value"}, database=url) as client:
        assert client.answer(session_id).status == 200
        client.reaches(session_id, "Succeeded")


def test_a_bare_text_is_a_secret_and_reprs_show_no_value():
    variables = complete_variables({"region": ConfigVariable("eu", secret=False), "dsn": "hush"})
    assert variables == {"dsn": ConfigVariable("hush"), "region": ConfigVariable("eu", secret=False)}
    assert list(variables) == ["dsn", "region"]
    assert repr(variables["dsn"]) == "<ConfigVariable>"


def test_variables_of_the_environment_are_a_json_object(monkeypatch):
    monkeypatch.setenv("AIRPLANE_CONFIG_VARIABLES", '{"a": "hush", "b": {"value": "eu", "secret": false}}')
    assert options_from_environment() == {"config_variables": {"a": "hush", "b": ConfigVariable("eu", secret=False)}}
    for wrong in ('{"a": 1}', "hush", '{"a b": "hush"}'):
        monkeypatch.setenv("AIRPLANE_CONFIG_VARIABLES", wrong)
        with pytest.raises(ValueError, match="AIRPLANE_CONFIG_VARIABLES") as refused:
            options_from_environment()
        assert "hush" not in str(refused.value)


@given(st.text())
def test_a_name_is_taken_as_it_is_or_refused(name):
    try:
        assert set(complete_variables({name: "value"})) == {name}
    except ValueError:
        assert not (name.isascii() and name.isalnum() and len(name) <= 100)


def test_a_value_that_is_not_text_is_refused_by_name():
    with pytest.raises(TypeError, match="config variable port must be text, not int"):
        complete_variables({"port": 5432})
