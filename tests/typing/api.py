"""The public API as a type checker sees it. Checked by mypy and pyright, never run.

Every ignored line must be an error to both: mypy warns of ignores it does not need, and so does pyright, told so here.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, assert_type

from airplane_runbooks import (
    NO_RETRY,
    Airplane,
    AirplaneError,
    AnsweredPrompt,
    APIError,
    AsyncAirplane,
    AsyncTransport,
    Bundle,
    CallOptions,
    ConfigVar,
    DeadlineExceeded,
    DecodeError,
    Headers,
    Middleware,
    Next,
    ParamValue,
    ParamValueError,
    Prompt,
    Reply,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Run,
    Runbook,
    RunOutputs,
    RunStatus,
    Secret,
    Session,
    SessionStatus,
    Settings,
    StartedRun,
    StartedSession,
    Task,
    Transport,
    TransportError,
    Upload,
    __version__,
)
from airplane_runbooks.models import (
    CancelledRun,
    CancelPrompt,
    CancelRun,
    ExecuteRunbook,
    ExecuteTask,
    GetPrompt,
    GetRun,
    GetSession,
    ListPrompts,
    ListRuns,
    ListSessions,
    LogLine,
    Parameter,
    ParameterType,
    Permission,
    PromptPage,
    PromptReply,
    Role,
    RunPage,
    SessionPage,
    SubmitPrompt,
    decode,
    parse_timestamp,
)
from airplane_runbooks.operations import (
    CANCEL_PROMPT,
    CANCEL_RUN,
    EXECUTE_RUNBOOK,
    EXECUTE_TASK,
    GET_PROMPT,
    GET_RUN,
    GET_RUN_OUTPUTS,
    GET_SESSION,
    LIST_PROMPTS,
    LIST_RUNS,
    LIST_SESSIONS,
    SUBMIT_PROMPT,
    Operation,
)
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response


class OwnTransport:
    """A transport, by its shape alone."""

    def send(self, request: Request, timeout: float | None, /) -> Response:
        assert_type(request.headers, Headers)
        assert_type(request.url, str)
        assert_type(request.body, bytes | None)
        return Response(status=200, headers=Headers({"content-type": "application/json"}), body=b"{}")

    def close(self) -> None: ...


class OwnAsyncTransport:
    async def send(self, request: Request, timeout: float | None, /) -> Response:
        return Response(status=200, headers=Headers(), body=b"")

    async def aclose(self) -> None: ...


class AnswersText:
    """No transport: it answers with something else."""

    def send(self, request: Request, timeout: float | None, /) -> str:
        return request.url

    def close(self) -> None: ...


class HoldsOpen:
    """No transport: it cannot be closed."""

    def send(self, request: Request, timeout: float | None, /) -> Response:
        raise TransportError(request.url)


class OwnLayer:
    """A middleware, by its shape alone."""

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        response = await call_next(request.with_header("x-trace", "1"))
        assert_type(response, Response)
        return response


async def own_layer(request: Request, call_next: Next, /) -> Response:
    return await call_next(request.next_attempt())


def not_a_coroutine(request: Request, call_next: Next, /) -> Response:
    raise AirplaneError(request.operation)


async def takes_no_next(request: Request, /) -> Response:
    raise AirplaneError(request.operation)


class OwnClient(Airplane):
    """A client that an SDK extends."""

    def hello(self) -> StartedSession:
        return self.runbooks.execute("hello")


def clients(options: dict[str, str], provider: Callable[[], str]) -> None:
    assert_type(Airplane(), Airplane)
    assert_type(Airplane("tkn_1", base_url="https://h/v0", env_slug="prod", timeout=3, attempt_timeout=None), Airplane)
    assert_type(Airplane(provider, env_id="env1", headers=options, allow_insecure_http=True), Airplane)
    Airplane(transport=OwnTransport(), middleware=[OwnLayer(), own_layer], attempt_middleware=(own_layer,))
    Airplane(transport=FakeTransport([json_response({})]), clock=FakeClock())
    Airplane(retry=RetryPolicy(max_attempts=3), retry_budget=RetryBudget(10, 1))
    Airplane(retry=NO_RETRY, retry_budget=None, tracer_provider=None, meter_provider=None, propagator=None)
    Airplane(suppress_http_instrumentation=False, opt_in_attributes={"url.template"})
    Airplane(opt_in_attributes=[1])  # type: ignore[list-item]

    Airplane(b"tkn_1")  # type: ignore[arg-type]
    Airplane("tkn_1", "https://h/v0")  # type: ignore[call-arg]
    Airplane(transport=AnswersText())  # type: ignore[arg-type]
    Airplane(transport=HoldsOpen())  # type: ignore[arg-type]
    Airplane(transport=OwnAsyncTransport())  # type: ignore[arg-type]
    Airplane(middleware=[not_a_coroutine])  # type: ignore[list-item]
    Airplane(attempt_middleware=[takes_no_next])  # type: ignore[list-item]
    Airplane(middleware=OwnLayer())  # type: ignore[arg-type]
    Airplane(timeout="3")  # type: ignore[arg-type]
    Airplane(retry=3)  # type: ignore[arg-type]
    Airplane(api_kee="tkn_1")  # type: ignore[call-arg]


def protocols(carry: Callable[[Transport], None], carry_async: Callable[[AsyncTransport], None]) -> list[Middleware]:
    carry(OwnTransport())
    carry(FakeTransport([]))
    carry_async(OwnAsyncTransport())

    carry(OwnAsyncTransport())  # type: ignore[arg-type]
    carry(AnswersText())  # type: ignore[arg-type]
    carry_async(OwnTransport())  # type: ignore[arg-type]
    return [OwnLayer(), own_layer]


def requests(headers: Headers) -> None:
    request = Request(method="GET", origin="https://h", target="/v0/runs/get?id=run1", headers=headers, body=None)
    assert_type(request.with_header("x-a", "1"), Request)
    assert_type(request.operation, str)
    assert_type(request.add_credentials(headers), None)

    Request(method="GET", origin="https://h", target="/", headers=headers)  # type: ignore[call-arg]
    Request(method="GET", origin="https://h", target="/", headers={}, body=None)  # type: ignore[arg-type]
    Request(method="GET", origin="https://h", target="/", headers=headers, body=None, call=1)  # type: ignore[call-arg]


def derived_clients(airplane: Airplane, own: OwnClient) -> None:
    assert_type(airplane.with_options(timeout=1), Airplane)
    assert_type(own.with_options(timeout=None, headers={"a": "b"}, env_slug=None, retry=NO_RETRY), OwnClient)
    assert_type(own.with_options(env_id="env1").hello(), StartedSession)
    with OwnClient() as entered:
        assert_type(entered, OwnClient)
    assert_type(airplane.close(), None)

    airplane.with_options(api_key="tkn_2")  # type: ignore[call-arg]
    airplane.with_options(timeout="1")  # type: ignore[arg-type]


def bundles(layer: Middleware) -> None:
    bundle = Bundle(middleware=(layer,), options=CallOptions(timeout=1), attributes={"team": "a"}, user_agent="acme/1")
    assert_type(Airplane(bundles=[bundle]), Airplane)
    assert_type(AsyncAirplane(bundles=(bundle,)), AsyncAirplane)

    Airplane(bundles=bundle)  # type: ignore[arg-type]
    Bundle(middleware=[layer])  # type: ignore[arg-type]
    Bundle(headers={"a": "b"})  # type: ignore[call-arg]


def runbooks(airplane: Airplane, options: CallOptions, values: Mapping[str, ParamValue]) -> None:
    started = airplane.runbooks.execute(id="rbk1", param_values=values, env_slug="prod", options=options)
    assert_type(started, StartedSession)
    assert_type(started.session_id, str)
    assert_type(airplane.runbooks.execute("hello", param_values={"limit": 20}, env_id=None), StartedSession)

    assert_type(airplane.runbooks.execute("hello", {"limit": 20}, timeout=5), StartedSession)
    assert_type(airplane.runbooks.execute("hello", timeout=None), StartedSession)

    assert_type(airplane.runbooks.list(), tuple[Runbook, ...])
    assert_type(airplane.tasks.list(), tuple[Task, ...])
    assert_type(airplane.sessions.cancel("ses1"), None)
    assert_type(airplane.sessions.release("ses1"), None)
    assert_type(airplane.sessions.delete("ses1"), None)
    assert_type(airplane.sessions.release_all(), int)

    airplane.runbooks.execute("hello", "prod")  # type: ignore[arg-type]
    airplane.runbooks.execute("hello", {}, "prod")  # type: ignore[call-arg]
    airplane.runbooks.execute({"limit": 20})  # type: ignore[arg-type]
    airplane.runbooks.execute("hello", timeout="5")  # type: ignore[arg-type]
    airplane.runbooks.execute(id=1)  # type: ignore[arg-type]
    airplane.runbooks.execute(id="rbk1", param_values=[1])  # type: ignore[arg-type]
    started.session_id = "ses2"  # type: ignore[misc]


def sessions(airplane: Airplane, since: datetime) -> None:
    session = airplane.sessions.get("ses1")
    assert_type(session, Session)
    assert_type(session.status, SessionStatus)
    assert_type(session.status.is_terminal, bool)
    assert_type(session.created_at, datetime | None)
    assert_type(session.params, tuple[Parameter, ...])
    assert_type(session.param_values, dict[str, Any])
    assert_type(session.permissions, tuple[Permission, ...])
    assert_type(airplane.sessions.list(), Iterator[Session])
    assert_type(airplane.sessions.list(runbook_id="rbk1", updated_after=since, page_size=10), Iterator[Session])
    assert_type(airplane.sessions.list_page(updated_before=since, limit=50, page=1), tuple[Session, ...])

    airplane.sessions.get()  # type: ignore[call-arg]
    airplane.sessions.list(updated_after="2024-01-01")  # type: ignore[arg-type]
    airplane.sessions.list_page(page_size=10)  # type: ignore[call-arg]


def runs(airplane: Airplane, since: datetime) -> None:
    run = airplane.runs.get("run1", options=CallOptions(timeout=1))
    assert_type(run, Run)
    assert_type(run.status, RunStatus)
    assert_type(run.session_id, str | None)
    assert_type(run.resources, dict[str, str])
    assert_type(run.permissions[0].role_id, Role | None)
    assert_type(airplane.runs.get_outputs("run1"), RunOutputs)
    assert_type(airplane.runs.get_outputs("run1").output, Any)
    assert_type(airplane.runs.logs("run1", after="1.2", timeout=1), Iterator[LogLine])
    assert_type(airplane.sessions.steps("ses1", logs=True)[0].logs, tuple[LogLine, ...])
    assert_type(airplane.runs.list(task_slug="t", since=since, page_size=50), Iterator[Run])
    assert_type(airplane.runs.list_page(task_id="tsk1", until=since, limit=1, page=0), tuple[Run, ...])
    assert_type(airplane.runs.cancel("run1"), None)

    airplane.runs.get(id=None)  # type: ignore[arg-type]
    airplane.runs.list(page=1)  # type: ignore[call-arg]


def tasks(airplane: Airplane) -> None:
    started = airplane.tasks.execute("t", param_values={}, resources={"db": "res1"}, allow_cached_max_age=60)
    assert_type(started, StartedRun)
    assert_type(started.run_id, str)
    assert_type(started.is_cached, bool)

    airplane.tasks.execute("t", resources={"db": 1})  # type: ignore[dict-item]


def prompts(airplane: Airplane) -> None:
    prompt = airplane.prompts.get("pmt1")
    assert_type(prompt, Prompt)
    assert_type(prompt.is_open, bool)
    assert_type(prompt.schema.parameters[0].type, ParameterType)
    assert_type(airplane.prompts.list("run1"), tuple[Prompt, ...])
    assert_type(airplane.prompts.submit("pmt1", values={"ok": True}), AnsweredPrompt)
    assert_type(airplane.prompts.cancel("pmt1"), AnsweredPrompt)
    assert_type(airplane.prompts.submit("pmt1", {"ok": True}), AnsweredPrompt)

    airplane.prompts.submit("pmt1", [True])  # type: ignore[arg-type]


def raw_calls(airplane: Airplane, options: CallOptions) -> None:
    reply = airplane.call(EXECUTE_RUNBOOK, ExecuteRunbook(id="rbk1"), options=options)
    assert_type(reply, Reply[StartedSession])
    assert_type(reply.data, StartedSession)
    assert_type(reply.response, Response)
    assert_type(reply.request_id, str | None)
    assert_type(reply.attempts, int)
    assert_type(reply.elapsed, float)
    assert_type(reply.idempotency_key, str | None)
    assert_type(airplane.call(GET_SESSION, GetSession(id="ses1")), Reply[Session])
    assert_type(airplane.call(LIST_SESSIONS, ListSessions(limit=5)), Reply[SessionPage])
    assert_type(airplane.call(EXECUTE_TASK, ExecuteTask(slug="t")), Reply[StartedRun])
    assert_type(airplane.call(GET_RUN, GetRun(id="run1")), Reply[Run])
    assert_type(airplane.call(GET_RUN_OUTPUTS, GetRun(id="run1")), Reply[RunOutputs])
    assert_type(airplane.call(LIST_RUNS, ListRuns()), Reply[RunPage])
    assert_type(airplane.call(CANCEL_RUN, CancelRun(run_id="run1")), Reply[CancelledRun])
    assert_type(airplane.call(GET_PROMPT, GetPrompt(id="pmt1")), Reply[PromptReply])
    assert_type(airplane.call(LIST_PROMPTS, ListPrompts(run_id="run1")), Reply[PromptPage])
    assert_type(airplane.call(SUBMIT_PROMPT, SubmitPrompt(id="pmt1")), Reply[AnsweredPrompt])
    assert_type(airplane.call(CANCEL_PROMPT, CancelPrompt(id="pmt1")), Reply[AnsweredPrompt])
    assert_type(EXECUTE_RUNBOOK, Operation[ExecuteRunbook, StartedSession])

    airplane.call(GET_RUN, GetSession(id="ses1"))  # type: ignore[misc]
    airplane.call("runs.get", GetRun(id="run1"))  # type: ignore[arg-type]
    ExecuteRunbook("rbk1")  # type: ignore[call-arg]
    GetRun()  # type: ignore[call-arg]


def values(now: datetime, send: Callable[[ParamValue], None]) -> Mapping[str, ParamValue]:
    rows: list[dict[str, int]] = [{"a": 1}]
    good: Mapping[str, ParamValue] = {
        "null": None,
        "flag": True,
        "share": 0.5,
        "day": date(2024, 1, 1),
        "at": now,
        "variable": ConfigVar("db"),
        "file": Upload("upl1"),
        "level": RunStatus.ACTIVE,
        "rows": rows,
        "pair": (1, "two", [None]),
        "nested": {"a": {"b": [now]}},
    }
    send({1, 2})  # type: ignore[arg-type]
    send(object())  # type: ignore[arg-type]
    send({1: "a"})  # type: ignore[dict-item]
    ConfigVar()  # type: ignore[call-arg]
    return good


def options_and_settings(environ: dict[str, str]) -> None:
    settings = Settings.from_env(environ)
    assert_type(settings, Settings)
    assert_type(settings.api_key, Secret | None)
    assert_type(Secret("tkn_1").reveal(), str)
    assert_type(CallOptions(timeout=1).over(CallOptions()), CallOptions)
    assert_type(RetryBudget().take(), bool)
    assert_type(RetryBudget().tokens, float)
    version: str = __version__
    environ["VERSION"] = version

    CallOptions(1)  # type: ignore[call-arg]
    CallOptions(retries=3)  # type: ignore[call-arg]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
    RetryPolicy(wait=1.0)  # type: ignore[arg-type]
    settings.env_slug = "x"  # type: ignore[misc]


def failures(airplane: Airplane, kind: type[BaseException] | None, trace: TracebackType | None) -> None:
    try:
        airplane.runs.get("run1")
    except APIError as failure:
        assert_type(failure.status, int)
        assert_type(failure.code, str | None)
        assert_type(failure.retry_after, float | None)
        assert_type(failure.headers, Headers)
        assert_type(failure.headers["x"], str)
        assert_type(failure.body, bytes)
    except ParamValueError as failure:
        assert_type(failure.path, str)
    except DecodeError as failure:
        assert_type(failure.response, Response)
    except TransportError as failure:
        assert_type(failure.sent, bool | None)
        assert_type(failure.transient, bool)
    except DeadlineExceeded as failure:
        assert_type(failure.retry_after, float | None)
    except AirplaneError as failure:
        assert_type(failure.operation, str | None)
        assert_type(failure.attempts, int)
        assert_type(failure.maybe_processed, bool)
    assert_type(airplane.__exit__(kind, None, trace), None)


def decoding(raw: bytes) -> None:
    assert_type(decode(raw, Session), Session)
    assert_type(parse_timestamp("2022-01-11 22:32:45+00"), datetime | None)
    assert_type(datetime.now(UTC).tzinfo is UTC, bool)
