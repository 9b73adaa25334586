"""Draws bills as an SVG in the style of the cold-start plot."""

from collections.abc import Mapping, Sequence
from html import escape

from tools.benchmarks.cold_start.plot import BAR, GAP, HEAD, LABEL, LINE, MARGIN, STYLE, VALUE, WIDTH
from tools.benchmarks.cost.report import Report, sort_services


def draw_plot(reports: Sequence[Report]) -> str:
    """Return a panel with its own scale for each profile, and a bar for each service, most expensive first."""
    parts: list[str] = []
    top = MARGIN
    for report in reports:
        services = dict(sort_services(report))
        panel = _draw_panel(top, report, services)
        parts += panel
        top += HEAD + LINE * len(services) + GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-labelledby="title">',
        '<title id="title">What a month costs, by service, for the traffic profiles that come along</title>',
        f"<style>{STYLE}</style>",
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _draw_panel(top: int, report: Report, services: Mapping[str, float]) -> list[str]:
    left, right = MARGIN + LABEL, WIDTH - MARGIN
    total = sum(services.values())
    scale = (right - left - VALUE) / max(services.values())
    title = f"{report.profile.title}: ${total:,.2f} a month for {report.profile.count_served():,.0f} requests"
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(title)}</text>']
    for index, (service, dollars) in enumerate(services.items()):
        y = top + HEAD - 8 + index * LINE
        middle = y + BAR - 3
        parts += [
            f'<text x="{left - 8}" y="{middle}" text-anchor="end">{escape(service)}</text>',
            f'<rect class="project" x="{left}" y="{y}" width="{dollars * scale:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{right - 54}" y="{middle}" text-anchor="end">{dollars:,.2f}</text>',
            f'<text class="quiet" x="{right}" y="{middle}" text-anchor="end">{dollars / total:.0%}</text>',
        ]
    return parts
