"""Tables of the documentation, made out of the results. Each stands between two comments that name it.

`python -m benchmarks.client --draw` renews them, and a test compares the pages with the results.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.budgets import Verdict

from .budgets import CPU, INSTRUCTIONS, WALL, verdicts
from .encoding import SIZES
from .groups import OURS
from .results import Results

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/start/why.md", "docs/guides/performance.md", "docs/reference/telemetry.md")
BLOCK = re.compile(r"<!-- measured: (\S+) -->\n.*?<!-- end of (\S+) -->", re.DOTALL)
ABSENT = "-"

Column = tuple[str, str, str]
"""Head of a column, the group that it shows, and the kind of its figures."""

SYNC: Sequence[Column] = (
    ("instructions", "plain", INSTRUCTIONS),
    ("CPU", "plain", CPU),
    ("time", "plain", WALL),
    ("CPU, TLS", "tls", CPU),
    ("CPU, 5 ms apart", "spaced", CPU),
    ("CPU, 16 threads", "threads-16", CPU),
)
ASYNC: Sequence[Column] = (
    ("instructions", "async-1", INSTRUCTIONS),
    ("CPU, 1 in flight", "async-1", CPU),
    ("CPU, 32", "async-32", CPU),
    ("CPU, 256", "async-256", CPU),
    ("time, 256", "async-256", WALL),
    ("CPU, 32 over TLS", "async-tls", CPU),
)
READING: Sequence[Column] = (
    ("instructions", "get", INSTRUCTIONS),
    ("CPU", "get", CPU),
    ("time", "get", WALL),
)
TELEMETRY: Sequence[Column] = (
    ("instructions", "telemetry", INSTRUCTIONS),
    ("CPU", "telemetry", CPU),
    ("time", "telemetry", WALL),
)


def renew(results: Results) -> None:
    """Write the tables into the pages."""
    for name in PAGES:
        page = ROOT / name
        page.write_text(renewed(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def renewed(text: str, results: Results) -> str:
    """Return a page with the tables that the results make."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- measured: {name} -->\n\n{TABLES[name](results)}\n\n<!-- end of {name} -->"

    return BLOCK.sub(table, text)


def compared(columns: Sequence[Column]) -> Callable[[Results], str]:
    """Return what makes a table of contenders, as multiples of the reference."""

    def made(results: Results) -> str:
        group = results.groups.get(columns[0][1])
        names = list(group.times) if group else []
        rows = [[name, *(cell(results, column, name) for column in columns)] for name in names]
        return table_of(["", *(head for head, _, _ in columns)], rows)

    return made


def cell(results: Results, column: Column, name: str) -> str:
    _, group, kind = column
    try:
        return shortened(results.groups[group].ratio(kind, name))
    except KeyError:
        return ABSENT


def shortened(figure: float) -> str:
    return f"{figure:.2f}" if figure < 10 else f"{figure:.3g}"


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def overhead(results: Results) -> str:
    """Return the table of what telemetry adds over a transport that answers at once."""
    measured = results.groups["overhead"]
    rows = [
        [name, f"{measured.ratio(CPU, name):.2g}", f"{measured.difference(CPU, name):.2g}"]
        for name in measured.times
        if name != measured.reference
    ]
    return table_of(["", "CPU, multiples", "added, microseconds"], rows)


def encoding(results: Results) -> str:
    """Return the table of what it costs to check and encode parameter values."""
    rows = []
    for size in SIZES:
        measured = results.groups[f"encode-{size}"]
        rows.append([f"{size:,} entries", f"{measured.typical(CPU, OURS):,.3g}", shortened(measured.ratio(CPU, OURS))])
    return table_of(["", "microseconds here", "CPU"], rows)


def starts(results: Results) -> str:
    """Return the table of imports and first replies."""
    imports, replies = results.groups["imports"], results.groups["first-reply"]
    rows = [
        [f"import: {name}", f"{imports.typical(WALL, name) / 1000:.0f}", shortened(imports.ratio(CPU, name))]
        for name in imports.times
        if name != imports.floor
    ]
    rows += [
        [
            f"process to first reply: {name}",
            f"{replies.typical(WALL, name) / 1000:.0f}",
            shortened(replies.ratio(CPU, name)),
        ]
        for name in replies.times
    ]
    return table_of(["", "ms here", "CPU"], rows)


def memory(results: Results) -> str:
    """Return the table of what calls leave behind."""
    rows = [[name, f"{found.in_cycles:.2g}", f"{found.growth / 1024:.0f}"] for name, found in results.garbage.items()]
    return table_of(["", "objects in cycles per call", "growth by 10,000 calls, KiB"], rows)


def judged(results: Results) -> str:
    """Return the table of budgets: how many are met, and which are not."""
    rows = []
    for subject, found in verdicts(results).items():
        missed = [
            f"{budget.name} {figure:.3g} {budget.unit} (budget {budget.bound:g})"
            for budget, figure in found
            if figure is not None and Verdict(budget, figure).is_met is False
        ]
        rows.append([subject, f"{sum(one.is_met is True for one in found)} of {len(found)}", "; ".join(missed) or "-"])
    return table_of(["", "met", "not met"], rows)


def machine(results: Results) -> str:
    """Return the sentence on what the figures were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = wrapped(
        f"Measured on {results.day} on {results.cores} shared cores, with CPython {results.python}, {versions}."
    )
    return "\n".join(lines)


def headline(results: Results) -> str:
    """Return the sentence that compares a call with the same one as others make it."""
    plain = results.groups["plain"]
    names = [name for name in ("httpx", "requests", "OpenAI's SDK", "airplanesdk") if name in plain.times]
    multiples = ", ".join(f"{name} {plain.ratio(CPU, name, OURS):.2g}" for name in names)
    sentence = (
        f"A call takes {100 * plain.ratio(CPU, OURS):.0f} % of the processor time of the same call on bare urllib3, "
        f"with retries, deadline, key and telemetry included. Other clients take multiples of ours: {multiples}."
    )
    return "\n".join(wrapped(sentence))


def wrapped(text: str) -> Iterator[str]:
    """Yield the lines of a paragraph."""
    line = ""
    for word in text.split():
        if len(line) + len(word) >= 120:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


TABLES: Mapping[str, Callable[[Results], str]] = {
    "sync": compared(SYNC),
    "async": compared(ASYNC),
    "get": compared(READING),
    "telemetry": compared(TELEMETRY),
    "overhead": overhead,
    "encoding": encoding,
    "start": starts,
    "memory": memory,
    "budgets": judged,
    "machine": machine,
    "headline": headline,
}
