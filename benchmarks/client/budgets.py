"""The budgets of the client, and whether measured figures meet them.

A budget in x bounds a ratio of figures of the same rounds, or of counts, so other work on the machine changes it
little. Those in microseconds, milliseconds and bytes are this machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.budgets import Budget, Verdict, judged

from .encoding import SIZES
from .groups import BELOW_UNSAMPLED, IN_FLIGHT, OLD, OURS, SAMPLED, THREADS, TWO_SPANS, UNSAMPLED
from .results import Measured, Results
from .start import BUILT, IMPORT_ONLY, MSGSPEC
from .telemetry import NO_SDK

Figure = Callable[[Results], float]
INSTRUCTIONS, CPU, WALL = "instructions", "cpu", "wall"
PEERS = {"elastic-transport": 3.5, "httpx": 5, "requests": 8, "OpenAI's SDK": 9, "azure-core": 11}


def ratio(group: str, kind: str, name: str = OURS, other: str = "") -> Figure:
    """Return what finds a contender's figure over another's, by default the reference's."""
    return lambda results: results.groups[group].ratio(kind, name, other)


def added(kind: str, name: str) -> Figure:
    """Return what finds the figure that telemetry adds to a call, over bare urllib3's."""
    return lambda results: more(results.groups["telemetry"], kind, name, OURS)


def more(measured: Measured, kind: str, name: str, other: str) -> float:
    return measured.ratio(kind, name) - measured.ratio(kind, other)


def beside_spans(results: Results, kind: str) -> float:
    """Return what sampled spans add to our call, over what two spans written by hand add to bare urllib3's."""
    measured = results.groups["telemetry"]
    return more(measured, kind, SAMPLED, OURS) / more(measured, kind, TWO_SPANS, measured.reference)


def faster(group: str) -> Figure:
    """Return what finds our calls per second over the reference's."""
    return lambda results: 1 / results.groups[group].ratio(WALL, OURS)


def of_calls() -> Iterator[Budget]:
    for group, title in (("plain", "execute"), ("tls", "execute over TLS")):
        yield Budget(f"{title}: instructions", 0.22, "x", ratio(group, INSTRUCTIONS))
        yield Budget(f"{title}: CPU", 0.40, "x", ratio(group, CPU))
        yield Budget(f"{title}: time", 0.55, "x", ratio(group, WALL))
    yield Budget("execute, 5 ms apart: CPU", 0.40, "x", ratio("spaced", CPU))
    for count in (1, *THREADS):
        group = "plain" if count == 1 else f"threads-{count}"
        yield Budget(
            f"calls per second, {count} thread{'s' if count > 1 else ''}", 2.2, "x", faster(group), at_least=True
        )
    for peer, bound in PEERS.items():
        yield Budget(f"CPU of {peer} over ours", bound, "x", ratio("plain", CPU, peer, OURS), at_least=True)


def of_reading() -> Iterator[Budget]:
    yield Budget("sessions.get of 1.2 KB: instructions", 0.40, "x", ratio("get", INSTRUCTIONS))
    yield Budget("the same, documented timestamps", 0.40, "x", ratio("get", INSTRUCTIONS, OLD))
    yield Budget("documented over RFC 3339: instructions", 1.3, "x", ratio("get", INSTRUCTIONS, OLD, OURS))


def of_telemetry() -> Iterator[Budget]:
    yield Budget("no SDK, over no telemetry", 1.5, "us", lambda one: one.groups["overhead"].difference(CPU, NO_SDK))
    yield Budget("SDK, unsampled: instructions added", 0.10, "x", added(INSTRUCTIONS, UNSAMPLED))
    yield Budget("SDK, unsampled: CPU added", 0.10, "x", added(CPU, UNSAMPLED))
    yield Budget("in an unsampled trace: instructions", 0.10, "x", added(INSTRUCTIONS, BELOW_UNSAMPLED))
    yield Budget("in an unsampled trace: CPU", 0.10, "x", added(CPU, BELOW_UNSAMPLED))
    yield Budget("sampled over 2 spans: instructions", 1, "x", lambda results: beside_spans(results, INSTRUCTIONS))
    yield Budget("sampled over 2 spans: CPU", 1, "x", lambda results: beside_spans(results, CPU))


def of_async() -> Iterator[Budget]:
    for count in IN_FLIGHT:
        yield Budget(f"{count} in flight: instructions", 0.60, "x", ratio(f"async-{count}", INSTRUCTIONS))
        yield Budget(f"{count} in flight: CPU", 0.75, "x", ratio(f"async-{count}", CPU))
    yield Budget("32 in flight over TLS: CPU", 0.75, "x", ratio("async-tls", CPU))


def of_encoding() -> Iterator[Budget]:
    for size in SIZES:
        yield Budget(f"param_values of {size:,} entries: CPU", 1.5, "x", ratio(f"encode-{size}", CPU))


def of_start() -> Iterator[Budget]:
    yield Budget(
        "import airplane_runbooks, over msgspec",
        10,
        "ms",
        lambda results: results.groups["imports"].difference(CPU, IMPORT_ONLY, MSGSPEC) / 1000,
    )
    yield Budget("a client built, over msgspec, urllib3", 1.20, "x", ratio("imports", CPU, BUILT))
    yield Budget("cold process to first reply", 1.35, "x", ratio("first-reply", WALL))


def in_cycles(who: str) -> Figure:
    return lambda results: results.garbage[who].in_cycles


def growth(who: str) -> Figure:
    return lambda results: results.garbage[who].growth / 1024


def of_memory() -> Iterator[Budget]:
    for who in (OURS, f"{OURS}, async"):
        yield Budget(f"{who}: objects in cycles per call", 0, "", in_cycles(who))
        yield Budget(f"{who}: growth by 10,000 calls", 256, "KiB", growth(who))


BUDGETS = {
    "sync, over bare urllib3": [*of_calls()],
    "async, over bare aiohttp": [*of_async()],
    "reading, over bare urllib3 with msgspec": [*of_reading()],
    "telemetry, over bare urllib3": [*of_telemetry()],
    "encoding, over msgspec.json.encode": [*of_encoding()],
    "start, over bare urllib3 and msgspec": [*of_start()],
    "memory": [*of_memory()],
}


def verdicts(results: Results) -> dict[str, list[Verdict]]:
    """Return all budgets by their subject, with their figures."""
    return {subject: [judged(budget, results) for budget in budgets] for subject, budgets in BUDGETS.items()}
