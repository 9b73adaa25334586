"""Draws the figures as an SVG that follows the reader's light or dark colour scheme."""

from collections.abc import Mapping
from html import escape

from tools.benchmarks.cold_start.figures import Figures
from tools.benchmarks.cold_start.peers import FLOOR, PROJECT

PANELS = (
    ("Cold: emulator start to first answer, ms", "cold", 0),
    ("Warm: processor time of a list request, ms", "warm_processor", 2),
)
WIDTH, MARGIN = 760, 16
LABEL, VALUE = 180, 124  # widths of the name before a bar and of the figures after it
LINE, BAR, HEAD, GAP = 26, 16, 40, 22

# On white and near-black pages, text has a contrast of at least 4.5, bars of at least 3 (WCAG 2.2, 1.4.3 and 1.4.11).
STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
    .title { font-weight: 600; }
    .quiet { fill: #59636e; }
    .peer { fill: #8c959f; }
    .project { fill: #0969da; }
    .floor { stroke: #59636e; stroke-dasharray: 3 3; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .quiet { fill: #9198a1; }
      .peer { fill: #6e7681; }
      .project { fill: #4493f8; }
      .floor { stroke: #9198a1; }
    }
"""


def draw_plot(figures: Mapping[str, Figures]) -> str:
    """Return the plot: a bar for each peer, shortest first, and a line at the bare boto3 handler."""
    panel_height = HEAD + LINE * len(figures)
    height = 2 * MARGIN + len(PANELS) * panel_height + (len(PANELS) - 1) * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">This project beside its peers: cold starts, and processor time of warm requests</title>',
        f"<style>{STYLE}</style>",
    ]
    for index, (title, figure, digits) in enumerate(PANELS):
        values = {name: entry.median(figure, "list") for name, entry in figures.items()}
        parts += _draw_panel(MARGIN + index * (panel_height + GAP), title, values, digits)
    return "\n".join([*parts, "</svg>", ""])


def _draw_panel(top: int, title: str, values: Mapping[str, float], digits: int) -> list[str]:
    """Return one panel.

    Args:
        top: y coordinate of the panel.
        title: title of the panel.
        values: values by name.
        digits: decimal places of the values.
    """
    left = MARGIN + LABEL
    scale = (WIDTH - left - VALUE - MARGIN) / max(values.values())
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(title)}</text>']
    ordered = sorted(values.items(), key=lambda entry: entry[1])
    for index, (name, value) in enumerate(ordered):
        y = top + HEAD - 8 + index * LINE
        kind = "project" if name == PROJECT else "peer"
        weight = ' class="title"' if name == PROJECT else ""
        middle, right = y + BAR - 3, WIDTH - MARGIN
        parts += [
            f'<text{weight} x="{left - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{value * scale:.1f}" height="{BAR}" rx="2"/>',
            f'<text{weight} x="{right - 54}" y="{middle}" text-anchor="end">{value:.{digits}f}</text>',
            f'<text class="quiet" x="{right}" y="{middle}" text-anchor="end">\u00d7 {value / values[FLOOR]:.2f}</text>',
        ]
    at = left + values[FLOOR] * scale
    bottom = top + HEAD + len(ordered) * LINE - 12
    # Behind the bars.
    parts.insert(1, f'<line class="floor" x1="{at:.1f}" x2="{at:.1f}" y1="{top + HEAD - 14}" y2="{bottom}"/>')
    return parts
