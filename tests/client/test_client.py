"""The client as a whole: how it is built, cloned, extended and closed, and how it reads odd replies."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest

import airplane_runbooks
from airplane_runbooks import (
    Airplane,
    AsyncAirplane,
    CallOptions,
    ClientClosed,
    ConfigurationError,
    DecodeError,
    Headers,
    MiddlewareSuspended,
    Next,
    Request,
    Response,
    RetryPolicy,
    ServerError,
)
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport

OK = json_response({"sessionID": "ses1"})


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRPLANE_API_KEY", "AIRPLANE_API_HOST", "AIRPLANE_ENV_SLUG", "AIRPLANE_ENV_ID"):
        monkeypatch.delenv(name, raising=False)


class TestSettings:
    def test_the_environment_supplies_what_no_argument_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRPLANE_API_KEY", "tkn_env")
        monkeypatch.setenv("AIRPLANE_API_HOST", "http://localhost:4000")
        monkeypatch.setenv("AIRPLANE_ENV_SLUG", "staging")
        transport = FakeTransport([OK])
        Airplane(transport=transport).runbooks.execute("x")
        (request,) = transport.requests
        assert request.url == "http://localhost:4000/v0/runbooks/execute?envSlug=staging"
        assert request.headers["x-airplane-api-key"] == "tkn_env"

    def test_an_argument_takes_precedence_over_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRPLANE_API_KEY", "tkn_env")
        monkeypatch.setenv("AIRPLANE_API_HOST", "http://localhost:4000")
        monkeypatch.setenv("AIRPLANE_ENV_ID", "env1")
        transport = FakeTransport([OK])
        airplane = Airplane("tkn_arg", base_url="http://127.0.0.1/api/v0/", env_slug="prod", transport=transport)
        airplane.runbooks.execute("x")
        (request,) = transport.requests
        assert request.url == "http://127.0.0.1/api/v0/runbooks/execute?envSlug=prod"
        assert request.headers["x-airplane-api-key"] == "tkn_arg"
        assert "x-airplane-env-id" not in request.headers

    def test_the_hosted_address_is_the_default(self) -> None:
        assert repr(Airplane("tkn_test")) == "Airplane(base_url='https://api.airplane.dev/v0')"

    def test_a_client_without_a_key_is_not_built(self) -> None:
        with pytest.raises(ConfigurationError, match="AIRPLANE_API_KEY"):
            Airplane()

    @pytest.mark.parametrize("key", ["", "  ", "tkn\n", "tkn\x00", "tkñ"])
    def test_a_key_that_no_header_can_carry_is_refused(self, key: str) -> None:
        with pytest.raises(ConfigurationError, match="API key"):
            Airplane(key)

    def test_plain_http_to_another_machine_is_refused_unless_allowed(self) -> None:
        with pytest.raises(ConfigurationError, match="in the clear"):
            Airplane("tkn_test", base_url="http://api.example.com/v0")
        Airplane("tkn_test", base_url="http://api.example.com/v0", allow_insecure_http=True)

    @pytest.mark.parametrize("option", [{"timeout": 0}, {"timeout": -1.0}, {"attempt_timeout": "soon"}])
    def test_limits_that_cannot_work_are_refused(self, option: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=next(iter(option))):
            Airplane("tkn_test", **option)


class TestRotation:
    def test_a_callable_is_asked_for_the_key_before_each_attempt(self) -> None:
        keys = iter(["tkn_1", "tkn_2"])
        transport = FakeTransport([json_response({}, status=503), OK])
        Airplane(lambda: next(keys), transport=transport, clock=FakeClock()).runbooks.execute("x")
        assert [request.headers["x-airplane-api-key"] for request in transport.requests] == ["tkn_1", "tkn_2"]

    def test_a_callable_that_returns_no_key_is_told_so(self) -> None:
        transport = FakeTransport([])
        with pytest.raises(ConfigurationError, match="must be a string"):
            Airplane(lambda: None, transport=transport).runbooks.execute("x")  # type: ignore[arg-type,return-value]


class TestClones:
    def test_clones_share_the_transport_and_change_what_is_named(self) -> None:
        transport = FakeTransport([OK, OK, OK])
        airplane = Airplane("tkn_test", transport=transport, timeout=10, headers={"X-A": "1"}, env_slug="prod")
        clone = airplane.with_options(timeout=2, headers={"X-B": "2"})
        clone.runbooks.execute("x")
        airplane.runbooks.execute("x")
        clone.with_options(env_id="env1").runbooks.execute("x")
        first, second, third = transport.requests
        assert (first.headers["x-a"], first.headers["x-b"]) == ("1", "2")
        assert "x-b" not in second.headers
        assert "x-airplane-env-slug" not in third.headers
        assert [timeout <= 2 for timeout in transport.timeouts] == [True, False, True]

    def test_clones_have_resources_of_their_own(self) -> None:
        airplane = Airplane("tkn_test", transport=FakeTransport([]))
        assert airplane.with_options(timeout=2).runbooks is not airplane.runbooks

    def test_clones_refuse_bad_options_at_once(self) -> None:
        with pytest.raises(ConfigurationError, match="timeout"):
            Airplane("tkn_test", transport=FakeTransport([])).with_options(timeout=-2)


class TestCallOptions:
    def test_call_options_are_checked_once_and_remembered(self) -> None:
        transport = FakeTransport([OK, OK, OK])
        airplane = Airplane("tkn_test", transport=transport)
        for _ in range(2):
            airplane.runbooks.execute("x", options=CallOptions(attempt_timeout=3))
        airplane.runbooks.execute("x", options=CallOptions(headers={"X-Once": "1"}))
        assert transport.timeouts[:2] == [3, 3]
        assert "x-once" in transport.requests[2].headers

    def test_the_key_of_the_caller_may_come_as_a_header_too(self) -> None:
        transport = FakeTransport([OK])
        Airplane("tkn_test", transport=transport).runbooks.execute(
            "x", options=CallOptions(headers={"Idempotency-Key": "mine"})
        )
        assert transport.requests[0].headers["idempotency-key"] == "mine"


class Recorder:
    """A middleware that records when it is entered and left."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        self.log.append(f"{self.name} {request.attempt} key={'idempotency-key' in request.headers}")
        assert "x-airplane-api-key" not in request.headers
        response = await call_next(request.with_header(f"X-{self.name}", "1"))
        self.log.append(f"{self.name} {response.status}")
        return response


