"""The results as text."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import budgets

from .budgets import verdicts
from .groups import GROUPS, RAW
from .results import Measured, Results

NAMES = 34


def lines(results: Results) -> Iterator[str]:
    """Yield the results, and which budgets are met."""
    yield f"commit {results.commit}, {results.day}, {results.cores} cores; read ratios, not figures"
    yield f"Python {results.python}, " + ", ".join(f"{name} {version}" for name, version in results.versions.items())
    for name, measured in results.groups.items():
        yield ""
        yield from table(name, measured)
    yield from memory(results)
    yield from servers(results)
    for subject, found in verdicts(results).items():
        yield ""
        yield from budgets.lines(f"budgets, {subject}", found, 46)


def table(name: str, measured: Measured) -> Iterator[str]:
    """Yield the figures of one group."""
    yield f"{name}: per call, over {measured.reference}" + (f", without {measured.floor}" if measured.floor else "")
    kinds = "".join(f"{f'{kind} us':>10}{'ratio':>7}{'quartiles':>13}" for kind in ("cpu", "wall"))
    yield f"{'':<{NAMES}}{'kinstr':>9}{'ratio':>7}{kinds}"
    for who in measured.times:
        if who != measured.floor:
            yield f"{who:<{NAMES}}{_counts(measured, who)}{_times(measured, who)}"
    for who, reason in measured.failed.items():
        yield f"{who:<{NAMES}}failed: {reason}"


def _counts(measured: Measured, who: str) -> str:
    count = measured.instructions.get(who)
    if count is None:
        return f"{'-':>9}{'-':>7}"
    reference = measured.instructions.get(measured.reference)
    return f"{count / 1000:>9.1f}" + (f"{count / reference:>7.3f}" if reference else f"{'-':>7}")


def _times(measured: Measured, who: str) -> str:
    row = ""
    for kind in ("cpu", "wall"):
        low, high = measured.spread(kind, who)
        quartiles = f"{low:.2f}-{high:.2f}"
        row += f"{measured.typical(kind, who):>10.4g}{measured.ratio(kind, who):>7.2f}{quartiles:>13}"
    return row


def memory(results: Results) -> Iterator[str]:
    """Yield what calls leave behind."""
    if results.garbage:
        yield ""
        yield f"{'left behind':<{NAMES}}{'objects in cycles per call':>28}{'growth by 10,000 calls, KiB':>30}"
    for who, found in results.garbage.items():
        yield f"{who:<{NAMES}}{found.in_cycles:>28.2f}{found.growth / 1024:>30.0f}"


def servers(results: Results) -> Iterator[str]:
    """Yield how many requests the canned server answers, beside those that the fastest contender makes."""
    for name, measured in results.groups.items():
        if not name.startswith("server"):
            continue
        over_tls = GROUPS[name].over_tls
        most = measured.per_second(measured.reference)
        rates = {
            f"{who} in {group}": one.per_second(who)
            for group, one in results.groups.items()
            if group in GROUPS and GROUPS[group].over_tls == over_tls and not GROUPS[group].pause
            for who in one.times
            if GROUPS[group].reference in one.times and not group.startswith(("overhead", "encode", name))
        }
        raw = {who: rate for who, rate in rates.items() if who.startswith((RAW, "asyncio's"))}
        others = {who: rate for who, rate in rates.items() if who not in raw}
        yield ""
        yield f"the canned server{' over TLS' if over_tls else ''} answers {most:,.0f} requests/s if they do not wait"
        for kind, found in (("of raw sockets", raw), ("of clients", others)):
            if found:
                who = max(found, key=lambda one: found[one])
                yield f"  the fastest {kind}: {found[who]:,.0f}/s ({who}), {found[who] / most:.2f} of that"
