"""Records that come back from a store as they went in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ....models import Constraints, Parameter, ParameterType, Reviewers
from ..ids import now
from ..interface import RunQuery, SessionQuery, Store
from ..records import Failure, Outcome, RunKind, Session
from ._support import AGES_AGO, Case, add_root, load_run, new_prompt, new_run, token

PARAMETERS = (
    *(Parameter(slug=kind.value, type=kind, default="2024-05-06", secret=True) for kind in ParameterType),
    Parameter(slug="n", constraints=Constraints(options=[{"label": "1", "value": 1}])),
    Parameter(slug="all", values=Parameter(slug="one")),
)


class Records(Case):
    """Sessions, runs and prompts with every field and any text."""

    def test_every_field_is_kept_to_the_last_bit(self, empty: Store) -> None:
        wide = "\N{SNOWMAN} ' \" \\ %s :key ?\n"
        kept = new_run(
            "r",
            param_values=b'{"a" :  1.0}',
            params=PARAMETERS,
            resources={"db": wide},
            created_at=AGES_AGO,
            updated_at=AGES_AGO,
            created_by=wide,
            sealed_values=b"\x00\xff",
            source=wide,
            trace_context="00-a\nb",
        )
        session = Session(
            id="s",
            run_id="r",
            runbook_id="b",
            name=wide,
            param_values=b" {}",
            params=PARAMETERS,
            created_at=AGES_AGO,
            updated_at=AGES_AGO,
        )
        assert empty.add(kept, session)
        assert empty.session("s") == session
        assert load_run(empty, "r").due_at is not None
        (due,) = empty.due(now() + timedelta(1), 9)
        fields = {field: getattr(load_run(empty, "r"), field) for field in kept.__struct_fields__ if field != "due_at"}
        assert fields == {field: getattr(kept, field) for field in fields}
        assert (due.id, due.source, due.param_values, due.params) == ("r", wide, b"{}", ())
        empty.begin("r", 1)
        asked = new_prompt(
            "p",
            "q",
            parameters=PARAMETERS,
            reviewers=Reviewers(users=("a@b",), allow_self_approvals=False),
            confirm_text=wide,
            cancel_text=wide,
            created_at=AGES_AGO,
            expires_at=AGES_AGO,
        )
        assert empty.add_child(new_run("q", RunKind.PROMPT, "r", created_at=AGES_AGO), token(empty), asked)
        assert empty.prompt("p") == asked
        assert load_run(empty, "q").active_at == AGES_AGO
        assert empty.finish("r", Outcome.failed(Failure("KeyError", wide)), token(empty))
        assert load_run(empty, "r").failure == Failure("KeyError", wide)

    def test_sessions_and_prompts_come_with_their_root_run(self, store: Store) -> None:
        with_root = store.session_with_root("s")
        assert with_root is not None
        session, root, open_prompts = with_root
        assert (session, root.id, list(open_prompts)) == (store.session("s"), "r", ["p"])
        with_session = store.prompt_with_session("p")
        assert with_session is not None
        prompt, session, root = with_session
        assert (prompt, session, root.id) == (store.prompt("p"), store.session("s"), "r")
        assert store.session_with_root("unknown") is None
        assert store.prompt_with_session("unknown") is None

    def test_a_failure_with_any_text_in_its_message_is_kept(self, empty: Store) -> None:
        add_root(empty, "r")
        empty.begin("r", 1)
        assert empty.finish("r", Outcome.failed(Failure("KeyError", "a \ud800 and a \0")), token(empty))
        failure = load_run(empty, "r").failure
        assert failure is not None
        assert failure.message in ("a \ud800 and a \0", "a ? and a \0")

    @pytest.mark.parametrize("text", ["\0", "a\0", "'", "%", "", "".join(map(chr, range(256, 9000)))])
    def test_no_text_breaks_a_look_up(self, store: Store, text: str) -> None:
        assert (store.session(text), store.run(text), store.prompt(text)) == (None, None, None)
        assert not store.history(text)
        assert not store.prompts(text)
        assert not store.sessions(SessionQuery(runbook_id=text))
        assert not store.runs(RunQuery(task_slug=text))
        assert not store.runs(RunQuery(env_slug=text))
        assert store.add_child(new_run("c", RunKind.STEP, "r", slug=text, env_slug=text), token(store))
        for query in (RunQuery(task_slug=text), RunQuery(env_slug=text)):
            assert [one.id for one in store.runs(query)] == ["c"]
        assert not store.runs(RunQuery(task_slug=text + "!"))