class TestMiddleware:
    def test_middleware_stands_around_calls_or_around_attempts(self) -> None:
        log: list[str] = []
        transport = FakeTransport([json_response({}, status=503), OK])
        airplane = Airplane(
            "tkn_test",
            transport=transport,
            clock=FakeClock(),
            middleware=[Recorder("Outer", log), Recorder("Inner", log)],
            attempt_middleware=[Recorder("Attempt", log)],
        )
        airplane.runbooks.execute("x")
        assert log == [
            "Outer 1 key=False",
            "Inner 1 key=False",
            "Attempt 1 key=True",
            "Attempt 503",
            "Attempt 2 key=True",
            "Attempt 200",
            "Inner 200",
            "Outer 200",
        ]
        assert {"x-outer", "x-inner", "x-attempt"} <= set(transport.requests[1].headers)

    def test_middleware_may_replace_responses_with_error_statuses(self) -> None:
        async def rescue(request: Request, call_next: Next, /) -> Response:
            response = await call_next(request)
            assert response.status == 404
            return OK

        transport = FakeTransport([json_response({}, status=404)])
        airplane = Airplane("tkn_test", transport=transport, middleware=[rescue])
        assert airplane.runbooks.execute("x").session_id == "ses1"

    def test_middleware_that_suspends_is_refused_by_name(self) -> None:
        async def waits_for_a_loop(request: Request, call_next: Next, /) -> Response:
            await asyncio.sleep(0)
            return await call_next(request)

        transport = FakeTransport([])
        airplane = Airplane("tkn_test", transport=transport, middleware=[waits_for_a_loop])
        with pytest.raises(MiddlewareSuspended, match="waits_for_a_loop"):
            airplane.runbooks.execute("x")

    def test_a_sync_client_works_inside_of_a_running_loop(self) -> None:
        async def main() -> str:
            return Airplane("tkn_test", transport=FakeTransport([OK])).runbooks.execute("x").session_id

        assert asyncio.run(main()) == "ses1"


