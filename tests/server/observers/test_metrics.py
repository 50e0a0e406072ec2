"""The server's metrics: what each records, with attributes of few values, and nothing without a provider."""

from __future__ import annotations

import socket
import threading

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from airplane_runbooks.server import Context, RunbookServer, Webhook, events, runbook, task
from airplane_runbooks.server.observers.metrics import Metrics
from airplane_runbooks.server.storage import census
from airplane_runbooks.server.storage.connections import Commit
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.storage.outages import Outages
from airplane_runbooks.telemetry.metrics import PROVIDER_MODULE
from tests.support.servers import Client, eventually

KEY = "tkn_of_the_server"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@runbook
def ask(context: Context) -> bool:
    return context.prompt("Go on?", go=bool)["go"]


@runbook
def fail(context: Context) -> None:
    context.step(raise_error, name="raise 4711")


def raise_error() -> None:
    raise KeyError("secret")


@task
def tidy() -> None:
    """Do nothing."""


class Measured:
    """A server with a meter provider of its own."""

    def __init__(self, *runbooks, tasks=(), **options):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.server = RunbookServer(runbooks, tasks, api_key=KEY, meter_provider=self.provider, **options)
        self.server.start()
        self.api = Client(self.server)

    def points(self, name):
        """Return what is known of a metric by its attributes, in the order of their names."""
        data = self.reader.get_metrics_data()
        found = [
            one
            for scope in (data.resource_metrics[0].scope_metrics if data else ())
            for one in scope.metrics
            if one.name == name
        ]
        assert {one.unit for one in found} <= {"s", "{message}", "{session}", "{run}", "{worker}"}
        points = [point for one in found for point in one.data.data_points]
        return {tuple(value for _, value in sorted(point.attributes.items())): point for point in points}

    def values(self, name):
        return {key: point.value for key, point in self.points(name).items()}

    def counts(self, name):
        return {key: point.count for key, point in self.points(name).items()}

    def close(self):
        self.api.close()
        self.server.close()
        self.provider.shutdown()


