"""What the API can do, in terms of the store and the engine: the store first, the engine afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import msgspec

from ...models import Parameter
from ..authoring.decorators import (
    Registry,
    Runbook,
    RunnableT,
    Task,
)
from ..authoring.values import fill, read_all, typed
from ..engine.holding import Holding
from ..engine.interface import Engine
from ..engine.reconciler import Reconciler, go_on
from ..errors import (
    Closing,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from ..execution.asked import meant, unseal
from ..execution.runner import Runner
from ..logs import describe
from ..observers.tracing import Tracing
from ..secrets.masking import MASK, Secrets, hide_all
from ..secrets.vault import Vault
from ..storage.encoding import NotEncodable, decode, encode
from ..storage.errors import DatabaseUnavailable
from ..storage.holds import refusal, why_held
from ..storage.idempotency import Keys
from ..storage.ids import API_USER, now
from ..storage.interface import RunQuery, SessionQuery, Store
from ..storage.records import (
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
    Session,
)
from ..storage.sign_outs import SqlSignOuts
from .identity import User, check_reviewer

logger = logging.getLogger(__name__)


class Origin(msgspec.Struct, frozen=True):
    """Where a call comes from: the user, and the seed of all IDs that the call makes."""

    user: User
    seed: str

    @property
    def by(self) -> str:
        """The ID of the user."""
        return self.user.id


class Base(Protocol):
    """Database of the store and of the keys."""

    def probe(self) -> None:
        """Write something that leaves nothing behind. Raises DatabaseUnavailable."""
        ...

    def close(self) -> None:
        """Let go of what it holds. Idempotent."""
        ...


class Backend:
    """Starts and cancels executions, answers prompts, and finds what there is. All methods raise ApiError.

    `environments` are the slugs served, any if None; the first of them, else `prod`, is the default. `database` is what
    the store, the keys and the sign-outs are in, and closed in the end. `server_id` tells it from other databases.

    Attributes:
        since: When this server began to serve: the only date that runbooks and tasks have, being code.
    """

    def __init__(
        self,
        runbooks: Registry[Runbook[..., Any]],
        tasks: Registry[Task[..., Any]],
        *,
        store: Store,
        keys: Keys,
        sign_outs: SqlSignOuts,
        server_id: str,
        engine: Engine,
        reconciler: Reconciler,
        holding: Holding,
        database: Base,
        tracing: Tracing,
        vault: Vault,
        environments: Sequence[str] | None = None,
        workers: int = 16,
    ) -> None:
        self.store = store
        self.keys = keys
        self.sign_outs = sign_outs
        self.server_id = server_id
        self.tracing = tracing
        self._runbooks = runbooks
        self._tasks = tasks
        self._engine = engine
        self._reconciler = reconciler
        self._database = database
        self.vault = vault
        self._environments: Collection[str] | None = environments
        self._default_environment = environments[0] if environments else "prod"
        self.since = now()
        self.stopping = False
        self._runner = Runner(store, runbooks, tasks, tracing, vault=vault, workers=workers, put_back=holding.put_back)
        self._opening = threading.Lock()
        self._open = False

    def open(self) -> None:
        """Start what works in the background. Idempotent. Raises Closing, and what the engine does."""
        if self._open:
            return
        with self._opening:
            if self.stopping:
                raise Closing("closing", "the server is closing")
            if not self._open:
                self._engine.open(self._work)
                self._reconciler.start()
                self._open = True

    def probe(self) -> None:
        """Find out whether anything could be kept now. Raises DatabaseUnavailable."""
        self._database.probe()

    @property
    def has_workers(self) -> bool:
        """Whether there is a worker left that could execute anything."""
        return self._runner.has_workers

    def stop(self) -> None:
        """Let every execution end at its next step, without waiting for it."""
        if not self.stopping:
            self.stopping = True
            self._runner.stop()
            # apart, for it may take its time; now, for whoever stops the server may not wait for its end
            threading.Thread(
                target=self._guarded, args=(self._runner.excuse,), name="runbook-excuse", daemon=True
            ).start()

    def close(self, timeout: float) -> None:
        """End every execution at its next step, waiting at most `timeout` seconds for them. Idempotent."""
        self.stop()
        with self._opening:
            self._reconciler.stop()
            self._engine.close(timeout)
            self._guarded(self._runner.give_back)
            self._runner.close()
            self._database.close()

    def _guarded(self, call: Callable[[], None]) -> None:
        """Call what is only a favour to those that are being executed."""
        try:
            call()
        except DatabaseUnavailable as problem:
            logger.warning("what is being executed is left as it is: %s", describe(problem))

    @property
    def runbooks(self) -> Collection[Runbook[..., Any]]:
        """The runbooks that are served."""
        return self._runbooks.by_slug.values()

    @property
    def tasks(self) -> Collection[Task[..., Any]]:
        """The tasks that are served."""
        return self._tasks.by_slug.values()

    def runbook(self, names: Mapping[str, str]) -> Runbook[..., Any]:
        """Return the runbook that `names` names by `id`, `slug` or both."""
        return _find(self._runbooks, names, "runbook")

    def task(self, names: Mapping[str, str]) -> Task[..., Any]:
        """Return the task that `names` names by `id`, `slug` or both."""
        return _find(self._tasks, names, "task")

    def execute_runbook(
        self, names: Mapping[str, str], values: Mapping[str, Any], env_slug: str | None, origin: Origin
    ) -> Session:
        """Start a session of the runbook that `names` names by `id`, `slug` or both."""
        runbook = self.runbook(names)
        run = self._new_root_run(RunKind.RUNBOOK, runbook, values, env_slug, origin)
        session = Session(
            id="ses" + origin.seed,
            run_id=run.id,
            runbook_id=runbook.id,
            name=runbook.name,
            param_values=run.param_values,
            params=run.params,
            created_by=origin.by,
        )
        run = msgspec.structs.replace(run, session_id=session.id, source=runbook.code.source)
        run = msgspec.structs.replace(run, trace_context=self.tracing.started(run))
        self.store.add(run, session)
        self._engine.start(run.job_id)
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
        run = self._new_root_run(RunKind.TASK, self.task(names), values, env_slug, origin)
        run = msgspec.structs.replace(run, resources=dict(resources))
        run = msgspec.structs.replace(run, trace_context=self.tracing.started(run))
        self.store.add(run)
        self._engine.start(run.job_id)
        return run

    def cancel_run(self, run_id: str, origin: Origin) -> None:
        """Cancel a run that has not ended, and with it the session it belongs to."""
        root = self.store.cancel(run_id, origin.by, origin.seed)
        self.tracing.ended(root, Outcome.cancelled())
        self._runner.interrupt(root.id)
        self._engine.cancel(root.job_id)

    def fail_session(self, session_id: str, message: str, origin: Origin) -> None:
        """Fail a session that is held, on behalf of the one who runs the server."""
        if origin.by != API_USER:
            raise Forbidden("operators_only", "this takes the server's own key")
        run = self.run(self.session(session_id).run_id)
        outcome = Outcome.failed(Failure("CodeChanged", message))
        if why_held(run) is None or not self.store.finish(run.id, outcome, run.fencing_token):
            raise Conflict("session_not_held", "the session is not held, so nothing was changed")
        self.tracing.ended(run, outcome)

    def why_held(self, run_id: str) -> str | None:
        """Say why the session is held that a run belongs to, None if it is not."""
        run = self.run(run_id)
        return why_held(run if run.root_id is None else self.run(run.root_id))

    def submit_prompt(self, prompt_id: str, values: Mapping[str, Any], origin: Origin) -> None:
        """Answer an open prompt with values that fit its fields."""
        prompt = self.prompt(prompt_id)
        self.check_reviewer(prompt, origin.user)
        root = self.run(prompt.root_id)
        _refuse_closed(prompt, root)
        asked = unseal(prompt, self.vault)
        values = typed(asked.parameters, meant(prompt, asked, values))
        if prompt.is_open:  # to an answered prompt, the store's refusal is the better news
            read_all(asked.parameters, values, "values")
        filled = fill(asked.parameters, values)
        secrets = self._secrets(root)
        secrets.add(Secrets.of(asked.parameters, filled))
        shown, sealed = self._shown(asked.parameters, filled, secrets, "values")
        self._answer(prompt_id, shown, origin, sealed)

    def cancel_prompt(self, prompt_id: str, origin: Origin) -> None:
        """Cancel an open prompt."""
        prompt = self.prompt(prompt_id)
        self.check_reviewer(prompt, origin.user)
        _refuse_closed(prompt, self.run(prompt.root_id))
        self._answer(prompt_id, None, origin)

    def check_reviewer(self, prompt: Prompt, user: User) -> None:
        """Raise Forbidden if the user may neither answer nor cancel the prompt."""
        check_reviewer(unseal(prompt, self.vault).reviewers, user, self.run(prompt.root_id).created_by)

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

    def steps(self, run_id: str) -> Sequence[Run]:
        """Return the runs of a runbook's steps and prompts in the order of their start, without what they hold."""
        return self.store.outline(run_id)

    def brief(self, run_ids: Sequence[str]) -> Mapping[str, Run]:
        """Return these runs by their IDs, without what is too long for a list."""
        return {run.id: run for run in self.store.brief(run_ids)}

    def runbook_names(self) -> Mapping[str, str]:
        """Return the labels of the runbooks served, by ID."""
        return {runbook.id: runbook.name for runbook in self._runbooks.by_id.values()}

    def environment(self, slug: str | None) -> str:
        """Return the environment's slug, the default one's for None."""
        if slug is None:
            return self._default_environment
        if self._environments is not None and slug not in self._environments:
            _missing("environment", slug)
        return slug

    def _new_root_run(
        self,
        kind: RunKind,
        item: Runbook[..., Any] | Task[..., Any],
        values: Mapping[str, Any],
        env_slug: str | None,
        origin: Origin,
    ) -> Run:
        values = typed(item.parameters, values)
        item.arguments(values)
        filled = fill(item.parameters, values)
        secrets = Secrets.of(item.parameters, filled)
        shown, sealed = self._shown(item.parameters, filled, secrets, "paramValues")
        return Run(
            id="run" + origin.seed,
            kind=kind,
            task_id=item.id,
            slug=item.slug,
            name=item.name,
            param_values=shown,
            sealed_values=sealed,
            params=hide_all(item.parameters),
            env_slug=self.environment(env_slug),
            created_by=origin.by,
            timeout=item.timeout,
        )

    def _answer(self, prompt_id: str, values: bytes | None, origin: Origin, sealed: bytes | None = None) -> None:
        prompt = self.store.answer(prompt_id, values, origin.by, origin.seed, sealed)
        go_on(self.store, self._engine, self.tracing, prompt)

    def _secrets(self, root: Run) -> Secrets:
        if root.sealed_values is None:
            return Secrets()
        return Secrets.of(root.params, decode(self.vault.open(root.sealed_values)))

    def _shown(
        self, parameters: Sequence[Parameter], values: Mapping[str, Any], secrets: Secrets, root: str
    ) -> tuple[bytes, bytes | None]:
        """Encode values as anybody may see them, and sealed if that hides anything."""
        whole = _encoded(values, root)
        hidden = {parameter.slug for parameter in parameters if parameter.secret}
        masked = {
            slug: MASK if slug in hidden and value is not None else secrets.mask_value(value)
            for slug, value in values.items()
        }
        shown = _encoded(masked, root)
        return shown, None if shown == whole else self.vault.seal(whole)

    def _work(self, job_id: str) -> bool:
        run_id, _, segment = job_id.rpartition(".")
        return self._runner.work(run_id, int(segment))


def _refuse_closed(prompt: Prompt, root: Run) -> None:
    """Refuse what is held, whose time does not run; else hold to the time limit, though nobody has expired it yet."""
    if prompt.is_open and why_held(root) is not None:
        raise refusal(root)
    if prompt.is_open and prompt.is_late:
        raise Conflict("prompt_expired", "the prompt has expired")


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
