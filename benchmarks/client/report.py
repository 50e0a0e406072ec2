"""The results as text."""

from __future__ import annotations

from collections.abc import Iterator

from .groups import AIOHTTP, OURS, URLLIB3
from .results import Measured, Results

# What a call should cost, over the reference of its group: the group, the kind of figure, the most that it should be.
BUDGETS = (
    ("plain", "instructions", 0.22),
    ("plain", "cpu", 0.40),
    ("plain", "wall", 0.55),
    ("tls", "cpu", 0.40),
    ("tls", "wall", 0.55),
    ("async-1", "instructions", 0.60),
    ("async-1", "cpu", 0.75),
    ("async-32", "cpu", 0.75),
    ("async-256", "cpu", 0.75),
)


def lines(results: Results) -> Iterator[str]:
    """Yield the results, and which budgets are met."""
    yield f"Python {results.python}, " + ", ".join(f"{name} {version}" for name, version in results.versions.items())
    for name, measured in results.groups.items():
        yield ""
        yield from table(name, measured)
    yield ""
    yield from budgets(results)


def table(name: str, measured: Measured) -> Iterator[str]:
    """Yield the figures of one group."""
    title = f"{name}: per call, over {measured.reference}"
    yield f"{title:<44}{'instructions':>13}{'cpu':>7}{'quartiles':>13}{'wall':>7}{'quartiles':>13}"
    for who in measured.times:
        instructions = measured.instruction_ratio(who)
        row = f"{who:<44}" + (f"{instructions:>13.3f}" if instructions is not None else f"{'-':>13}")
        for kind in ("cpu", "wall"):
            low, high = measured.spread(kind, who)
            quartiles = f"{low:.2f}-{high:.2f}"
            row += f"{measured.ratio(kind, who):>7.2f}{quartiles:>13}"
        yield row


def budgets(results: Results) -> Iterator[str]:
    """Yield the budgets, with what was measured."""
    yield f"{'budgets, ours over ' + URLLIB3 + ' or ' + AIOHTTP:<44}{'bound':>13}{'measured':>10}"
    for name, kind, bound in BUDGETS:
        measured = results.groups.get(name)
        if measured is None or (kind == "instructions" and not measured.instructions):
            continue
        found = measured.instructions[OURS] / measured.instructions[measured.reference] if kind == "instructions" else 0
        found = found or measured.ratio(kind, OURS)
        yield f"{name + ': ' + kind:<44}{bound:>13.2f}{found:>10.3f}  {'met' if found <= bound else 'NOT MET'}"
