"""The names in dashboard and alerts are those that clients and servers use."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from conftest import DASHBOARD, EXPRESSIONS, RECORDED
from figures.__main__ import main
from prometheus_client.samples import Sample

WORDS = {"by", "or", "and", "on"}
ADDED = {"job", "instance"}  # by the collector and by Prometheus


def names_in(expression: str) -> tuple[set[str], set[str]]:
    """Return the names of metrics and of labels in an expression."""
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    groups = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)|\{([^}]*)\}", bare)
    labels = {name for pair in groups for text in pair for name in re.findall(r"[a-z_]+", text)}
    rest = re.sub(r"\b(?:by|on)\s*\([^)]*\)|\{[^}]*\}", "", bare)
    return set(re.findall(r"[a-z][a-z0-9_]*(?::[a-z0-9_]+)*(?![a-z0-9_:]*\s*\()", rest)) - WORDS, labels


def test_names_are_told_from_functions_and_numbers() -> None:
    expression = 'max by (job, le) (rate(a_total{of="x{y", to!=""}[5m])) > 0.5 and on (job) a:b:rate5m'
    assert names_in(expression) == ({"a_total", "a:b:rate5m"}, {"job", "le", "of", "to"})


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_has_names_that_are_emitted(name: str, real: list[Sample]) -> None:
    known: defaultdict[str, set[str]] = defaultdict(set)
    for sample in real:
        known[sample.name] |= set(sample.labels)
    metrics, labels = names_in(EXPRESSIONS[name])
    assert metrics
    assert metrics <= set(known) | set(RECORDED)
    if not metrics & set(RECORDED):  # the labels of these are those of their own expressions
        assert labels <= ADDED.union(*(known[metric] for metric in metrics))


def test_panels_are_numbered_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < 24 for x, _ in taken)


def test_the_command_shows_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    output = capsys.readouterr().out
    assert '1  airplane_server_runs_ended_total{airplane_run_status="Failed"' in output
    assert '1  airplane_server_deliveries{airplane_delivery_state="waiting"}' in output
