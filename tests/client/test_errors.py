"""The tree of errors: plain data that survives every journey."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import msgspec
import pytest

import airplane_runbooks
from airplane_runbooks import (
    AirplaneError,
    APIError,
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    DecodeError,
    Headers,
    InvalidResponse,
    MiddlewareSuspended,
    ParamValueError,
    Response,
    ResultUnavailable,
    RunFailed,
    SessionCancelled,
    SessionFailed,
    TransportError,
    WaitTimeout,
    errors,
)
from airplane_runbooks.errors import error_class
from airplane_runbooks.models import Failure, Run, RunStatus, Session, SessionStatus


def family(root: type[AirplaneError]) -> Iterator[type[AirplaneError]]:
    """Yield a class and all below it that the library defines."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from family(kind)


CLASSES = list(family(AirplaneError))
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
REASON = Failure(kind="KeyError", message="'id'", step="find", step_run_id="run2")
HEADERS = Headers({"X-Request-ID": "req1", "Retry-After": "2"})


def made(kind: type[AirplaneError]) -> AirplaneError:
    """Return an error of a class with nothing left at its default."""
    if issubclass(kind, APIError):
        error = kind(418, "no", code="c", request_id="req1", retry_after=2.0, headers=HEADERS, body=b"\x00body")
    elif kind is ParamValueError:
        error = kind("param_values.rows[3].at", "cannot be sent")
    elif kind is DecodeError:
        error = kind("unreadable", Response(status=200, headers=HEADERS, body=b"?", http_version="1.1"))
    elif issubclass(kind, SessionFailed | ResultUnavailable):
        error = kind(Session(id="ses1", status=SessionStatus.FAILED, error=REASON, raw_output=msgspec.Raw(b"[1]")))
    elif kind is RunFailed:
        error = kind(Run(id="run1", status=RunStatus.CANCELLED))
    elif kind is WaitTimeout:
        error = kind("still running", last=Session(id="ses1", status=SessionStatus.WAITING))
    elif kind is DeadlineExceeded:
        error = kind("too late", retry_after=3.5)
    elif kind is ConnectError:
        error = kind("refused", transient=False)
    elif kind in (TransportError, AttemptTimeout, ConnectionLost, InvalidResponse):
        error = kind("lost", sent=None, transient=False, status=200)
    else:
        error = kind("message")
    error.operation, error.attempts, error.idempotency_key = "runs.get", 3, "key-1"
    error.maybe_processed = not error.maybe_processed
    error.add_note("Given up because of it.")
    return error


ERRORS = [made(kind) for kind in CLASSES]
JOURNEYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle-{p}": lambda error, p=p: pickle.loads(pickle.dumps(error, p)) for p in PROTOCOLS},
}


def comparable(value: object) -> object:
    """Return something that compares by content."""
    if isinstance(value, Response):
        return value.status, value.headers, value.body, value.http_version
    return value


@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_comes_back_whole(error, journey):
    twin = journey(error)

    assert twin is not error
    assert type(twin) is type(error)
    assert str(twin) == str(error) != ""
    assert twin.args == error.args
    assert {k: comparable(v) for k, v in vars(twin).items()} == {k: comparable(v) for k, v in vars(error).items()}
    assert twin.__notes__ == ["Given up because of it."]


@pytest.mark.parametrize(
    ("kind", "reason", "text"),
    [
        (SessionFailed, REASON, "session ses1 failed in step 'find': KeyError: 'id'"),
        (SessionFailed, Failure(kind="KeyError", message="'id'"), "session ses1 failed: KeyError: 'id'"),
        (SessionFailed, Failure(kind="Stopped"), "session ses1 failed: Stopped"),
        (SessionFailed, Failure(step="find"), "session ses1 failed in step 'find': the server gives no reason"),
        (SessionFailed, None, "session ses1 has ended: Failed"),
        (SessionCancelled, Failure(message="the prompt expired"), "session ses1 was cancelled: the prompt expired"),
        (SessionCancelled, None, "session ses1 was cancelled"),
    ],
)
def test_a_failed_session_says_which_step_failed_and_why(kind, reason, text):
    error = kind(Session(id="ses1", status=SessionStatus.FAILED, error=reason))

    assert str(error) == text
    assert error.failure == reason


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (RunStatus.FAILED, REASON, "run run1 failed: KeyError: 'id'"),
        (RunStatus.CANCELLED, Failure(message="the prompt expired"), "run run1 was cancelled: the prompt expired"),
        (RunStatus.FAILED, None, "run run1 has ended: Failed"),
    ],
)
def test_a_failed_run_says_why(status, reason, text):
    assert str(RunFailed(Run(id="run1", status=status, error=reason))) == text


def test_the_text_of_a_failed_session_is_one_short_line():
    reason = Failure(kind="K" * 9000, message="a\n" + "m" * 9000, step="s" * 9000)
    text = str(SessionFailed(Session(id="ses1", status=SessionStatus.FAILED, error=reason)))

    assert "\n" not in text
    assert len(text) < 2500


@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS)
def test_an_error_that_twice_made_the_journey_is_still_whole(journey):
    error = journey(journey(made(DeadlineExceeded)))

    assert (str(error), error.retry_after, error.operation) == ("too late", 3.5, "runs.get")


class Wrapped(APIError):
    """An error of an SDK that builds on the library, with arguments of its own."""

    def __init__(self, service: str) -> None:
        super().__init__(500, f"{service} failed", code="wrapped")
        self.service = service


