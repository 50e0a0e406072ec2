"""Budgets of measured figures, and whether they are met. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


class Budget(NamedTuple):
    """A bound, and the figure that it is for. `at_least` turns the bound round.

    `odd` is what other work of the measured program may add to a count: what it does at intervals falls into some.
    """

    name: str
    bound: float
    unit: str
    figure: Callable[[Any], float]
    at_least: bool = False
    odd: float = 0.0


class Verdict(NamedTuple):
    """A budget beside its figure, which is None if it was not measured."""

    budget: Budget
    figure: float | None

    @property
    def is_met(self) -> bool | None:
        if self.figure is None:
            return None
        return (
            self.figure >= self.budget.bound
            if self.budget.at_least
            else self.figure <= self.budget.bound + self.budget.odd
        )


def judged(budget: Budget, results: object) -> Verdict:
    """Compare a budget with the results. What they lack was not measured."""
    try:
        return Verdict(budget, budget.figure(results))
    except KeyError:
        return Verdict(budget, None)


def lines(title: str, verdicts: Iterable[Verdict], width: int = 40) -> Iterator[str]:
    """Yield a table of verdicts."""
    yield f"{title:<{width}}{'bound':>9}{'measured':>11}"
    for verdict in verdicts:
        budget, figure = verdict
        sign = ">=" if budget.at_least else "<="
        measured = "-" if figure is None else f"{figure:.3g}"
        word = {None: "not measured", True: "met", False: "NOT MET"}[verdict.is_met]
        yield f"{budget.name:<{width}}{sign:>3}{budget.bound:>6g}{measured:>11} {budget.unit:<4}{word}"
