"""Operations that show one session, run or prompt, whose changes a caller can wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ....models import SessionStatus
from ...service import prompts, runs, sessions
from ...service.services import Services
from ...storage.holds import hold_code, why_held
from ...storage.records import Prompt, Run, RunKind, Session
from ...storage.states import IS_WAITING, join_ids
from .schemas import Json, prompt_json, result_json, run_json, session_json
from .snapshots import Snapshot


class ObjectOperation(NamedTuple):
    """Operation that shows the object whose ID the query has under one of the `keys`."""

    kind: str
    keys: tuple[str, ...]
    read: Callable[[Services, str], Snapshot]


def read_session(services: Services, session_id: str) -> Snapshot:
    """Read a session. Raises NotFound."""
    session, root, open_prompts = sessions.find_with_root(services, session_id)
    return Snapshot(
        {**session_json(session), **result_json(root), "held": held_json(root)},
        (session.status.value, root.held, join_ids(open_prompts)),
        at_rest=session.status is SessionStatus.WAITING or session.status.is_terminal,
        run_ids=(root.id,),
    )


def read_run(services: Services, run_id: str) -> Snapshot:
    """Read a run: as it is, and once more in the member that the clients of 2021 and the command line read."""
    run = runs.find(services, run_id)
    (json,) = runs_json(services, [run])
    waiting = json["isWaitingForUser"]
    return Snapshot(
        {**json, "run": json},
        (run.status.value, None, IS_WAITING if waiting else None),
        at_rest=waiting or run.status.is_terminal,
        run_ids=(run.id,) if run.root_id is None else (run.id, run.root_id),
    )


def read_prompt(services: Services, prompt_id: str) -> Snapshot:
    """Read a prompt. It is always at rest: while it is open, it waits for a human. Raises NotFound."""
    prompt, _, root = prompts.find_with_session(services, prompt_id)
    ended = "submitted" if prompt.submitted_at else "cancelled"
    return Snapshot(
        {"prompt": prompt_with_hold_json(prompt, root)},
        ("open", root.held, None) if prompt.is_open else (ended, None, None),
        at_rest=True,
        run_ids=(root.id,),
    )


OBJECTS: Mapping[tuple[str, str], ObjectOperation] = {
    ("GET", "/sessions/get"): ObjectOperation("session", ("id", "sessionID"), read_session),
    ("GET", "/runs/get"): ObjectOperation("run", ("id", "runID"), read_run),
    ("GET", "/prompts/get"): ObjectOperation("prompt", ("id",), read_prompt),
}


def sessions_json(services: Services, found: Sequence[Session]) -> list[Json]:
    """Return the JSON of sessions, with the reasons for which some of them are held."""
    unfinished = [session.run_id for session in found if not session.status.is_terminal]
    holds = {root.id: held_json(root) for root in services.store.brief(unfinished)} if unfinished else {}
    return [{**session_json(session), "held": holds.get(session.run_id)} for session in found]


def runs_json(services: Services, found: Sequence[Run]) -> list[Json]:
    """Return the JSON of runs, with the prompts among them that wait for a user marked so."""
    asking = [run.id for run in found if run.kind is RunKind.PROMPT and not run.status.is_terminal]
    waiting = {prompt.run_id for prompt in services.store.prompts(*asking) if prompt.is_open}
    return [run_json(run, waiting=run.id in waiting) for run in found]


def prompt_with_hold_json(prompt: Prompt, root: Run) -> Json:
    """Return the JSON of a prompt, with the reason for which it takes no answer."""
    return {**prompt_json(prompt), "held": held_json(root) if prompt.is_open else None}


def held_json(root: Run) -> Json | None:
    """Return the JSON of the reason for which a session is held."""
    why = why_held(root)
    return None if why is None else {"code": hold_code(root), "message": why}