class TestOddReplies:
    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"<html>", b"null", b"[1]", b'{"sessionID": 3}', b"\xff\xfe", b"[" * 9999]
    )
    def test_a_success_that_cannot_be_read_keeps_the_response(self, body: bytes) -> None:
        transport = FakeTransport([Response(status=200, headers=Headers(), body=body)])
        with pytest.raises(DecodeError, match="succeeded") as caught:
            Airplane("tkn_test", transport=transport).runbooks.execute("x")
        assert caught.value.response.body == body
        assert caught.value.maybe_processed
        assert pickle.loads(pickle.dumps(caught.value)).response.body == body

    def test_a_redirect_is_not_followed(self) -> None:
        transport = FakeTransport([Response(status=307, headers=Headers({"Location": "http://evil/"}), body=b"")])
        with pytest.raises(Exception, match=r"307: .*redirect"):
            Airplane("tkn_test", transport=transport).runbooks.execute("x")
        assert len(transport.requests) == 1


class TestPreparing:
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_the_transport_is_prepared_when_the_client_is_built(self, kind: str) -> None:
        prepared: list[str] = []

        class Preparing(FakeTransport):
            def prepare(self, origin: str) -> None:
                prepared.append(origin)

        transport: Any = Preparing()
        if kind == "sync":
            Airplane("tkn_test", base_url="https://api.test/v0", transport=transport)
        else:
            AsyncAirplane("tkn_test", base_url="https://api.test/v0", transport=transport)
        assert prepared == ["https://api.test"]

    def test_the_trust_store_is_read_before_there_is_a_loop(self) -> None:
        transport = AsyncioTransport()
        AsyncAirplane("tkn_test", transport=transport)
        assert transport._ssl_context is not None


class TestClosing:
    def test_closing_closes_the_transport_and_ends_later_calls(self) -> None:
        transport = FakeTransport([OK])
        with Airplane("tkn_test", transport=transport) as airplane:
            airplane.runbooks.execute("x")
        airplane.close()
        with pytest.raises(ClientClosed):
            airplane.runbooks.execute("x")

    def test_closing_cuts_a_wait_between_attempts_short(self) -> None:
        failed = threading.Event()

        def handler(request: Request) -> Response:
            failed.set()
            return json_response({}, status=503, headers={"Retry-After": "100"})

        airplane = Airplane(
            "tkn_test", transport=FakeTransport(handler), timeout=None, retry=RetryPolicy(max_attempts=9)
        )
        errors: list[BaseException] = []

        def call() -> None:
            try:
                airplane.runbooks.execute("x")
            except (ClientClosed, ServerError) as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        failed.wait(60)
        airplane.close()
        thread.join(60)
        assert not thread.is_alive()
        assert isinstance(errors[0], ClientClosed)

    def test_the_default_transport_refuses_after_close_too(self) -> None:
        airplane = Airplane("tkn_test", base_url="http://127.0.0.1:9")
        airplane.close()
        with pytest.raises(ClientClosed):
            airplane.runbooks.execute("x")


def test_threads_share_a_client() -> None:
    def handler(request: Request) -> Response:
        return json_response({"sessionID": request.body.decode() if request.body else ""})

    airplane = Airplane("tkn_test", transport=FakeTransport(handler))
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(50):
            slug = f"{number}_{turn}"
            if slug not in airplane.runbooks.execute(slug).session_id:
                wrong.append(slug)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_names_that_are_loaded_late_are_listed_at_once() -> None:
    assert set(airplane_runbooks.__all__) <= set(dir(airplane_runbooks))
