"""What the calls of one client share of telemetry, by the OpenTelemetry API alone.

The names and rules are those of the stable HTTP conventions (schema 1.44.0), and `airplane.*` for what is ours. What
the user has plugged in behind the API may raise; that is logged once, and no call fares any worse for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode

from .._call.redaction import redactor_of
from ..http import Headers
from ..options import BaseURL
from .attributes import OptIn, Value
from .guard import Guard
from .log import logger

SCOPE = "airplane_runbooks"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
CALL_BUCKETS = (*ATTEMPT_BUCKETS, 30, 60, 120)

# Private names of the API that all instrumentations share, so that each can tell the others to be silent. Should they
# go, nobody listens under the names that stand in for them, and nothing is suppressed.
SUPPRESS_HTTP: str = getattr(otel_context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress-http")
_SUPPRESS_ALL: str = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress")

# Where the API keeps the providers of the process: to look there is a fifth of the work of asking its stand-ins to do
# nothing. Should the names go, they are asked.
_meters = getattr(metrics, "_internal", metrics)

_SENSITIVE_QUERY = frozenset(
    {"AWSAccessKeyId", "Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature"}
    | {"X-Goog-Signature", "sig"}
)
_REMEMBERED = 256  # results of attempts whose attributes are kept

Attributes = dict[str, Value]

# What came of an attempt: status, HTTP version, error type.
Result = tuple[int | None, str | None, str | None]


class Telemetry:
    """Tracer, instruments and propagator of one client, and the attributes that never change.

    The providers may be set after the client has been built: the API's proxies find them then.
    """

    def __init__(
        self,
        base: BaseURL,
        *,
        version: str,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        opt_in: OptIn | None = None,
    ) -> None:
        self.origin = base.origin
        self.opt_in = opt_in or OptIn()
        self.tracer = trace.get_tracer(SCOPE, version, tracer_provider, SCHEMA_URL)
        self._may_be_idle = isinstance(self.tracer, trace.ProxyTracer) and meter_provider is None
        self.propagator = propagator
        meter = metrics.get_meter(SCOPE, version, meter_provider, SCHEMA_URL)
        self.call_duration = meter.create_histogram(
            "airplane.client.operation.duration",
            unit="s",
            description="Duration of calls, all attempts and waits included.",
            explicit_bucket_boundaries_advisory=CALL_BUCKETS,
        )
        self.attempt_duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=ATTEMPT_BUCKETS,
        )
        self._server: Attributes = {"server.address": base.host, "server.port": base.port}
        self.calls = _Calls(self._server)
        self.attempts = _Attempts(self.server)
        self._guard = Guard(logger)

    def is_idle(self) -> bool:
        """Whether nobody can be listening yet: no provider has been given, and none has been set for the process."""
        if not self._may_be_idle:
            return False
        if getattr(trace, "_TRACER_PROVIDER", self) is None and getattr(_meters, "_METER_PROVIDER", self) is None:
            return True
        self._may_be_idle = False  # a provider that has been set stays
        return False

    def server(self, origin: str) -> Attributes:
        """Return what tells the server of an origin, which is another than the client's if a middleware says so."""
        if origin == self.origin:
            return self._server
        try:
            parts = urlsplit(origin)
            return {"server.address": parts.hostname or "", "server.port": parts.port or _DEFAULT_PORTS[parts.scheme]}
        except (KeyError, ValueError):
            return {}  # the transport will have to say what is wrong with it

    def start(self, name: str, context: Context, kind: SpanKind, attributes: Attributes) -> Span | None:
        """Start a span below that of a context; None if there is none to speak of.

        API versions before 1.40 hand out an invalid span where there is no SDK, later ones the parent itself or a copy.
        Making any of these current would lose or repeat the caller's trace.
        """
        if context.get(_SUPPRESS_ALL):
            return None
        with self._guard:  # a sampler or processor of the user's
            span = self.tracer.start_span(name, context, kind, attributes)
            if span is trace.INVALID_SPAN:
                return None
            made, parent = span.get_span_context(), trace.get_current_span(context).get_span_context()
            return span if made.is_valid and made.span_id != parent.span_id else None
        return None

    def end(self, span: Span, attributes: Attributes, *, failed: bool, description: str | None = None) -> None:
        """End a span with what is known of it by now."""
        with self._guard:
            try:
                if span.is_recording():
                    span.set_attributes(attributes)
                    if failed:
                        span.set_status(StatusCode.ERROR, description)
            finally:
                span.end()

    def record(
        self, histogram: metrics.Histogram, seconds: float, attributes: Attributes, context: Context | None = None
    ) -> None:
        """Count one call or attempt."""
        with self._guard:
            histogram.record(seconds, attributes, context)

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers by which a request takes its context along."""
        carrier: dict[str, str] = {}
        with self._guard:
            if self.propagator is None:
                propagate.inject(carrier, context, _LOWER_CASE)
            else:
                self.propagator.inject(carrier, context, _LOWER_CASE)
        return carrier


class _Calls(dict[str, Attributes]):
    """The attributes of each operation by its name, built once."""

    def __init__(self, server: Attributes) -> None:
        super().__init__()
        self._server = server

    def __missing__(self, operation: str) -> Attributes:
        attributes = self[operation] = {"airplane.operation.name": operation, **self._server}
        return attributes


class _Attempts(dict[tuple[str, str, str | None, Result], tuple[Attributes, Attributes]]):
    """The attributes of an attempt's metric, and those of them that tell its result, by what they depend on."""

    def __init__(self, server: Callable[[str], Attributes]) -> None:
        super().__init__()
        self._server = server

    def __missing__(self, key: tuple[str, str, str | None, Result]) -> tuple[Attributes, Attributes]:
        method, origin, template, result = key
        names = ("http.response.status_code", "network.protocol.version", "error.type")
        of_result: Attributes = {name: value for name, value in zip(names, result, strict=True) if value is not None}
        metric = {"http.request.method": method, **self._server(origin), **of_result}
        if template is not None:
            metric["url.template"] = template
        if len(self) >= _REMEMBERED:
            self.clear()
        self[key] = metric, of_result
        return metric, of_result


_DEFAULT_PORTS = {"http": 80, "https": 443}


class _LowerCase(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key.lower()] = value


_LOWER_CASE = _LowerCase()


def without_credentials(sent: Iterable[Headers], found: Attributes) -> Attributes:
    """Return attributes without the credentials that were sent, should a server or a URL repeat them."""
    redact = redactor_of(sent).text
    return {
        name: redact(value)
        if isinstance(value, str)
        else list(map(redact, value))
        if isinstance(value, list)
        else value
        for name, value in found.items()
    }


def redact_url(url: str) -> str:
    """Blot out user info, and the values of query parameters that are known to hold signatures or credentials."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if mark and "@" in host:
        url = f"{scheme}://REDACTED:REDACTED@{host.rpartition('@')[2]}{slash}{path}"
    base, mark, query = url.partition("?")
    if not mark or _SENSITIVE_QUERY.isdisjoint(pair.partition("=")[0] for pair in query.split("&")):
        return url
    pairs = parse_qsl(query, keep_blank_values=True)
    return f"{base}?{urlencode([(key, 'REDACTED' if key in _SENSITIVE_QUERY else value) for key, value in pairs])}"
