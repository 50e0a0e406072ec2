"""The timeouts that methods take: `timeout` is that of each call, `wait_timeout` that of a whole wait."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks import Airplane, CallOptions, ConfigurationError
from airplane_runbooks.models import GetSession
from airplane_runbooks.operations import GET_SESSION
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

RUN = {"id": "run1", "status": "Succeeded", "sessionID": "ses1"}
REPLIES = {
    "runbooks.execute": {"sessionID": "ses1"},
    "tasks.execute": {"runID": "run1"},
    "sessions.get": {"id": "ses1", "status": "Succeeded", "output": 1},
    "sessions.list": {"sessions": [{"id": "ses1", "status": "Succeeded"}]},
    "runs.get": RUN,
    "runs.get_outputs": {"output": 1},
    "runs.list": {"runs": [RUN]},
    "prompts.get": {"prompt": {"id": "pmt1", "submittedAt": "2024-01-01T00:00:00Z"}},
    "prompts.list": {"prompts": []},
}
RESOURCES = ("runbooks", "sessions", "runs", "tasks", "prompts")
METHODS = [
    (resource, name)
    for resource in RESOURCES
    for name, member in vars(type(getattr(Airplane("tkn_test", transport=FakeTransport()), resource))).items()
    if not name.startswith("_") and callable(member)
]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Callable[..., Either]:
    def build(**options: Any) -> Either:
        transport = FakeTransport(lambda sent: json_response(REPLIES.get(sent.operation, {})))
        return Either(request.param, transport, **options)

    return build


def act(resource: str, name: str, **options: Any) -> Callable[[Any], Any]:
    """Return the call of a method with as few arguments as it can do with."""

    def call(airplane: Any) -> Any:
        method = getattr(getattr(airplane, resource), name)
        parameters = inspect.signature(method).parameters
        first = (
            []
            if ("list" in name or name.endswith("_all")) and "run_id" not in parameters
            else ["pmt1" if resource == "prompts" else f"{resource[:3]}1"]
        )
        return method(*first, **({"wait_timeout": 600} if "wait_timeout" in parameters else {}), **options)

    return call


def rendered_options() -> int:
    gc.collect()
    return sum(type(one).__name__ == "RenderedOptions" for one in gc.get_objects())


@pytest.mark.parametrize(("resource", "name"), METHODS)
def test_every_method_takes_the_timeout_of_each_of_its_calls(
    make: Callable[..., Either], resource: str, name: str
) -> None:
    either = make(attempt_timeout=None)
    either(act(resource, name, timeout=7, options=CallOptions(timeout=3)))
    assert set(either.transport.timeouts) == {7}


def test_any_operation_takes_the_timeout_of_its_call(make: Callable[..., Either]) -> None:
    either = make(attempt_timeout=None)
    either(lambda airplane: airplane.call(GET_SESSION, GetSession(id="ses1"), timeout=7))
    assert either.transport.timeouts == [7]


def test_a_call_without_a_timeout_inherits_it_and_none_lifts_it(make: Callable[..., Either]) -> None:
    either = make(timeout=9, attempt_timeout=None)
    either(lambda airplane: airplane.sessions.get("ses1"))
    either(lambda airplane: airplane.sessions.get("ses1", timeout=None))
    assert either.transport.timeouts == [9, None]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "60"])
def test_a_timeout_that_cannot_work_is_refused_by_name(make: Callable[..., Either], timeout: Any) -> None:
    either = make()
    with pytest.raises(ConfigurationError, match=r"^timeout must be a positive number"):
        either(lambda airplane: airplane.runbooks.execute("x", timeout=timeout))
    assert either.transport.requests == []


def test_timeouts_that_differ_with_every_call_are_not_kept(make: Callable[..., Either]) -> None:
    either = make()
    kept = []
    for calls in (1, 20):
        for seconds in range(1, calls + 1):
            either(lambda airplane, seconds=seconds: airplane.sessions.get("ses1", timeout=seconds))
        either.transport.requests.clear()
        kept.append(rendered_options())
    assert kept[0] == kept[1]


@pytest.mark.parametrize("resource", ["sessions", "runs", "prompts"])
def test_a_wait_names_the_timeout_that_it_lacks(make: Callable[..., Either], resource: str) -> None:
    with pytest.raises(TypeError, match="wait_timeout"):
        make()(lambda airplane: getattr(airplane, resource).wait("id1", timeout=60))
    with pytest.raises(TypeError, match="wait_timeout"):
        make()(lambda airplane: airplane.runbooks.execute_and_wait("x", timeout=60))


def test_the_slug_and_the_values_come_first_and_may_be_named(make: Callable[..., Either]) -> None:
    either = make()
    either(lambda airplane: airplane.runbooks.execute("refund", {"limit": 1}))
    either(lambda airplane: airplane.runbooks.execute(slug="refund", param_values={"limit": 1}))
    either(lambda airplane: airplane.runbooks.execute_and_wait("refund", {"limit": 1}, wait_timeout=1))
    bodies = [sent.body for sent in either.transport.requests if sent.operation == "runbooks.execute"]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    either(lambda airplane: airplane.tasks.execute("clean", {"limit": 1}))
    either(lambda airplane: airplane.tasks.execute(slug="clean", param_values={"limit": 1}))
    assert either.transport.requests[-1].body == either.transport.requests[-2].body
    either(lambda airplane: airplane.prompts.submit("pmt1", {"ok": True}))
    either(lambda airplane: airplane.prompts.submit(id="pmt1", values={"ok": True}))
    assert either.transport.requests[-1].body == either.transport.requests[-2].body
