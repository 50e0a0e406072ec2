"""Request and reply of each operation of the client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from airplane_runbooks import Airplane, CallOptions, ConfigurationError, ParamValueError
from airplane_runbooks.models import ExecuteRunbook, RunStatus, SessionStatus
from airplane_runbooks.operations import EXECUTE_RUNBOOK
from airplane_runbooks.testing import FakeTransport, json_response

Call = Callable[[Airplane], Any]

SESSION = {"id": "ses1", "status": "Waiting", "paramValues": {"limit": 20}}
RUN = {"id": "run1", "status": "Active", "sessionID": "ses1"}
PROMPT = {"id": "pmt1", "runID": "run1", "schema": {"parameters": [{"slug": "ok", "type": "boolean"}]}}


def client(transport: FakeTransport, **options: Any) -> Airplane:
    return Airplane("tkn_test", base_url="http://localhost/v0", transport=transport, **options)


READS: list[tuple[Call, str, dict[str, Any]]] = [
    (lambda a: a.sessions.get("ses1").status, "/v0/sessions/get?id=ses1", SESSION),
    (lambda a: a.sessions.list_page(limit=2, page=1), "/v0/sessions/list?limit=2&page=1", {"sessions": [SESSION]}),
    (lambda a: a.runs.get("run1"), "/v0/runs/get?id=run1", RUN),
    (lambda a: a.runs.get_outputs("run1"), "/v0/runs/getOutputs?id=run1", {"output": 1}),
    (lambda a: a.runs.list_page(task_slug="t"), "/v0/runs/list?taskSlug=t", {"runs": [RUN]}),
    (lambda a: a.prompts.get("pmt1"), "/v0/prompts/get?id=pmt1", {"prompt": PROMPT}),
    (lambda a: a.runbooks.list(), "/ext/v0/runbooks/list", {"runbooks": [{"id": "rbk1", "slug": "refund"}]}),
    (lambda a: a.tasks.list(), "/v0/tasks/list", {"tasks": [{"taskID": "tsk1", "slug": "clean"}]}),
    (lambda a: a.uploads.get("upl1"), "/v0/uploads/get?id=upl1", {"upload": {"id": "upl1"}}),
    (lambda a: a.prompts.list("run1"), "/v0/prompts/list?runID=run1", {"prompts": [PROMPT]}),
]

WRITES: list[tuple[Call, str, dict[str, Any], dict[str, Any]]] = [
    (
        lambda a: a.runbooks.execute("hello", param_values={"limit": 20}),
        "/v0/runbooks/execute",
        {"slug": "hello", "paramValues": {"limit": 20}},
        {"sessionID": "ses1"},
    ),
    (
        lambda a: a.runbooks.execute(id="rbk1"),
        "/v0/runbooks/execute",
        {"id": "rbk1", "paramValues": {}},
        {"sessionID": "ses1"},
    ),
    (
        lambda a: a.tasks.execute("t", param_values={"a": None}, resources={"db": "res1"}, allow_cached_max_age=60),
        "/v0/tasks/execute",
        {"slug": "t", "paramValues": {"a": None}, "resources": {"db": "res1"}, "allowCachedMaxAge": 60},
        {"runID": "run1"},
    ),
    (lambda a: a.runs.cancel("run1"), "/v0/runs/cancel", {"runID": "run1"}, {}),
    (lambda a: a.sessions.cancel("ses1"), "/ext/v0/sessions/cancel", {"id": "ses1"}, {}),
    (lambda a: a.sessions.delete("ses1"), "/ext/v0/sessions/delete", {"id": "ses1"}, {}),
    (lambda a: a.sessions.release("ses1"), "/ext/v0/sessions/release", {"id": "ses1"}, {"released": 1}),
    (lambda a: a.sessions.release_all(), "/ext/v0/sessions/release", {"all": True}, {"released": 7}),
    (
        lambda a: a.prompts.submit("pmt1", values={"ok": True}),
        "/v0/prompts/submit",
        {"id": "pmt1", "values": {"ok": True}},
        {"id": "pmt1"},
    ),
    (lambda a: a.prompts.cancel("pmt1"), "/v0/prompts/cancel", {"id": "pmt1"}, {"id": "pmt1"}),
]


@pytest.mark.parametrize(("call", "target", "reply"), READS)
def test_a_read_is_a_get_with_a_query_and_no_key(call: Call, target: str, reply: dict[str, Any]) -> None:
    transport = FakeTransport([json_response(reply)])
    call(client(transport))
    (request,) = transport.requests
    assert (request.method, request.target, request.body) == ("GET", target, None)
    assert "idempotency-key" not in request.headers
    assert "content-type" not in request.headers


@pytest.mark.parametrize(("call", "target", "body", "reply"), WRITES)
def test_a_write_is_a_post_of_json_with_a_key(
    call: Call, target: str, body: dict[str, Any], reply: dict[str, Any]
) -> None:
    transport = FakeTransport([json_response(reply)])
    call(client(transport))
    (request,) = transport.requests
    assert (request.method, request.target) == ("POST", target)
    assert request.body is not None
    assert msgspec.json.decode(request.body) == body
    assert request.headers["content-type"] == "application/json"
    assert len(request.headers["idempotency-key"]) == 36


def test_every_request_carries_the_key_and_says_who_asks() -> None:
    transport = FakeTransport([json_response(SESSION)])
    client(transport).sessions.get("ses1")
    headers = transport.requests[0].headers
    assert headers["x-airplane-api-key"] == "tkn_test"
    assert headers["user-agent"].startswith("airplane-runbooks/")
    assert headers["accept"] == "application/json"


def test_replies_become_models() -> None:
    transport = FakeTransport(
        [
            json_response({"sessionID": "ses1"}),
            json_response(SESSION),
            json_response(RUN),
            json_response({"output": {"rows": [1, None]}}),
            json_response({"prompt": PROMPT}),
            json_response({"runID": "run9", "isCached": True}),
            json_response({"id": "pmt1"}),
        ]
    )
    airplane = client(transport)
    assert airplane.runbooks.execute("x").session_id == "ses1"
    assert airplane.sessions.get("ses1").status is SessionStatus.WAITING
    assert airplane.runs.get("run1").status is RunStatus.ACTIVE
    assert airplane.runs.get_outputs("run1").output == {"rows": [1, None]}
    assert airplane.prompts.get("pmt1").is_open
    assert airplane.tasks.execute("t").is_cached
    assert airplane.prompts.submit("pmt1").id == "pmt1"


def test_cancelling_a_run_asks_nothing_of_the_reply() -> None:
    transport = FakeTransport([json_response({}), json_response({"anything": 1})])
    airplane = client(transport)
    airplane.runs.cancel("run1")
    airplane.runs.cancel("run1")


class TestEnvironments:
    def test_execute_sends_its_environment_as_query_and_header(self) -> None:
        transport = FakeTransport([json_response({"sessionID": "ses1"})])
        client(transport).runbooks.execute("x", env_slug="prod eu")
        assert transport.requests[0].target == "/v0/runbooks/execute?envSlug=prod+eu"
        assert transport.requests[0].headers["x-airplane-env-slug"] == "prod eu"

    def test_an_environment_by_id_is_sent_as_a_header_alone(self) -> None:
        transport = FakeTransport([json_response({"runID": "run1"})])
        client(transport).tasks.execute("x", env_id="env1")
        assert transport.requests[0].target == "/v0/tasks/execute"
        assert transport.requests[0].headers["x-airplane-env-id"] == "env1"

    def test_every_request_carries_the_environment_of_the_client(self) -> None:
        transport = FakeTransport([json_response({"sessionID": "ses1"}), json_response(SESSION)])
        airplane = client(transport, env_slug="prod")
        airplane.runbooks.execute("x")
        airplane.sessions.get("ses1")
        assert [request.target for request in transport.requests] == [
            "/v0/runbooks/execute?envSlug=prod",
            "/v0/sessions/get?id=ses1",
        ]
        assert all(request.headers["x-airplane-env-slug"] == "prod" for request in transport.requests)

    def test_the_environment_of_a_call_replaces_that_of_the_client(self) -> None:
        transport = FakeTransport([json_response({"sessionID": "ses1"})])
        client(transport, env_slug="prod", env_id="env1").runbooks.execute("x", env_slug="dev")
        headers = transport.requests[0].headers
        assert headers["x-airplane-env-slug"] == "dev"
        assert "x-airplane-env-id" not in headers

    def test_the_environment_of_a_call_joins_its_other_options(self) -> None:
        transport = FakeTransport([json_response({"sessionID": "ses1"})])
        client(transport).runbooks.execute("x", env_slug="dev", options=CallOptions(timeout=5))
        assert transport.requests[0].headers["x-airplane-env-slug"] == "dev"
        assert transport.timeouts[0] <= 5


class TestRefusals:
    """Arguments that cannot work are refused before anything is sent."""

    @pytest.mark.parametrize(
        ("call", "word"),
        [
            (lambda a: a.runbooks.execute(), "id or slug"),
            (lambda a: a.runbooks.execute(id="", slug=""), "id or slug"),
            (lambda a: a.tasks.execute(), "id or slug"),
            (lambda a: a.sessions.get(""), "id"),
            (lambda a: a.sessions.cancel(""), "id"),
            (lambda a: a.sessions.release(""), "id"),
            (lambda a: a.sessions.delete(""), "id"),
            (lambda a: a.runs.cancel(""), "run_id"),
            (lambda a: a.prompts.list(""), "run_id"),
            (lambda a: a.sessions.list_page(limit=51), "limit"),
            (lambda a: a.runs.list_page(limit=0), "limit"),
            (lambda a: a.runs.list_page(page=-1), "page"),
            (lambda a: a.runs.list_page(since=datetime(2024, 1, 1)), "since"),  # noqa: DTZ001 - that is the point
            (lambda a: a.runbooks.execute("x", env_slug="a\nb"), "x-airplane-env-slug"),
            (lambda a: a.runbooks.execute("x", options=CallOptions(timeout=0)), "timeout"),
            (lambda a: a.runbooks.execute("x", options=CallOptions(idempotency_key="a\rb")), "idempotency-key"),
        ],
    )
    def test_bad_arguments_are_named(self, call: Call, word: str) -> None:
        transport = FakeTransport([])
        with pytest.raises(ConfigurationError, match=word) as caught:
            call(client(transport))
        assert isinstance(caught.value, ValueError)
        assert transport.requests == []

    def test_bad_values_are_named_by_their_path(self) -> None:
        transport = FakeTransport([])
        with pytest.raises(ParamValueError, match=r"param_values\.rows\[1\]\.at") as caught:
            client(transport).runbooks.execute("x", param_values={"rows": [1, {"at": float("nan")}]})
        assert caught.value.operation == "runbooks.execute"
        assert caught.value.attempts == 0
        assert not caught.value.maybe_processed
        with pytest.raises(ParamValueError, match="must be a mapping"):
            client(transport).runbooks.execute("x", param_values=[])  # type: ignore[arg-type]
        with pytest.raises(ParamValueError, match=r"^values\.when"):
            client(transport).prompts.submit("pmt1", values={"when": b"now"})
        assert transport.requests == []


class TestLists:
    def test_all_pages_are_fetched_until_one_is_not_full(self) -> None:
        pages = [[{**SESSION, "id": f"ses{page}{item}"} for item in range(2)] for page in range(2)]
        transport = FakeTransport([json_response({"sessions": page}) for page in [*pages, [SESSION]]])
        listed = [session.id for session in client(transport).sessions.list(page_size=2, runbook_id="rbk1")]
        assert listed == ["ses00", "ses01", "ses10", "ses11", "ses1"]
        assert [request.target.partition("?")[2] for request in transport.requests] == [
            f"runbookID=rbk1&limit=2&page={page}" for page in range(3)
        ]

    def test_a_page_is_fetched_only_when_it_is_reached(self) -> None:
        transport = FakeTransport([json_response({"runs": [RUN, {**RUN, "id": "run2"}]})])
        runs = client(transport).runs.list(page_size=2)
        assert transport.requests == []
        next(runs)
        next(runs)
        assert len(transport.requests) == 1

    def test_times_go_out_in_utc_with_a_z(self) -> None:
        transport = FakeTransport([json_response({"runs": []})])
        when = datetime(2024, 5, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))
        assert list(client(transport).runs.list(since=when, until=datetime(2024, 6, 1, tzinfo=UTC))) == []
        assert "since=2024-05-01T10%3A30%3A00Z&until=2024-06-01T00%3A00%3A00Z" in transport.requests[0].target


def test_call_tells_everything_around_the_reply() -> None:
    transport = FakeTransport([json_response({"sessionID": "ses1"}, headers={"x-request-id": "req7"})])
    reply = client(transport).call(
        EXECUTE_RUNBOOK, ExecuteRunbook(slug="x"), options=CallOptions(idempotency_key="mine", headers={"X-Team": "a"})
    )
    assert reply.data.session_id == "ses1"
    assert (reply.request_id, reply.attempts, reply.idempotency_key) == ("req7", 1, "mine")
    assert reply.response.status == 200
    assert reply.elapsed >= 0
    assert transport.requests[0].headers["x-team"] == "a"
    assert transport.requests[0].headers["idempotency-key"] == "mine"
