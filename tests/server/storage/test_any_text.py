"""Every text comes back from every store as it went in, and can be searched for, U+0000 included."""

from __future__ import annotations

from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.errors import Conflict
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.interface import RunQuery
from airplane_runbooks.server.storage.records import (
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
    Session,
)
from airplane_runbooks.server.storage.sql_idempotency import SqlKeys
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.tables import on_postgres
from tests.support.engines import saying
from tests.support.examples import examples
from tests.support.model_store import ModelStore
from tests.support.servers import served

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\ufdd001\ufffd"))
NUMBERS = count()
NUL = "Refund J\0oe?"


@pytest.fixture(scope="module")
def postgres_database(postgres):
    url = postgres.fresh()
    database = Database(url)
    yield database
    database.close()
    postgres.drop(url)


@pytest.fixture(
    scope="module", params=["model", "memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def store(request, tmp_path_factory):
    if request.param == "model":
        yield ModelStore()
    elif request.param == "postgres":
        yield SqlStore(request.getfixturevalue("postgres_database"))
    else:
        folder = tmp_path_factory.mktemp("texts")
        database = Database("sqlite://" if request.param == "memory" else f"sqlite:///{folder / 'runbooks.db'}")
        yield SqlStore(database)
        database.close()


@examples(0.4, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, other=TEXTS)
@example(text=NUL, other="Refund J\ufffdoe?")
@example(text="\0", other="\ufdd00")
@example(text="\ufdd0", other="\ufdd01")
@example(text="\ufdd0\0", other="\ufdd010")
@example(text="\0" * 150, other="\0" * 149)
@example(text="\0" * 250, other="")
def test_a_text_comes_back_and_finds_its_own_and_no_other(store, text, other):
    number = next(NUMBERS)
    roots = [_root(store, f"r{number}{letter}", one) for letter, one in (("a", text), ("b", other))]
    for root, one in zip(roots, (text, other), strict=True):
        assert (root.name, root.slug, root.env_slug, root.created_by) == (one, one, one, one)
        assert (root.trace_context, root.resources) == (one, {one: one})
        asked = store.begin(root.id, 1)
        child = _child(root, one)
        question = Prompt(
            id=f"p{root.id}",
            run_id=child.id,
            root_id=root.id,
            description=one,
            confirm_text=one,
            cancel_text=one,
            reviewers=Reviewers(groups=(one,), users=(one,)),
        )
        assert store.add_child(child, asked.fencing_token, question)
        assert store.prompt(question.id) == question
        assert [run.name for run in store.history(root.id)] == [one]
        assert store.answer(question.id, saying(b"{}"), one, one).prompt.answered_by == one
        assert store.prompt(question.id).answered_seed == one
        assert store.finish(root.id, Outcome.failed(Failure(one, one)), asked.fencing_token)
        assert store.run(root.id).failure == Failure(one, one)
    for query in (RunQuery(env_slug=text), RunQuery(task_slug=text), RunQuery(session_id=f"s{number}a{text}")):
        found = {run.id for run in store.runs(query) if run.id.startswith(f"r{number}")}
        wanted = {f"r{number}a", *([f"r{number}b"] if text == other and query.session_id is None else [])}
        assert found & {one.id for one in roots} == wanted


def _root(store, run_id, text):
    session_id = f"s{run_id[1:]}{text}"
    run = Run(
        id=run_id,
        kind=RunKind.RUNBOOK,
        task_id="t",
        slug=text,
        name=text,
        env_slug=text,
        created_by=text,
        session_id=session_id,
        trace_context=text,
        resources={text: text},
    )
    session = Session(id=session_id, run_id=run_id, runbook_id="b", name=text, created_by=text)
    assert store.add(run, session)
    assert (store.session(session_id).name, store.session(session_id).created_by) == (text, text)
    return store.run(run_id)


def _child(root, text):
    return Run(
        id=f"{root.id}c",
        kind=RunKind.PROMPT,
        root_id=root.id,
        session_id=root.session_id,
        task_id="t",
        slug="prompt",
        name=text,
        env_slug=text,
        position="1",
    )


@given(TEXTS, TEXTS)
def test_no_two_texts_are_one_on_postgresql(one, other):
    assert "\0" not in on_postgres(one)
    assert (on_postgres(one) == on_postgres(other)) == (one == other)
    assert on_postgres(one) == one or set(one) & set("\0\ufdd0")


@pytest.mark.postgres
@pytest.mark.parametrize("before", ["plain", "Refund J\ufffdoe?", "\ufdd0", "a\ufdd0b", "\ufdd0\ufdd0"])
def test_rows_of_older_versions_are_read_as_they_are(postgres_database, before):
    store, run_id = SqlStore(postgres_database), f"old{next(NUMBERS)}"
    _root(store, run_id, "text")
    with postgres_database.write() as connection:
        connection.execute(
            sa.text("UPDATE runbook_runs SET name = :name WHERE id = :id"), {"name": before, "id": run_id}
        )
    assert store.run(run_id).name == before


@pytest.mark.postgres
def test_what_lies_in_postgresql_can_be_read_by_people(postgres_database):
    store, run_id = SqlStore(postgres_database), f"lies{next(NUMBERS)}"
    _root(store, run_id, "Grüße 👋 \ufffd")
    with postgres_database.write() as connection:
        name = connection.scalar(sa.text("SELECT name FROM runbook_runs WHERE id = :id"), {"id": run_id})
    assert name == "Grüße 👋 \ufffd"


@pytest.mark.postgres
def test_a_key_is_not_taken_for_another_one(postgres_database):
    keys = SqlKeys(postgres_database)
    keys.claim("a\0b", b"1")
    assert keys.claim("a\ufffdb", b"2").reply is None
    with pytest.raises(Conflict):
        keys.claim("a\0b", b"3")


@runbook
def refunds(context: Context, name: str) -> str:
    """Refund a customer, if a human agrees."""
    context.step(str.upper, name, name=f"look {name} up")
    answer = context.prompt(f"Refund {name}?", confirm_text=f"Refund {name}", note=str)
    if answer["note"] == "fail":
        raise ValueError(f"no {name}")
    return answer["note"]


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def api(request, tmp_path):
    if request.param == "memory":
        url = "sqlite://"
    elif request.param == "file":
        url = f"sqlite:///{tmp_path / 'runbooks.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    with served(refunds, database=url) as client:
        yield client


@pytest.mark.parametrize("name", ["J\0oe", "\0", "\ufdd0", "\ufdd00\0"])
def test_a_prompt_with_such_characters_lets_its_session_go_on(api, name):
    session_id = api.execute("refunds", {"name": name})
    prompt = api.open_prompt(session_id)
    assert (prompt["description"], prompt["confirmText"]) == (f"Refund {name}?", f"Refund {name}")
    assert api.answer(session_id, note=name).status == 200
    api.reaches(session_id, "Succeeded")
    runbook_run, step, asked = api.runs(session_id)
    assert (step["taskName"], asked["taskName"]) == (f"look {name} up", f"Refund {name}?")
    assert (api.output(runbook_run), api.output(step)) == (name, name.upper())
    session_id = api.execute("refunds", {"name": name})
    api.answer(session_id, note="fail")
    api.reaches(session_id, "Failed")
    assert api.output(api.runs(session_id)[0]) == {"error": f"no {name}"}
