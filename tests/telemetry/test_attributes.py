"""Attributes of spans. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.semconv import attributes as conventions
from opentelemetry.trace import SpanKind

import airplane_runbooks
from airplane_runbooks import ConfigurationError, Next, Request, Response, RetryPolicy, ServerError
from airplane_runbooks.telemetry.attributes import redact_url
from airplane_runbooks.testing import json_response
from tests.support.observed import (
    ATTEMPTS,
    OK,
    SERVER,
    UNAVAILABLE,
    URL,
    Make,
    attributes,
)

GZIPPED = Response(
    status=200,
    headers=airplane_runbooks.Headers({"content-encoding": "gzip", "x-kind": "a, b"}),
    body=b'{"id":"ses1","status":"Active"}',
    http_version="1.1",
)
SESSION = json_response({"id": "ses1", "status": "Active"})


class Watching(Sampler):
    """Notes what it is asked, and samples what it is told to."""

    def __init__(self, *kinds: SpanKind) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.kinds = kinds or (SpanKind.INTERNAL, SpanKind.CLIENT)

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *rest: Any,
        **more: Any,
    ) -> SamplingResult:
        self.asked.append((name, dict(attributes or {})))
        if kind in self.kinds:
            return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "watching"


def test_a_sampler_sees_what_it_may_decide_by(make: Make) -> None:
    sampler = Watching()
    make([UNAVAILABLE, OK], sampler=sampler).execute()
    attempt = {"http.request.method": "POST", **SERVER, "url.full": URL}
    assert sampler.asked == [
        ("runbooks.execute", {"airplane.operation.name": "runbooks.execute", **SERVER}),
        ("POST", attempt),
        ("POST", {**attempt, "http.request.resend_count": 1}),
    ]


def test_an_attempt_recorded_for_its_own_sake_has_its_url_too(make: Make) -> None:
    seen = make(sampler=Watching(SpanKind.CLIENT))
    seen.execute()
    (attempt,) = seen.spans
    assert attributes(attempt)["url.full"] == URL


@pytest.mark.parametrize(
    ("base_url", "port", "url"),
    [
        ("https://airplane.example", 443, "https://airplane.example/runbooks/execute"),
        ("http://localhost/api/v0/", 80, "http://localhost/api/v0/runbooks/execute"),
        ("http://[::1]:8080/v0", 8080, "http://[::1]:8080/v0/runbooks/execute"),
    ],
)
def test_the_port_is_always_there_and_the_path_stays(make: Make, base_url: str, port: int, url: str) -> None:
    seen = make(base_url=base_url)
    seen.execute()
    assert attributes(seen.call)["server.port"] == attributes(seen.attempts[0])["server.port"] == port
    assert attributes(seen.attempts[0])["url.full"] == url


def test_a_server_on_a_socket_has_a_path_and_no_port(make: Make) -> None:
    socket = {"server.address": "/run/a.sock", "network.transport": "unix"}

    async def elsewhere(request: Request, call_next: Next, /) -> Response:
        return await call_next(msgspec.structs.replace(request, origin="http+unix://%2Frun%2Fa.sock"))

    for seen in (make(base_url="http+unix://%2Frun%2Fa.sock/v0"), make(attempt_middleware=[elsewhere])):
        seen.execute()
        attempt = attributes(seen.attempts[0])
        assert attempt["url.full"].startswith("http+unix://%2Frun%2Fa.sock/")
        assert socket.items() <= attempt.items()
        assert "server.port" not in attempt
        (point,) = seen.points(ATTEMPTS)
        assert socket.items() <= point.attributes.items()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/p", "http://h/p"),
        ("http://h/p?id=1", "http://h/p?id=1"),
        ("https://u:p@h/p", "https://REDACTED:REDACTED@h/p"),
        ("https://u@h:1?sig=abc", "https://REDACTED:REDACTED@h:1?sig=REDACTED"),
        ("https://u@h?a=b/c", "https://REDACTED:REDACTED@h?a=b/c"),
        ("http://h/a@b", "http://h/a@b"),
        ("http://h/p?sig=abc&id=1", "http://h/p?sig=REDACTED&id=1"),
        ("http://h/p?SIG=abc", "http://h/p?SIG=abc"),
        (
            "http://h/p?X-Amz-Signature=abc&X-Goog-Signature=d",
            "http://h/p?X-Amz-Signature=REDACTED&X-Goog-Signature=REDACTED",
        ),
        (
            "http://h/p?X-Amz-Credential=a&X-Amz-Security-Token=b",
            "http://h/p?X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED",
        ),
        ("http://h/p?AWSAccessKeyId=a&Signature=b", "http://h/p?AWSAccessKeyId=REDACTED&Signature=REDACTED"),
    ],
)
def test_user_info_and_signatures_are_blotted_out(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_base_url_with_user_info_is_refused_unshown(make: Make) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(base_url="https://u:hunter2@h/")
    assert "hunter2" not in str(refused.value)


def test_the_api_key_is_in_nothing_that_is_exported(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    key = "tkn_3e2a1b"
    echo = {"error": f"bad key {key}"}
    leaky = json_response(echo, status=503, headers={"x-request-id": key, "x-echo": f"it is {key}"})
    good = json_response({"id": key, "status": "Active"}, headers={"x-request-id": key, "x-echo": f"it is {key}"})
    seen = make(
        [leaky, good, leaky],
        api_key=key,
        headers={"x-note": key},
        opt_in_attributes=["http.request.header.x-note", "http.response.header.x-echo"],
        retry=RetryPolicy(max_attempts=2),
    )
    with caplog.at_level(logging.DEBUG):
        seen(lambda airplane: airplane.sessions.get(key))
        with pytest.raises(ServerError):
            seen(
                lambda airplane: airplane.sessions.get(
                    "ses1", options=airplane_runbooks.CallOptions(retry=airplane_runbooks.NO_RETRY)
                )
            )
    everything = "".join(span.to_json() for span in seen.spans) + str(seen.reader.get_metrics_data()) + caplog.text
    assert "[api key]" in everything
    assert key not in everything


OPTIONAL: dict[str, Any] = {
    "http.request.body.size": len(b'{"slug":"x","paramValues":{}}'),
    "http.request.header.x-team": ["refunds"],
    "http.response.body.size": len(b'{"sessionID":"ses1"}'),
    "http.response.header.x-request-id": ["req1"],
    "url.scheme": "http",
    "url.template": "/api/v0/runbooks/execute",
    "user_agent.original": airplane_runbooks._base_client.USER_AGENT,
}


def test_nothing_optional_is_there_unasked(make: Make) -> None:
    seen = make(headers={"x-team": "refunds"})
    seen.execute()
    assert not set(attributes(seen.attempts[0])) & set(OPTIONAL)
    assert seen.attempts[0].name == "POST"
    assert "url.template" not in seen.points(ATTEMPTS)[0].attributes


@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_attribute_is_there_when_asked_for(make: Make, name: str) -> None:
    seen = make(headers={"x-team": "refunds"}, opt_in_attributes=[name])
    seen.execute()
    (attempt,) = seen.attempts
    assert {
        key: value if isinstance(value, str | int) else list(value)
        for key, value in attributes(attempt).items()
        if key in OPTIONAL
    } == {name: OPTIONAL[name]}


def test_the_template_is_part_of_the_name_and_of_the_metric(make: Make) -> None:
    seen = make([SESSION], opt_in_attributes=["url.template"])
    seen(lambda airplane: airplane.sessions.get("ses1"))
    (attempt,) = seen.attempts
    assert attempt.name == "GET /api/v0/sessions/get"
    assert seen.points(ATTEMPTS)[0].attributes["url.template"] == "/api/v0/sessions/get"


def test_what_is_not_known_is_left_out(make: Make) -> None:
    seen = make(
        [GZIPPED],
        opt_in_attributes=[
            "http.response.body.size",
            "http.request.body.size",
            "http.response.header.x-none",
            "http.response.header.x-kind",
        ],
    )
    seen(lambda airplane: airplane.sessions.get("ses1"))
    found = attributes(seen.attempts[0])
    assert {key for key in found if (key.startswith("http.re") and "header" in key) or "size" in key} == {
        "http.response.header.x-kind"
    }
    assert tuple(found["http.response.header.x-kind"]) == ("a, b",)


@pytest.mark.parametrize(("length", "size"), [("17", 17), ("9" * 5000, None), ("²", None), ("-1", None)])
def test_the_size_of_a_compressed_body_is_that_on_the_wire(make: Make, length: str, size: int | None) -> None:
    headers = airplane_runbooks.Headers({"content-encoding": "gzip", "content-length": length})
    seen = make([msgspec.structs.replace(GZIPPED, headers=headers)], opt_in_attributes=["http.response.body.size"])
    seen(lambda airplane: airplane.sessions.get("ses1"))
    assert attributes(seen.attempts[0]).get("http.response.body.size") == size


@pytest.mark.parametrize(
    "name",
    [
        "url.full",
        1,
        "airplane.secret",
        "http.request.header.",
        "http.request.header.X-Team",
        "http.response.header.a b",
    ],
)
def test_a_name_that_means_nothing_is_refused(make: Make, name: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(name))):
        make(opt_in_attributes=[name])


@pytest.mark.parametrize(
    "header",
    [
        *(
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "X-Airplane-View-Token",
            "x_airplane_api_key",
        ),
        *(f"x-airplane-{word}" for word in ("api-key", "token", "view-token", "dev-token", "sandbox-token")),
    ],
)
@pytest.mark.parametrize("message", ["request", "response"])
def test_headers_with_credentials_are_refused(make: Make, message: str, header: str) -> None:
    with pytest.raises(ConfigurationError, match="credentials"):
        make(opt_in_attributes=[f"http.{message}.header.{header}"])


def test_one_string_is_not_a_collection(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="not one string"):
        make(opt_in_attributes="url.template")


def stable_names() -> set[str]:
    """Return the names of all attributes in the stable conventions that the SDK comes with."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(conventions.__path__, f"{conventions.__name__}."):
        values = vars(importlib.import_module(module.name)).values()
        found |= {value for value in values if isinstance(value, str) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", value)}
    return found


def test_every_attribute_is_stable_or_ours_and_none_is_none(make: Make) -> None:
    seen = make([UNAVAILABLE, OK, UNAVAILABLE])
    seen.execute()
    with pytest.raises(ServerError):
        seen(
            lambda airplane: airplane.sessions.get(
                "ses1", options=airplane_runbooks.CallOptions(retry=airplane_runbooks.NO_RETRY)
            )
        )
    known = stable_names()
    assert "http.request.method" in known
    everything = [attributes(span) for span in seen.spans]
    everything += [dict(point.attributes) for metric in seen.metrics() for point in metric.data.data_points]
    for found in everything:
        assert {name for name in found if not name.startswith("airplane.")} <= known
        assert None not in found.values()


def test_spans_name_the_library_its_version_and_the_schema(make: Make) -> None:
    seen = make()
    seen.execute()
    for span in seen.spans:
        scope = span.instrumentation_scope
        assert scope is not None
        assert (scope.name, scope.version) == ("airplane_runbooks", airplane_runbooks.__version__)
        assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_a_request_redirected_by_middleware_shows_its_address(make: Make) -> None:
    async def elsewhere(request: Request, call_next: Next, /) -> Response:
        return await call_next(msgspec.structs.replace(request, origin=origin))

    for origin, server in [
        ("https://u:p@other.example", {"server.address": "other.example", "server.port": 443}),
        ("http://other.example:81", {"server.address": "other.example", "server.port": 81}),
        ("nonsense", {}),
    ]:
        seen = make(attempt_middleware=[elsewhere])
        seen.execute()
        found = attributes(seen.attempts[0])
        assert {key: value for key, value in found.items() if key.startswith("server.")} == server
        assert found["url.full"] == f"{origin.replace('u:p', 'REDACTED:REDACTED')}/api/v0/runbooks/execute"
        assert {
            key: value for key, value in seen.points(ATTEMPTS)[0].attributes.items() if key.startswith("server.")
        } == server
