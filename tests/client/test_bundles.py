"""Bundles: what a wrapping SDK adds to a client in one object, and the order of several of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks import Bundle, CallOptions, ConfigurationError, Middleware, Next, Request, Response, RetryPolicy
from airplane_runbooks._base_client import USER_AGENT
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

Make = Callable[..., Either]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    def build(*bundles: Bundle, answers: Any = None, **options: Any) -> Either:
        answers = answers or (lambda _: json_response({"sessionID": "ses1"}))
        return Either(request.param, FakeTransport(answers), bundles=bundles, **options)

    return build


def execute(either: Either) -> Request:
    either(lambda airplane: airplane.runbooks.execute("refund"))
    return either.transport.requests[-1]


def noting(name: str, seen: list[str]) -> Middleware:
    async def note(request: Request, call_next: Next, /) -> Response:
        seen.append(name)
        return await call_next(request)

    return note


def test_layers_of_the_client_come_first_and_then_its_bundles(make: Make) -> None:
    seen: list[str] = []
    bundles = [
        Bundle(
            middleware=(noting(f"{name}: call", seen),),
            attempt_middleware=(noting(f"{name}: attempt", seen), noting(f"{name}: inside", seen)),
        )
        for name in ("first", "second")
    ]
    busy, ok = json_response({"error": "busy"}, status=503), json_response({"sessionID": "ses1"})
    either = make(
        *bundles,
        answers=[busy, ok],
        middleware=[noting("own: call", seen)],
        attempt_middleware=[noting("own: attempt", seen)],
        retry=RetryPolicy(initial_delay=0),
    )
    execute(either)
    attempt = ["own: attempt", "first: attempt", "first: inside", "second: attempt", "second: inside"]
    assert seen == ["own: call", "first: call", "second: call", *attempt, *attempt]


def test_options_that_come_first_take_precedence(make: Make) -> None:
    first = Bundle(options=CallOptions(timeout=5, attempt_timeout=None, headers={"x-a": "first", "x-b": "first"}))
    second = Bundle(options=CallOptions(timeout=7, headers={"x-b": "second", "x-c": "second"}))
    either = make(first, second, headers={"x-a": "own"})
    sent = execute(either)
    assert either.transport.timeouts == [5]
    assert [sent.headers[name] for name in ("x-a", "x-b", "x-c")] == ["own", "first", "second"]
    either = make(first, second, timeout=3)
    execute(either)
    either(lambda airplane: airplane.with_options(timeout=2).runbooks.execute("refund"))
    either(lambda airplane: airplane.runbooks.execute("refund", timeout=1))
    assert either.transport.timeouts == [3, 2, 1]


@pytest.mark.parametrize(
    ("own", "bundle", "expected"),
    [
        ({"env_slug": "own"}, CallOptions(env_id="env1"), ("own", None)),
        ({"env_id": "env2"}, CallOptions(env_slug="bundle"), (None, "env2")),
        ({"env_slug": ""}, CallOptions(), (None, None)),
        ({}, CallOptions(env_id="env1"), (None, "env1")),
        ({}, CallOptions(env_slug=None), (None, None)),
        ({}, CallOptions(), ("variable", None)),
    ],
)
def test_an_environment_comes_from_client_bundle_or_variable(
    make: Make, monkeypatch: pytest.MonkeyPatch, own: dict[str, str], bundle: CallOptions, expected: Any
) -> None:
    monkeypatch.setenv("AIRPLANE_ENV_SLUG", "variable")
    headers = execute(make(Bundle(options=bundle), **own)).headers
    assert (headers.get("x-airplane-env-slug"), headers.get("x-airplane-env-id")) == expected


def test_products_are_added_to_the_user_agent_in_their_order(make: Make) -> None:
    either = make(Bundle(user_agent="acme-tools/1.4"), Bundle(), Bundle(user_agent="acme-base/2"))
    expected = f"{USER_AGENT} acme-tools/1.4 acme-base/2"
    assert execute(either).headers["user-agent"] == expected
    either(lambda airplane: airplane.with_options(timeout=9).runbooks.execute("refund"))
    assert either.transport.requests[-1].headers["user-agent"] == expected
    assert execute(make()).headers["user-agent"] == USER_AGENT


def test_attributes_describe_the_spans_of_calls(make: Make) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    first = Bundle(attributes={"acme.sdk": "tools", "acme.tier": 1, "server.port": 1})
    second = Bundle(attributes={"acme.sdk": "base", "acme.region": "eu"})
    execute(make(first, second, tracer_provider=provider, base_url="https://h/v0"))
    attributes = next(span.attributes for span in exporter.get_finished_spans() if span.name == "runbooks.execute")
    assert attributes is not None
    assert {name: attributes[name] for name in ("acme.sdk", "acme.tier", "acme.region", "server.port")} == {
        "acme.sdk": "tools",
        "acme.tier": 1,
        "acme.region": "eu",
        "server.port": 443,
    }


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"options": CallOptions(idempotency_key="one")}, "idempotency key"),
        ({"options": CallOptions(headers={"Idempotency-Key": "one"})}, "idempotency key"),
        ({"attributes": {"a": None}}, "attribute 'a'"),
        ({"attributes": {"": "x"}}, "attribute ''"),
        ({"attributes": {1: "x"}}, "attribute 1"),
    ],
)
def test_a_bundle_that_cannot_work_is_refused(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        Bundle(**arguments)


def test_a_product_with_a_line_break_is_refused_by_the_client(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="user-agent"):
        make(Bundle(user_agent="acme\r\nx-evil: 1"))


@pytest.mark.parametrize(
    ("bundles", "problem"),
    [
        (Bundle(), "bundles must be a sequence"),
        ([None], "bundles must hold Bundle objects, not NoneType"),
    ],
    ids=["a bundle", "None in a list"],
)
def test_bundles_of_another_form_are_refused(bundles: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Either("sync", FakeTransport([]), bundles=bundles)


def test_options_of_a_bundle_that_are_none_are_refused() -> None:
    options: Any = {"timeout": 3}
    with pytest.raises(ConfigurationError, match="the options of a bundle must be CallOptions, not dict"):
        Bundle(options=options)
