# ruff: noqa: INP001 - docs is not a package
"""Draws the pictures of the architecture from the imports of the package: `python -m docs.architecture_picture`.

One picture is for the client and one for the server. Each has a box for each layer of `tests/house/layers.py` and an
arrow for each import, apart from those that a path of other arrows already shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple
from xml.sax.saxutils import escape

from docs.svg import HEAD
from tests.house.layers import DEMOS, FRONT, GRAPH, LAYERS, layer

IMAGES = Path(__file__).parent / "images"

# Everything may import the version, and the others import everything.
LEFT_OUT = {"version", "_extras", "_latch", "", "server", "server.trace_tree", *DEMOS, *FRONT}

BOX, BEND, HEIGHT = 124, 20, 30  # widths of a box and of an arrow on its way past a row; height of a box
GAP, ROW, MARGIN = 18, 64, 28
SWEEPS = 12

FRAME = (
    HEAD
    + """\
<style>
text {{ font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }}
.ground {{ fill: #ffffff; stroke: #d0d7de }}
.box {{ fill: #eef3fb; stroke: #3f51b5 }}
.server {{ fill: #e6f3f1; stroke: #00796b }}
.guest {{ fill: none; stroke: #3f51b5; stroke-dasharray: 4 3 }}
.arrow {{ stroke: #6e7781; fill: none }}
.tip {{ fill: #6e7781 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.ground {{ fill: #0d1117; stroke: #30363d }}
.box {{ fill: #1c2541; stroke: #8c9eff }}
.server {{ fill: #12312d; stroke: #4db6ac }}
.guest {{ fill: none; stroke: #8c9eff }}
.arrow {{ stroke: #8b949e }}
.tip {{ fill: #8b949e }}
}}
</style>
<defs>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
<path class="tip" d="M0 1 L8 4 L0 7 Z"/>
</marker>
</defs>
<rect class="ground" x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8"/>
{content}
</svg>
"""
)

Graph = Mapping[str, set[str]]  # a layer, and the layers that it imports


class Way(NamedTuple):
    """The place at which an arrow passes a row between its ends."""

    start: str
    end: str
    row: int


Item = str | Way


def main() -> None:
    """Write the pictures."""
    for name, picture in pictures().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")


def pictures() -> dict[str, str]:
    """Return the pictures of today's imports by the names of their files."""
    graph = between_layers(GRAPH)
    server = {name for name in graph if name.startswith("server.")}
    used = set().union(*(graph[name] for name in server)) - server
    return {
        "architecture-client.svg": drawing("The layers of the client", below(graph, set(graph) - server)),
        "architecture-server.svg": drawing("The layers of the server", below(graph, server | used), used),
    }


def below(graph: Graph, names: set[str]) -> dict[str, set[str]]:
    """Return the part of a graph between some layers."""
    return {name: graph[name] & names for name in graph if name in names}


def between_layers(modules: Graph) -> dict[str, set[str]]:
    """Return the imports between layers, given those between modules."""
    found: dict[str, set[str]] = {name: set() for name in LAYERS if name not in LEFT_OUT}
    for module, others in modules.items():
        if (name := layer(module)) in found:
            found[name] |= {layer(other) for other in others} - {name} - LEFT_OUT
    return found


def downward(graph: Graph) -> dict[str, set[str]]:
    """Return the imports without those that go up in the order of the layers, between layers that belong together."""
    rank = {name: LAYERS.index(name) for name in graph}
    return {name: {other for other in others if rank[other] < rank[name]} for name, others in graph.items()}


def reachable(graph: Graph, name: str) -> set[str]:
    """Return the layers to which arrows lead from a layer, by way of others as well."""
    return graph[name].union(*(reachable(graph, other) for other in graph[name]))


def reduced(graph: Graph) -> dict[str, set[str]]:
    """Return a graph without arrows that a longer path replaces."""
    return {
        name: {other for other in others if not any(other in reachable(graph, via) for via in others - {other})}
        for name, others in graph.items()
    }


def heights(graph: Graph) -> dict[str, int]:
    """Return the row of each layer, counted from below: one above the highest of those that it imports."""
    rows: dict[str, int] = {}
    for name in sorted(graph, key=LAYERS.index):
        rows[name] = 1 + max((rows[other] for other in graph[name]), default=-1)
    return rows


def arrows(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield the ends of the arrows, in the order of the layers."""
    for name in sorted(graph, key=LAYERS.index):
        for other in sorted(graph[name], key=LAYERS.index):
            yield name, other


def path(start: str, end: str, row: Mapping[str, int]) -> list[Item]:
    """Return an arrow's ends, with its ways past the rows between them."""
    return [start, *(Way(start, end, number) for number in range(row[start] - 1, row[end], -1)), end]


def rows_of(graph: Graph) -> list[list[Item]]:
    """Return what stands in each row from left to right, the lowest row first, so that few arrows cross."""
    row = heights(graph)
    rows: list[list[Item]] = [[] for _ in range(1 + max(row.values()))]
    for name in sorted(graph, key=LAYERS.index):
        rows[row[name]].append(name)
    neighbours: dict[Item, list[Item]] = {}
    for start, end in arrows(graph):
        items = path(start, end, row)
        for item in items[1:-1]:
            rows[item.row if isinstance(item, Way) else 0].append(item)
        for upper, lower in pairwise(items):
            neighbours.setdefault(upper, []).append(lower)
            neighbours.setdefault(lower, []).append(upper)
    for sweep in range(SWEEPS):
        for number in range(len(rows)) if sweep % 2 else reversed(range(len(rows))):
            settle(rows, number, neighbours)
    return rows


def settle(rows: list[list[Item]], number: int, neighbours: Mapping[Item, list[Item]]) -> None:
    """Order the items of a row by the places of the items to which arrows lead."""
    at = {item: place for line in rows for item, place in centres(line).items()}
    rows[number].sort(key=lambda item: mean(at[other] for other in neighbours.get(item, [item])))


def width_of(item: Item) -> int:
    """Return the width that an item takes."""
    return BEND if isinstance(item, Way) else BOX


def centres(line: Sequence[Item]) -> dict[Item, float]:
    """Return where the items of a row are, the middle of the row being 0."""
    total = sum(width_of(item) + GAP for item in line) - GAP
    found, x = {}, -total / 2
    for item in line:
        found[item] = x + width_of(item) / 2
        x += width_of(item) + GAP
    return found


def arrow(points: Sequence[tuple[float, float]], *, is_mutual: bool) -> str:
    """Draw an arrow from the lower edge of one box to the upper edge of another."""
    x, y = points[0]
    drawn = f"M{x:.0f} {y + HEIGHT}"
    for index, (to, top) in enumerate(points[1:], 2):
        y1, y2 = y + HEIGHT, top
        drawn += f" C{x:.0f} {y1 + 16} {to:.0f} {y2 - 16} {to:.0f} {y2}"
        if index < len(points):
            drawn += f" V{y2 + HEIGHT}"
        x, y = to, top
    start = ' marker-start="url(#tip)"' if is_mutual else ""
    return f'<path class="arrow" marker-end="url(#tip)"{start} d="{drawn}"/>'


def box(name: str, x: float, y: float, is_guest: bool) -> str:  # noqa: FBT001 - one of two looks
    """Draw a layer."""
    short = name.removeprefix("server.")
    look = "guest" if is_guest else "server" if short != name else "box"
    return (
        f'<rect class="{look}" x="{x - BOX / 2:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="4"/>'
        f'<text x="{x:.0f}" y="{y + 20:.0f}" text-anchor="middle">{escape(short)}</text>'
    )


def in_words(graph: Graph) -> str:
    """Describe the picture to those who do not see it."""
    sentences = [
        f"{name} imports {', '.join(sorted(others, key=LAYERS.index)) or 'none of the others'}."
        for name, others in sorted(graph.items(), key=lambda item: -LAYERS.index(item[0]))
    ]
    return " ".join(sentences)


def drawing(title: str, graph: Graph, guests: Collection[str] = ()) -> str:
    """Draw layers and their imports as an SVG. Guests are layers that belong to another picture."""
    simple = reduced(downward(graph))
    rows, row = rows_of(simple), heights(simple)
    width = 2 * MARGIN + round(max(sum(width_of(item) + GAP for item in line) - GAP for line in rows))
    height = 2 * MARGIN + ROW * (len(rows) - 1) + HEIGHT
    x = {item: width / 2 + offset for line in rows for item, offset in centres(line).items()}
    y = {item: MARGIN + ROW * (len(rows) - 1 - number) for number, line in enumerate(rows) for item in line}
    content = []
    for start, end in arrows(simple):
        points = [(x[item], y[item]) for item in path(start, end, row)]
        content.append(arrow(points, is_mutual=start in graph[end]))
    content += [box(name, x[name], y[name], name in guests) for name in simple]
    return FRAME.format(
        title=escape(title),
        description=escape(in_words(graph)),
        width=width,
        height=height,
        inner_width=width - 1,
        inner_height=height - 1,
        content="\n".join(content),
    )


if __name__ == "__main__":
    main()
