"""Charts as SVG, in the manner of the other pictures of the documentation. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from docs.svg import HEAD

WIDTH, MARGIN = 760, 24
NAMES, BARS_END = 200, 660  # where the bars begin, and where the longest one ends
ROW, GAP = 22, 14
PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_HEIGHT = 70, 560, 44, 300
LOOKS = 5

FRAME = (
    HEAD
    + """\
<style>
text {{ font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }}
.strong {{ font-weight: 600 }}
.ground {{ fill: #ffffff; stroke: #d0d7de }}
.grid {{ stroke: #d8dee4 }}
.line {{ fill: none; stroke-width: 2 }}
.look0 {{ --look: #3f51b5 }}
.look1 {{ --look: #00796b }}
.look2 {{ --look: #b26a00 }}
.look3 {{ --look: #8e24aa }}
.look4 {{ --look: #78909c }}
.bar {{ fill: var(--look) }}
.line {{ stroke: var(--look) }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.ground {{ fill: #0d1117; stroke: #30363d }}
.grid {{ stroke: #30363d }}
.look0 {{ --look: #8c9eff }}
.look1 {{ --look: #4db6ac }}
.look2 {{ --look: #ffb74d }}
.look3 {{ --look: #ce93d8 }}
.look4 {{ --look: #90a4ae }}
}}
</style>
<rect class="ground" x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8"/>
{content}
</svg>
"""
)


class Bar(NamedTuple):
    """A figure of a bar chart. Bars of one look belong together across the groups."""

    name: str
    value: float
    look: int


Series = Mapping[str, Sequence[tuple[float, float]]]


def bar_chart(title: str, unit: str, groups: Mapping[str, Sequence[Bar]]) -> str:
    """Draw groups of bars, one below the other."""
    longest = max(bar.value for bars in groups.values() for bar in bars)
    content, words = [f'<text class="strong" x="{MARGIN}" y="30">{escape(title)}</text>'], []
    y = 44
    for group, bars in groups.items():
        content.append(f'<text class="strong" x="{MARGIN}" y="{y + 15}">{escape(group)}</text>')
        y += ROW
        for bar in bars:
            width = (BARS_END - NAMES) * bar.value / longest
            figure = f"{bar.value:.3g} {unit}"
            content.append(
                f'<text x="{MARGIN}" y="{y + 15}">{escape(bar.name)}</text>'
                f'<rect class="bar look{bar.look % LOOKS}" x="{NAMES}" y="{y + 4}" width="{width:.1f}" height="14"/>'
                f'<text x="{NAMES + width + 6:.1f}" y="{y + 15}">{escape(figure)}</text>'
            )
            words.append(f"{group}, {bar.name}: {figure}.")
            y += ROW
        y += GAP
    return _framed(title, " ".join(words), y, content)


def line_chart(title: str, axes: tuple[str, str], series: Series) -> str:
    """Draw series of points, both axes logarithmic. The axes' names are that of x and that of y."""
    points = [point for line in series.values() for point in line]
    x_scale = _Scale(sorted({x for x, _ in points}), PLOT_LEFT, PLOT_RIGHT)
    y_scale = _Scale(_round_ticks([y for _, y in points]), PLOT_TOP + PLOT_HEIGHT, PLOT_TOP)
    content = [f'<text class="strong" x="{MARGIN}" y="28">{escape(title)}</text>', *_grid(x_scale, y_scale, axes)]
    content += _lines(series, x_scale, y_scale)
    words = [f"{name}: " + ", ".join(f"{y:.3g} at {x:g}" for x, y in line) + "." for name, line in series.items()]
    description = f"{axes[1]} by {axes[0]}. " + " ".join(words)
    return _framed(title, description, PLOT_TOP + PLOT_HEIGHT + 56, content)


class _Scale:
    """Places of numbers on a logarithmic axis that begins and ends at a tick."""

    def __init__(self, ticks: Sequence[float], start: float, end: float) -> None:
        self.ticks = ticks
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        first, last = self.ticks[0], self.ticks[-1]
        return self._start + math.log(value / first) / math.log(last / first) * (self._end - self._start)


def _round_ticks(values: Sequence[float]) -> list[float]:
    """Return the ticks 1, 2, 5, 10, ... around some numbers."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    ticks = [float(digit * 10**power) for power in range(low, high + 1) for digit in (1, 2, 5)]
    below, above = (tick for tick in ticks if tick <= min(values)), (tick for tick in ticks if tick >= max(values))
    first, last = max(below), min(above)
    return [tick for tick in ticks if first <= tick <= max(last, 2 * first)]


def _grid(x_scale: _Scale, y_scale: _Scale, axes: tuple[str, str]) -> Iterator[str]:
    bottom = PLOT_TOP + PLOT_HEIGHT
    for tick in x_scale.ticks:
        x = x_scale.place(tick)
        yield f'<path class="grid" d="M{x:.1f} {PLOT_TOP} V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(tick)}</text>'
    for tick in y_scale.ticks:
        y = y_scale.place(tick)
        yield f'<path class="grid" d="M{PLOT_LEFT} {y:.1f} H{PLOT_RIGHT}"/>'
        yield f'<text x="{PLOT_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>'
    yield f'<text x="{PLOT_RIGHT}" y="{bottom + 38}" text-anchor="end">{escape(axes[0])}</text>'
    yield f'<text x="{PLOT_RIGHT + 12}" y="{PLOT_TOP + 4}">{escape(axes[1])}</text>'


def _lines(series: Series, x_scale: _Scale, y_scale: _Scale) -> Iterator[str]:
    taken: list[float] = []
    for look, (name, line) in enumerate(series.items()):
        places = [(x_scale.place(x), y_scale.place(y)) for x, y in line]
        way = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line look{look % LOOKS}" d="M{way}"/>'
        label = places[-1][1] + 4
        while any(abs(label - other) < 16 for other in taken):
            label += 4
        taken.append(label)
        yield f'<rect class="bar look{look % LOOKS}" x="{PLOT_RIGHT + 12}" y="{label - 9:.1f}" width="9" height="9"/>'
        yield f'<text x="{PLOT_RIGHT + 26}" y="{label:.1f}">{escape(name)}</text>'


def _short(number: float) -> str:
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"


def _framed(title: str, description: str, height: float, content: Sequence[str]) -> str:
    return FRAME.format(
        title=escape(title),
        description=escape(description),
        width=WIDTH,
        height=round(height),
        inner_width=WIDTH - 1,
        inner_height=round(height) - 1,
        content="\n".join(content),
    )