@pytest.mark.parametrize("journey", [copy.copy, copy.deepcopy])
def test_a_class_of_somebody_else_below_ours_comes_back_whole(journey):
    twin = journey(Wrapped("billing"))

    assert (type(twin), str(twin), twin.service, twin.status) == (
        Wrapped,
        "500: billing failed [wrapped]",
        "billing",
        500,
    )


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ConfigurationError, ValueError),
        (ParamValueError, ValueError),
        (DeadlineExceeded, TimeoutError),
        (WaitTimeout, TimeoutError),
        (AttemptTimeout, TransportError),
        (ConnectError, TransportError),
        (ConnectionLost, TransportError),
        (InvalidResponse, TransportError),
    ],
)
def test_an_error_is_caught_as_what_it_also_is(kind, base):
    with pytest.raises(base):
        raise made(kind)


def test_only_those_are_value_errors_and_timeouts():
    assert [kind for kind in CLASSES if issubclass(kind, ValueError)] == [ConfigurationError, ParamValueError]
    assert [kind for kind in CLASSES if issubclass(kind, OSError)] == [DeadlineExceeded, WaitTimeout]


def test_every_class_is_public():
    assert {kind.__name__ for kind in CLASSES} <= set(airplane_runbooks.__all__)
    assert all(getattr(airplane_runbooks, kind.__name__) is kind for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_docstring_of_its_own(kind):
    assert kind.__doc__
    assert kind.__doc__ not in [base.__doc__ for base in kind.__mro__[1:]]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_attribute_is_documented(error):
    documents = "\n".join(inspect.cleandoc(kind.__doc__) for kind in type(error).__mro__ if kind in CLASSES)
    documented = set(re.findall(r"^    (\w+): ", documents, re.MULTILINE))

    assert set(vars(error)) - {"__notes__"} == documented & set(vars(error))
    assert all(hasattr(error, name) for name in documented)


def drawn_tree() -> dict[str, tuple[str | None, str]]:
    """Read the tree in the module's docstring: class -> (its base, what the line says of it)."""
    tree: dict[str, tuple[str | None, str]] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__).splitlines():
        drawn = re.fullmatch(r" {4}((?:│  |   )*[├└]─ )?(.+)", line)
        if drawn is None:
            continue
        level = len(drawn[1] or "") // 3
        entries = re.findall(r"([A-Z]\w+) ([45]\d\d|5xx)", drawn[2]) or [drawn[2].split(maxsplit=1)]
        for name, *remark in entries:
            tree[name] = (path[level - 1] if level else None, "".join(remark))
        path[level:] = [entries[-1][0]]
    return tree


def test_the_tree_in_the_docstring_is_that_of_the_classes():
    tree = drawn_tree()

    assert set(tree) == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        base, remark = tree[kind.__name__]
        assert base == (None if kind is AirplaneError else kind.__bases__[0].__name__)
        for other in (ValueError, TimeoutError):
            article = re.search(rf"also an? {other.__name__}\b", remark)
            assert (article is not None) == issubclass(kind, other)


def test_the_statuses_in_the_docstring_are_those_of_the_classes():
    statuses = {name: remark for name, (base, remark) in drawn_tree().items() if base == "APIError"}

    assert "does not have" in statuses.pop("NotSupported")  # by any status
    assert len(statuses) == 8
    assert error_class(500) is error_class(599) is getattr(errors, "ServerError")  # noqa: B009
    assert statuses.pop("ServerError") == "5xx"
    assert {name: error_class(int(status)).__name__ for name, status in statuses.items()} == {
        name: name for name in statuses
    }


@pytest.mark.parametrize(
    ("error", "maybe"),
    [
        (ConnectError("refused"), False),
        (TransportError("lost", sent=False), False),
        (TransportError("lost"), True),
        (ConnectionLost("lost", sent=None), True),
        (AttemptTimeout("late"), True),
        (InvalidResponse("garbage"), True),
        (APIError(404, "no"), False),
        (APIError(500, "no"), True),
        (DecodeError("no", Response(status=200, headers=HEADERS, body=b"")), True),
        (ConfigurationError("no"), False),
        (ClientClosed("no"), True),
        (ClientClosed("no", sent=None), True),
        (ClientClosed("no", sent=False), False),
        (MiddlewareSuspended("no"), False),
    ],
)
def test_an_error_tells_whether_the_server_may_have_acted(error, maybe):
    assert error.maybe_processed is maybe


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectError("refused"), True),
        (ConnectError("certificate", transient=False), False),
        (InvalidResponse("garbage"), False),
        (AttemptTimeout("late"), True),
        (ConnectionLost("lost"), True),
    ],
)
def test_a_transport_error_tells_if_it_is_temporary(error, transient):
    assert error.transient is transient


def test_a_connect_error_was_surely_not_sent():
    assert ConnectError("refused").sent is False


def test_an_error_outside_a_call_knows_of_none():
    error = AirplaneError("message")

    assert (error.operation, error.attempts, error.idempotency_key, error.maybe_processed) == (None, 0, None, False)


def test_an_api_error_has_headers_even_if_none_are_given():
    assert APIError(500, "no").headers == Headers()


def test_the_message_names_the_status_and_the_code():
    assert str(APIError(409, "busy", code="locked")) == "409: busy [locked]"
    assert str(APIError(409, "busy")) == "409: busy"
