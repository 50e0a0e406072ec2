"""What the API can do, in terms of the store and the engine: the store first, the engine afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from .authoring import Registry, Runbook, RunnableT, Task
from .encoding import NotEncodable, encode
from .engine import Engine
from .errors import Invalid, NotFound
from .keys import Keys
from .records import Prompt, Run, RunKind, Session
from .runner import Runner
from .store import RunQuery, SessionQuery, Store
from .values import fill, read_all


class Origin(msgspec.Struct, frozen=True):
    """Where a call comes from: the ID of the user, and the seed of all IDs that the call makes."""

    by: str
    seed: str


class Backend:
    """Starts and cancels executions, answers prompts, and finds what there is. All methods raise Refused.

    `environments` are the slugs served, any if None; the first of them, else `prod`, is the default. Of the sessions
    and task runs that have ended, the last `keep_ended` stay readable.
    """

    def __init__(
        self,
        runbooks: Registry[Runbook[..., Any]],
        tasks: Registry[Task[..., Any]],
        *,
        store: Store,
        keys: Keys,
        engine: Engine,
        environments: Sequence[str] | None = None,
        keep_ended: int = 10_000,
    ) -> None:
        self.store = store
        self.keys = keys
        self._runbooks = runbooks
        self._tasks = tasks
        self._engine = engine
        self._environments: Collection[str] | None = environments
        self._default_environment = environments[0] if environments else "prod"
        self._keep_ended = keep_ended
        self._runner = Runner(store, runbooks, tasks)
        engine.open(self._work)

    def stop(self) -> None:
        """Let every execution end at its next step, without waiting for it."""
        self._runner.stop()

    def close(self, timeout: float) -> None:
        """End every execution at its next step, waiting at most `timeout` seconds for them. Idempotent."""
        self.stop()
        self._engine.close(timeout)

    def execute_runbook(
        self, names: Mapping[str, str], values: Mapping[str, Any], env_slug: str | None, origin: Origin
    ) -> Session:
        """Start a session of the runbook that `names` names by `id`, `slug` or both."""
        runbook = _find(self._runbooks, names, "runbook")
        run = self._parent(RunKind.RUNBOOK, runbook, values, env_slug, origin)
        session = Session(
            id="ses" + origin.seed,
            run_id=run.id,
            runbook_id=runbook.id,
            name=runbook.name,
            param_values=run.param_values,
            params=runbook.parameters,
            created_by=origin.by,
        )
        run = msgspec.structs.replace(run, session_id=session.id)
        self.store.add(run, session)
        self._engine.start(run.ticket)
        return session

    def execute_task(
        self,
        names: Mapping[str, str],
        values: Mapping[str, Any],
        env_slug: str | None,
        resources: Mapping[str, str],
        origin: Origin,
    ) -> Run:
        """Start a run of the task that `names` names by `id`, `slug` or both."""
        run = self._parent(RunKind.TASK, _find(self._tasks, names, "task"), values, env_slug, origin)
        run = msgspec.structs.replace(run, resources=dict(resources))
        self.store.add(run)
        self._engine.start(run.ticket)
        return run

    def cancel_run(self, run_id: str, origin: Origin) -> None:
        """Cancel a run that has not ended, and with it the session it belongs to."""
        parent = self.store.cancel(run_id, origin.by, origin.seed)
        self._engine.cancel(parent.ticket)

    def submit_prompt(self, prompt_id: str, values: Mapping[str, Any], origin: Origin) -> None:
        """Answer an open prompt with values that fit its fields."""
        prompt = self.prompt(prompt_id)
        if prompt.is_open:  # to an answered prompt, the store's refusal is the better news
            read_all(prompt.parameters, values, "values")
        filled = _encoded(fill(prompt.parameters, values), "values")
        self._answer(prompt_id, filled, origin)

    def cancel_prompt(self, prompt_id: str, origin: Origin) -> None:
        """Cancel an open prompt."""
        self._answer(prompt_id, None, origin)

    def session(self, session_id: str) -> Session:
        """Return a session."""
        return self.store.session(session_id) or _missing("session", session_id)

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self.store.run(run_id) or _missing("run", run_id)

    def prompt(self, prompt_id: str) -> Prompt:
        """Return a prompt."""
        return self.store.prompt(prompt_id) or _missing("prompt", prompt_id)

    def sessions(self, query: SessionQuery) -> Sequence[Session]:
        """Return a page of sessions."""
        return self.store.sessions(query)

    def runs(self, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs."""
        return self.store.runs(query)

    def prompts(self, run_id: str) -> Sequence[Prompt]:
        """Return the prompts of a run."""
        return self.store.prompts(self.run(run_id).id)

    def environment(self, slug: str | None) -> str:
        """Return the environment's slug, the default one's for None."""
        if slug is None:
            return self._default_environment
        if self._environments is not None and slug not in self._environments:
            _missing("environment", slug)
        return slug

    def _parent(
        self,
        kind: RunKind,
        item: Runbook[..., Any] | Task[..., Any],
        values: Mapping[str, Any],
        env_slug: str | None,
        origin: Origin,
    ) -> Run:
        item.arguments(dict(values))
        return Run(
            id="run" + origin.seed,
            kind=kind,
            task_id=item.id,
            slug=item.slug,
            name=item.name,
            param_values=_encoded(fill(item.parameters, values), "paramValues"),
            params=item.parameters,
            env_slug=self.environment(env_slug),
            created_by=origin.by,
        )

    def _answer(self, prompt_id: str, values: bytes | None, origin: Origin) -> None:
        prompt = self.store.answer(prompt_id, values, origin.by, origin.seed)
        if parent := self.store.run(prompt.parent_id):
            self._engine.wake(parent.ticket)

    def _work(self, ticket: str) -> bool:
        run_id, _, stretch = ticket.rpartition(".")
        again = self._runner.work(run_id, int(stretch))
        for ended in self.store.drop(self._keep_ended):
            for number in range(ended.stretch):
                self._engine.forget(f"{ended.id}.{number + 1}")
        return again


def _find(registry: Registry[RunnableT], names: Mapping[str, str], kind: str) -> RunnableT:
    if not names:
        raise Invalid("missing_field", f"id or slug of the {kind} is required")
    found = [(registry.by_id if key == "id" else registry.by_slug).get(name) for key, name in names.items()]
    if found[0] is None or found[-1] is None:
        _missing(kind, " / ".join(names.values()))
    if found[0] is not found[-1]:
        raise Invalid("ambiguous", f"id and slug name two different {kind}s")
    return found[0]


def _encoded(values: Mapping[str, Any], root: str) -> bytes:
    try:
        return encode(dict(values))
    except NotEncodable as problem:
        raise Invalid("invalid_parameter", f"{root}: {problem}") from None


def _missing(kind: str, name: str) -> NoReturn:
    raise NotFound(f"{kind}_not_found", f"there is no {kind} {name[:100]}")
