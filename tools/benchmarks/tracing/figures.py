"""Figures of each candidate, relative to the function without tracing."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NONE = "none"
OWN = "X-Ray segments (this project)"
ELSEWHERE = "the same, daemon on another processor"
OFF = "the same, `Traces=off`"
IMPORT_BOUND, WARM_BOUND = 1.03, 1.02


@dataclass
class Figures:
    """One candidate's figures; times are processor seconds of the function's process.

    Attributes:
        zipped_bytes: size of its layer.
        imports: imports of the function's module, one for each start of an interpreter.
        first: from the start to the first response of a sampled request, one for each start.
        sampled: sampled warm lists, a median of blocks for each environment.
        unsampled: unsampled warm lists.
    """

    zipped_bytes: int
    imports: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    sampled: list[float] = field(default_factory=list)
    unsampled: list[float] = field(default_factory=list)


def find_ratio(values: Sequence[float], floor: Sequence[float]) -> tuple[float, float, float]:
    """Return the quartiles of the ratios of paired values: second, first, third."""
    ratios = [value / entry for value, entry in zip(values, floor, strict=True)]
    first, second, third = statistics.quantiles(ratios, n=4)
    return second, first, third


def format_table(figures: Mapping[str, Figures]) -> str:
    floor = figures[NONE]
    lines = [
        "| | import | to the first answer | warm list, sampled | warm list, not sampled | layer, KB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, entry in figures.items():
        cells = [
            _format_cell(entry.imports, floor.imports, 1, name),
            _format_cell(entry.first, floor.first, 1, name),
            _format_cell(entry.sampled, floor.sampled, 3, name),
            _format_cell(entry.unsampled, floor.unsampled, 3, name),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {entry.zipped_bytes / 1024:,.0f} |")
    return "\n".join(lines)


def _format_cell(values: Sequence[float], floor: Sequence[float], digits: int, name: str) -> str:
    milliseconds = f"{statistics.median(values) * 1000:.{digits}f} ms"
    if name == NONE:
        return milliseconds
    ratio, first, third = find_ratio(values, floor)
    return f"**{ratio:.3f}** ({first:.3f} to {third:.3f}), {milliseconds}"


def find_excesses(figures: Mapping[str, Figures]) -> list[str]:
    """Return a sentence for each limit that this project exceeds."""
    own, floor = figures[OWN], figures[NONE]
    bounds = (
        ("importing the function's module", own.imports, floor.imports, IMPORT_BOUND),
        ("a warm list that is sampled", own.sampled, floor.sampled, WARM_BOUND),
        ("a warm list that is not sampled", own.unsampled, floor.unsampled, WARM_BOUND),
    )
    ratios = [(what, find_ratio(values, entry)[0], bound) for what, values, entry, bound in bounds]
    return [f"{what}: {ratio:.3f} is over {bound:g}." for what, ratio, bound in ratios if ratio > bound]
