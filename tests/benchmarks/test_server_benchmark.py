"""The benchmark of the server starts, and its pure parts count and compare rightly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from benchmarks.budgets import Budget, Verdict
from benchmarks.charts import Bar, bar_chart, line_chart
from benchmarks.server import report, results
from benchmarks.server.budgets import verdicts
from benchmarks.server.figures import percentile, ratio
from benchmarks.server.pictures import pictures
from benchmarks.server.results import FURTHER, WHOLE, Alone, Latency, Load, Results
from benchmarks.server.stage import QUICK
from benchmarks.server.statements import Counts, count, of_log, of_trace

ROOT = Path(__file__).parents[2]
UNMEASURED = (
    "10,000 long polls",
    "long polls: statements without a call",
    "waiting sessions: CPU",
    "waiting session",
)
SVG = "{http://www.w3.org/2000/svg}"

TRACE = """\
1\tBEGIN IMMEDIATE
1\tINSERT INTO runbook_runs (id) VALUES ('a')
2\tBEGIN
2\tSELECT 1 FROM runbook_runs
2\tROLLBACK
1\tSAVEPOINT one
1\tROLLBACK TO one
1\tUPDATE runbook_sessions SET status = 'x'
1\tCOMMIT
3\tBEGIN
3\tINSERT INTO workflow_status (id) VALUES ('a')
3\tCOMMIT
2\tDELETE FROM runbook_runs
http\t/runbooks/execute
"""


def test_the_commits_that_write_are_counted_by_their_tables():
    assert count(of_trace(TRACE)) == Counts(commits=2, queue_commits=1, statements=7, calls=1)


def test_a_transaction_that_is_rolled_back_is_not_a_commit():
    rolled_back = "1\tBEGIN\n1\tINSERT INTO runbook_runs\n1\tROLLBACK\n1\tBEGIN\n1\tSELECT 1\n1\tCOMMIT\n"

    assert count(of_trace(rolled_back)) == Counts(statements=2)


def test_the_log_of_postgresql_is_read_for_one_database():
    log = (
        "11 mine LOG:  statement: BEGIN\n"
        "11 mine LOG:  execute <unnamed>: INSERT INTO runbook_runs\n"
        "\tVALUES ($1)\n"
        "11 mine DETAIL:  parameters: $1 = 'LOG:  statement: DELETE FROM runbook_runs'\n"
        "12 other LOG:  statement: DELETE FROM runbook_runs\n"
        '13 mine LOG:  execute _pg3_1: UPDATE "runbook_dbos".workflow_status SET a = 1\n'
        "11 mine LOG:  statement: COMMIT\n"
    )

    assert count(of_log(log, "mine")) == Counts(commits=1, queue_commits=1, statements=2)


def test_the_counts_of_an_idle_server_are_taken_off():
    counts, idle = Counts(commits=20, statements=100, calls=1), Counts(statements=5, calls=1)

    assert counts.per_session(idle, 4, 10) == Counts(commits=2, statements=8, calls=0)


def test_a_percentile_is_one_of_the_values():
    assert [percentile(range(100), percent) for percent in (0, 50, 99, 100)] == [0, 50, 99, 99]
    assert percentile([3.0], 99) == 3.0


def test_a_slow_round_does_not_change_a_ratio():
    assert ratio([2, 20, 2], [1, 10, 1]) == 2


def test_the_first_two_rounds_take_place_even_if_they_are_late():
    assert list(QUICK._replace(longest=-1).turns(5)) == [0, 1]
    assert list(QUICK._replace(longest=60).turns(5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("figure", "at_least", "is_met"),
    [(2, False, True), (2.1, False, False), (1.9, True, False), (2, True, True), (None, True, None)],
)
def test_a_budget_is_met_up_to_its_bound(figure, at_least, is_met):
    budget = Budget("commits", 2, "", lambda _: 2, at_least)

    assert Verdict(budget, figure).is_met is is_met


@pytest.fixture
def measured():
    load = {"W1": Load([0.002, 0.004], [0.001, 0.002], [300, 150], [0.01]), "W2": Load([0.01], [0.0], [100], [0.01])}
    bare = {"W1": Load([0.002, 0.004], [0, 0], [400, 200], [0.01]), "W2": Load([0.01], [0.0], [100], [0.01])}
    names = [f"{who}, {database}" for database in ("SQLite", "PostgreSQL") for who in ("ours", "earlier", "bare DBOS")]
    latency = Latency([0.003], [0.01], [0.01], [0.02], [0.015])
    sessions = {"W1": Counts(commits=2.1), "W2": Counts(commits=5), FURTHER: Counts(commits=7), WHOLE: Counts(calls=2)}
    return Results(
        slowdown=[1.0],
        loads={name: bare if "DBOS" in name else load for name in names},
        latencies=dict.fromkeys(names, latency),
        alone={name: Alone(0.001, 0.0, 1, 1, Counts(), sessions) for name in names},
    )


def test_all_budgets_of_measured_parts_have_a_verdict(measured):
    found = {
        f"{database}: {verdict.budget.name}": verdict.is_met
        for database, of_database in verdicts(measured).items()
        for verdict in of_database
    }

    assert [name for name, is_met in found.items() if is_met is None] == [
        *(f"SQLite: {name}" for name in UNMEASURED),
        *(f"PostgreSQL: {name}" for name in UNMEASURED[:-1]),
        "PostgreSQL: database CPU, 3 servers over 1",
        "PostgreSQL: waiting session",
    ]
    assert {name for name, is_met in found.items() if is_met is False} == {
        *(f"{database}: execute_and_wait over start -> end" for database in ("SQLite", "PostgreSQL")),
        "SQLite: W1: CPU, other work made up for",
        "SQLite: W1: CPU beside bare DBOS",
        "SQLite: W1: ended/s beside earlier",
        *(f"{database}: answer -> end, p50 by the clock" for database in ("SQLite", "PostgreSQL")),
    }


def test_a_commit_of_an_idle_server_does_not_break_a_budget():
    budget = Budget("commits", 2, "", lambda _: 2, odd=0.4)

    assert [Verdict(budget, figure).is_met for figure in (2.0, 2.3, 2.5)] == [True, True, False]


def test_the_report_says_which_budgets_are_not_met(measured):
    lines = list(report.lines(measured))

    assert any(line.startswith("W1: ended/s beside earlier") and line.endswith("NOT MET") for line in lines)
    assert any(line.startswith("ours, SQLite") and "1.50" in line for line in lines)


def test_results_are_read_as_they_were_written(measured, tmp_path):
    results.save(measured, tmp_path / "results.json")

    again = results.load(tmp_path / "results.json")

    assert again.loads == measured.loads
    assert again.alone == measured.alone
    assert again.latencies == measured.latencies


def test_pictures_describe_themselves_in_words(measured):
    drawn = {name: fromstring(picture) for name, picture in pictures(measured).items()}

    assert set(drawn) == {"server-cpu.svg", "server-latency.svg"}
    assert "W1, SQLite, ours: 1.5 x." in drawn["server-cpu.svg"].findtext(f"{SVG}desc")


def test_the_longest_bar_fills_the_width():
    chart = fromstring(bar_chart("Title", "ms", {"group": [Bar("a", 1, 0), Bar("b & c", 2, 1)]}))

    short, long = [float(bar.get("width")) for bar in chart.iter(f"{SVG}rect") if "bar" in bar.get("class", "")]
    assert long == 2 * short


def test_a_chart_of_lines_names_each_of_them():
    chart = fromstring(line_chart("Title", ("servers", "sessions/s"), {"a": [(1, 10), (64, 640)], "b": [(1, 9)]}))

    texts = [text.text for text in chart.iter(f"{SVG}text")]
    assert {"a", "b", "servers", "sessions/s", "64"} <= set(texts)
    assert "a: 10 at 1, 640 at 64." in chart.findtext(f"{SVG}desc")


def test_the_benchmark_starts_and_explains_itself():
    command = [sys.executable, "-m", "benchmarks.server", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert "--against" in done.stdout
    assert "throughput, latency, alone, waiting, polls, servers" in " ".join(done.stdout.split())