@pytest.fixture
def measured(request):
    made = []

    def make(*args, **options):
        made.append(Measured(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_ends_of_runs_are_counted_by_their_outcome(measured):
    one = measured(ask, fail, tasks=[tidy])
    one.api.finishes("fail", status="Failed")
    session_id = one.api.execute("ask")
    one.api.open_prompt(session_id)
    assert one.api.post("/runs/cancel", {"runID": one.api.runs(session_id)[0]["id"]}).status == 200
    assert one.api.post("/tasks/execute", {"slug": "tidy"}).status == 200
    expected = {("Cancelled", "ask"): 1, ("Failed", "fail", "KeyError"): 1, ("Succeeded", "tidy"): 1}
    eventually(lambda: one.values("airplane.server.runs.ended") == expected)


def test_durations_of_steps_and_tasks_have_no_names_of_steps(measured):
    one = measured(fail, tasks=[tidy])
    one.api.finishes("fail", status="Failed")
    assert one.api.post("/tasks/execute", {"slug": "tidy"}).status == 200
    eventually(lambda: len(one.counts("airplane.server.step.duration")) == 2)
    assert one.counts("airplane.server.step.duration") == {("step", "fail", "KeyError"): 1, ("task", "tidy"): 1}
    assert "4711" not in str(one.points("airplane.server.step.duration"))


def test_unfinished_sessions_are_counted_by_status(measured):
    one = measured(ask)
    for _ in range(3):
        one.api.open_prompt(one.api.execute("ask"))
    found = one.values("airplane.server.sessions")
    assert {key: value for key, value in found.items() if value} == {(False, "Waiting"): 3}
    assert set(found) == {(False, status) for status in ("Pending", "Active", "Waiting", "Cancelling")} | {
        (True, status) for status in ("Pending", "Waiting")
    }


def test_messages_that_have_not_arrived_are_counted_by_state(measured):
    with socket.socket() as refusing:  # it does not listen
        refusing.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{refusing.getsockname()[1]}/hook"
        one = measured(ask, notify=[Webhook(url, secret=SECRET, events=["prompt.opened"])])
        assert one.values("airplane.server.deliveries") == {("waiting",): 0, ("given_up",): 0}
        one.api.open_prompt(one.api.execute("ask"))
        assert one.values("airplane.server.deliveries") == {("waiting",): 1, ("given_up",): 0}


def test_a_server_without_targets_counts_no_messages(measured):
    assert measured(ask).points("airplane.server.deliveries") == {}


def test_sessions_are_counted_once_for_each_collection(measured, monkeypatch):
    asked = []
    count = census.count_sessions
    monkeypatch.setattr(census, "count_sessions", lambda database: asked.append(1) or count(database))
    one = measured(ask)
    one.api.open_prompt(one.api.execute("ask"))
    assert asked == []
    one.reader.get_metrics_data()
    assert asked == [1]


def test_busy_workers_and_the_time_in_the_queue_are_measured(measured):
    gate, begun = threading.Event(), threading.Barrier(3)

    @runbook
    def slow(context: Context) -> None:
        begun.wait(100)
        assert gate.wait(100)

    @runbook
    def late(context: Context) -> None:
        """Wait for a worker."""

    one = measured(slow, late, workers=2)
    first = [one.api.execute("slow") for _ in range(2)]
    begun.wait(100)
    last = one.api.execute("late")
    assert one.values("airplane.server.workers.busy") == {(): 2}
    assert one.values("airplane.server.workers.limit") == {(): 2}
    assert one.counts("airplane.server.queue.delay") == {(): 2}
    gate.set()
    for session_id in (*first, last):
        one.api.reaches(session_id, "Succeeded")
    assert one.counts("airplane.server.queue.delay") == {(): 3}
    eventually(lambda: one.values("airplane.server.workers.busy") == {(): 0})


def test_commits_and_requests_are_measured_by_the_conventions(measured):
    one = measured(ask)
    before = one.counts("db.client.operation.duration")
    one.api.open_prompt(one.api.execute("ask"))
    assert one.api.get("/sessions/get", id="ses1").status == 404
    assert list(before) == [("COMMIT", "sqlite")]
    assert one.counts("db.client.operation.duration")["COMMIT", "sqlite"] > before["COMMIT", "sqlite"]
    requests = one.counts("http.server.request.duration")
    assert requests["POST", 200, "/v0/runbooks/execute", "http"] == 1
    assert requests["GET", 404, "/v0/sessions/get", "http"] == 1


def test_a_commit_that_fails_has_the_class_of_its_error():
    reader = InMemoryMetricReader()
    own = Metrics("postgresql", MeterProvider([reader]))
    commit = Commit(Outages(), lambda _: None)
    commit.watch = own.committed
    commit.watch(0.5, DatabaseUnavailable())
    (metric,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.data.data_points
    assert point.attributes["error.type"].endswith("DatabaseUnavailable")
    assert point.sum == 0.5


def test_a_database_that_does_not_answer_has_no_figures(measured, monkeypatch):
    one = measured(ask)

    def refuse(*_):
        raise DatabaseUnavailable

    monkeypatch.setattr(type(one.server._lifecycle.services.store.database), "query", refuse)
    assert one.points("airplane.server.sessions") == {}
    assert one.values("airplane.server.workers.limit") == {(): 16}


def test_a_closed_server_is_not_reported(measured):
    one = measured(ask)
    second = RunbookServer([ask], meter_provider=one.provider, workers=3)
    assert one.values("airplane.server.workers.limit") == {(): 19}
    second.close()
    assert one.values("airplane.server.workers.limit") == {(): 16}


def test_nothing_is_recorded_while_there_is_no_provider(monkeypatch):
    monkeypatch.setattr(PROVIDER_MODULE, "_METER_PROVIDER", None)
    own = Metrics("sqlite")
    assert not own.is_on
    assert own.enclose(events.RequestReceived(method="GET", route="/", headers={})) is None
    monkeypatch.setattr(own, "_steps", None)
    root = events.Root(session_id=None, run_id="r", kind="task", slug="t")
    own.observe(events.AttemptEnded(root=root, run_id="r", kind="task", slug="t", attempt=1, error=None, duration=1.0))
    own.committed(1.0, None)
    own.taken(1.0)


class Broken(MeterProvider):
    """A provider that raises."""

    def get_meter(self, *_, **__):
        raise ValueError("tkn_secret")


def test_a_broken_provider_changes_no_result(caplog):
    with RunbookServer([ask], api_key=KEY, meter_provider=Broken()) as server:
        client = Client(server)
        session_id = client.execute("ask")
        assert client.answer(session_id, go=True).status == 200
        client.reaches(session_id, "Succeeded")
        client.close()
    assert "ValueError" in caplog.text
    assert "tkn_secret" not in caplog.text
