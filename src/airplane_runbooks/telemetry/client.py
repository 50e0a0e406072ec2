"""Telemetry of one client, and the span of each of its calls.

Without an SDK, a call looks twice whether there is one, and for a trace to pass on.
"""

from __future__ import annotations

from time import perf_counter

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanKind

from .._responses.redaction import redactor_of
from ..errors import AirplaneError
from ..http import Headers
from ..options import BaseURL
from .attributes import AttemptAttributes, CallAttributes, ServerAttributes
from .extra import ExtraAttributes
from .guard import Guard, type_name
from .log import logger
from .metrics import PROVIDER_MODULE, Durations
from .spans import Tracer
from .values import Attributes, Value

SCOPE = "airplane_runbooks"

_MAX_DESCRIPTION = 250
_INTERNAL = SpanKind.INTERNAL  # looking up a member of an enumeration takes time


class ClientTelemetry:
    """Tracer, metrics and attributes that the calls of one client share.

    The providers may be set after the client has been built: the API's proxies find them then.

    Attributes:
        origin: Origin of the client's requests.
        extra: Attributes that the user has asked for.
        tracer: Starts and ends spans.
        durations: Records metrics.
        server: Attributes of servers.
        calls: Attributes of calls.
        attempts: Attributes of attempts.
    """

    def __init__(
        self,
        base: BaseURL,
        *,
        version: str,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        extra: ExtraAttributes | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        guard = Guard(logger)
        self.origin = base.origin
        self.extra = extra or ExtraAttributes()
        self.tracer = Tracer(SCOPE, version, guard, tracer_provider=tracer_provider, propagator=propagator)
        self.durations = Durations(SCOPE, version, guard, meter_provider)
        self.server = ServerAttributes(base)
        self.calls = CallAttributes({**(attributes or {}), **self.server.of(base.origin)})
        self.attempts = AttemptAttributes(self.server.of)
        self._may_be_idle = self.tracer.is_proxy and meter_provider is None

    def is_idle(self) -> bool:
        """Tell whether telemetry goes nowhere yet: no provider has been given, and none has been set for the process.

        To look where the API keeps its providers costs a fifth of calling its proxies. If OpenTelemetry removes these
        private names, this returns False.
        """
        if not self._may_be_idle:
            return False
        if (
            getattr(trace, "_TRACER_PROVIDER", self) is None
            and getattr(PROVIDER_MODULE, "_METER_PROVIDER", self) is None
        ):
            return True
        self._may_be_idle = False  # a provider that has been set stays
        return False

    def begin(self, operation: str) -> CallSpan:
        """Begin the span of an operation."""
        return CallSpan(self, operation)


class CallSpan:
    """The span of one operation, from before its arguments are encoded until its last reply has been decoded."""

    __slots__ = ("_attributes", "_span", "_started", "_telemetry", "_token")

    def __init__(self, telemetry: ClientTelemetry, operation: str) -> None:
        current = otel_context.get_current()
        self._telemetry = telemetry
        self._attributes = telemetry.calls[operation]
        tracer, parent = telemetry.tracer, trace.get_current_span(current)
        if tracer.drops_below(parent):
            span = None
        else:
            span = tracer.start(operation, current, _INTERNAL, self._attributes, parent)
        self._span = span
        self._token = None if span is None else otel_context.attach(trace.set_span_in_context(span, current))
        self._started = perf_counter()

    def end(
        self,
        attempts: int,
        failure: BaseException | None,
        session_id: object = None,
        sent: tuple[Headers, ...] = (),
    ) -> None:
        """Record the result of the call and the ID of its session, without the credentials that were sent.

        A cancellation, which is not an `Exception`, is not recorded as an error.
        """
        elapsed = perf_counter() - self._started
        telemetry, tracer = self._telemetry, self._telemetry.tracer
        of_failure = {"error.type": type_name(failure)} if isinstance(failure, Exception) else None
        telemetry.durations.record_call(elapsed, {**self._attributes, **of_failure} if of_failure else self._attributes)
        if self._span is None or self._token is None:
            return
        otel_context.detach(self._token)
        of_result: dict[str, Value] | None = None
        if tracer.records(self._span):
            of_result = {"airplane.operation.attempts": attempts, **(of_failure or {})}
            if isinstance(session_id, str):
                of_result["airplane.session.id"] = redactor_of(sent).text(session_id)
        tracer.end(self._span, of_result, failed=of_failure is not None, description=_description(failure))


def _description(failure: BaseException | None) -> str | None:
    """Return the message of one of our own errors: only these are known to hold no secrets."""
    return str(failure)[:_MAX_DESCRIPTION] if isinstance(failure, AirplaneError) else None
