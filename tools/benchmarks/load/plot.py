"""Draws a run over time as an SVG in the style of the cold-start plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from tools.benchmarks.cold_start.plot import GAP, HEAD, MARGIN, STYLE, WIDTH
from tools.benchmarks.load.run import Run

LEFT, HEIGHT, FOOT = 64, 120, 24  # width of the axis labels, height of a panel, and of the seconds below it
_BUCKETS = 120
_LINES = """
    .line { fill: none; stroke-width: 1.5; }
    .s0 { stroke: #0969da; } .s1 { stroke: #9a6700; } .s2 { stroke: #59636e; }
    .k0 { fill: #0969da; } .k1 { fill: #9a6700; } .k2 { fill: #59636e; }
    .axis, .grid { stroke: #8c959f; }
    .grid { opacity: 0.4; }
    @media (prefers-color-scheme: dark) {
      .s0 { stroke: #4493f8; } .s1 { stroke: #d29922; } .s2 { stroke: #9198a1; }
      .k0 { fill: #4493f8; } .k1 { fill: #d29922; } .k2 { fill: #9198a1; }
      .axis, .grid { stroke: #6e7681; }
    }
"""


@dataclass(frozen=True)
class Series:
    """A line: seconds and values."""

    name: str
    points: Sequence[tuple[float, float]]


def draw_plot(run: Run) -> str:
    """Return panels for latency, for requests and errors and, if sampled, for memory."""
    panels = [
        ("Latency, ms", _read_latencies(run)),
        ("Requests a second", _read_rates(run)),
    ]
    if run.memory.seconds:
        memory = [
            Series(kind, list(zip(run.memory.seconds, sizes, strict=True)))
            for kind, sizes in run.memory.megabytes.items()
        ]
        panels.append(("Resident memory of one process, MB", memory))
    step = HEAD + HEIGHT + FOOT + GAP
    height = 2 * MARGIN + len(panels) * step - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(run.profile.title)}: latency, requests and memory over time</title>',
        f"<style>{STYLE}{_LINES}</style>",
    ]
    for number, (title, series) in enumerate(panels):
        parts += _draw_panel(MARGIN + number * step, title, series, run.seconds)
    return "\n".join([*parts, "</svg>", ""])


def _read_latencies(run: Run) -> list[Series]:
    width = run.seconds / _BUCKETS
    figures = [
        (entry + 0.5, run.measurements.sum_up(start=entry * width, end=(entry + 1) * width))
        for entry in range(_BUCKETS)
    ]
    return [
        Series("p50", [(middle * width, entry.median) for middle, entry in figures if entry.median is not None]),
        Series("p99", [(middle * width, entry.p99) for middle, entry in figures if entry.p99 is not None]),
    ]


def _read_rates(run: Run) -> list[Series]:
    # Whole seconds, so that buckets match the callers' rhythm.
    width = float(ceil(run.seconds / _BUCKETS))
    figures = [
        ((number + 0.5) * width, run.measurements.sum_up(start=number * width, end=(number + 1) * width))
        for number in range(int(run.seconds / width))
    ]
    return [
        Series("requests", [(middle, entry.requests / width) for middle, entry in figures]),
        Series("errors", [(middle, entry.errors / width) for middle, entry in figures]),
    ]


def _draw_panel(top: int, title: str, series: Sequence[Series], seconds: float) -> list[str]:
    left, right, base = MARGIN + LEFT, WIDTH - MARGIN, top + HEAD + HEIGHT
    most = max((value for line in series for _, value in line.points), default=0) or 1
    across, up = (right - left) / seconds, HEIGHT / most
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(title)}</text>']
    at = right
    for number, line in reversed(list(enumerate(series))):
        parts.append(f'<text class="k{number}" x="{at}" y="{top + 14}" text-anchor="end">{escape(line.name)}</text>')
        at -= 8 * len(line.name) + 20
    for share in (0, 0.5, 1):
        y = base - share * HEIGHT
        parts += [
            f'<line class="{"axis" if share == 0 else "grid"}" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="quiet" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{most * share:.3g}</text>',
        ]
    for number, line in enumerate(series):
        points = " ".join(f"{left + x * across:.1f},{base - y * up:.1f}" for x, y in line.points)
        parts.append(f'<polyline class="line s{number}" points="{points}"/>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        x = left + share * (right - left)
        text = f"{seconds * share:.0f} s"
        parts.append(f'<text class="quiet" x="{x:.0f}" y="{base + 18}" text-anchor="{anchor}">{text}</text>')
    return parts
