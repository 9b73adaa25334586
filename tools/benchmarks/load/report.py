"""A run's report in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from tools.benchmarks.load.measurements import Figures
from tools.benchmarks.load.memory import MemoryFigures
from tools.benchmarks.load.run import Run

_PAGE = Path(__file__).with_name("page.md")
_LATENCY_HEAD = "requests | requests/s | errors | p50 ms | p90 ms | p99 ms | max ms"
_MOST_PROBLEMS = 10


def format_report(run: Run, conditions: Mapping[str, str], unmeasured: Sequence[str], plot: str, command: str) -> str:
    """Return the report as a page.

    Args:
        run: the run.
        conditions: machine and date, by name.
        unmeasured: the API's routes that got no request.
        plot: file name of the plot.
        command: command that produces the page.
    """
    text = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=run.profile.title,
        command=command,
        verdict=_describe_verdict(run),
        routes=format_routes(run),
        stages=_format_stages(run),
        unmeasured=format_unmeasured(unmeasured),
        problems=_format_problems(run),
        plot=plot,
        mix=", ".join(f"{name} {count}" for name, count in run.profile.mix.items()),
        resources=run.profile.resources,
        memory=_format_memory(run.memory.sum_up()),
        conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items()),
    )
    # Empty sections leave no gap.
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def format_routes(run: Run) -> str:
    """Return the table by route, with all requests last."""
    rows = [(f"`{route}`", run.measurements.sum_up(route)) for route in run.measurements.routes]
    rows.append(("all", run.measurements.sum_up()))
    return "\n".join(
        [f"| route | {_LATENCY_HEAD} |", "|---|" + "---:|" * 7]
        + [f"| {name} | {_format_figures(figures, run.seconds)} |" for name, figures in rows]
    )


def format_unmeasured(routes: Sequence[str]) -> str:
    """Return a sentence about the routes that got no request; an empty string if there are none."""
    return f"No request was sent to {', '.join(f'`{route}`' for route in routes)}." if routes else ""


def _describe_verdict(run: Run) -> str:
    total = run.measurements.sum_up()
    cut = "" if run.is_complete else " It was ended early."
    if run.silent_since is not None:
        cut = f" From second {run.silent_since:.0f} on, no request got a response.{cut}"
    allowed = f"{run.profile.allowed_errors:.2%}" if run.profile.allowed_errors else "none"
    return (
        f"{total.requests:,} requests in {run.seconds:.0f} seconds, {total.errors} of them failed"
        f" ({total.error_share:.2%}; allowed: {allowed}).{_describe_growth(run)}{cut}"
    )


def _describe_growth(run: Run) -> str:
    most = run.profile.allowed_growth
    if most is None or not run.memory.sum_up():
        return ""
    grown = ", ".join(run.growing) or "no process"
    return f" Memory: {grown} grew by more than {most:g} MB a minute in the second half."


def _format_stages(run: Run) -> str:
    ends = [start for start, _ in run.stages[1:]]
    rows = []
    for (start, stage), end in zip(run.stages, [*ends, run.seconds], strict=True):
        # Requests in flight at the end belong to the last stage.
        until = end if end < run.seconds else float("inf")
        figures = run.measurements.sum_up(start=start, end=until)
        rows.append(f"| {stage.describe()}, {stage.seconds:g} s | {_format_figures(figures, end - start)} |")
    return "\n".join([f"| stage | {_LATENCY_HEAD} |", "|---|" + "---:|" * 7, *rows])


def _format_problems(run: Run) -> str:
    problems = run.measurements.problems.most_common(_MOST_PROBLEMS)
    if not problems:
        return ""
    return "\n".join(["What failed:", "", *(f"- {count} times {problem}" for problem, count in problems)])


def _format_memory(kinds: Mapping[str, MemoryFigures]) -> str:
    if not kinds:
        return ""
    return "\n".join(
        [
            "## Memory",
            "",
            "Resident memory (RSS) of the local engine's processes: MB of one process, on average, seen every two",
            "seconds. The slope is that of a line through the second half of the run. The AWS services are moto, which",
            "keeps the newest records of the table's stream and the last requests for `make dashboard`.",
            "",
            "| processes | how many, start and end | start | end | most | MB a minute |",
            "|---|---:|---:|---:|---:|---:|",
            *(f"| {kind} | {_format_memory_figures(entry)} |" for kind, entry in kinds.items()),
        ]
    )


def _format_memory_figures(figures: MemoryFigures) -> str:
    first, last = figures.processes
    sizes = " | ".join(f"{size:.1f}" for size in (figures.start, figures.end, figures.most))
    return f"{first}, {last} | {sizes} | {figures.slope:+.2f}"


def _format_figures(figures: Figures, seconds: float) -> str:
    times = _format_times((figures.median, figures.p90, figures.p99, figures.longest))
    return f"{figures.requests} | {figures.requests / seconds:.1f} | {figures.errors} | {times}"


def _format_times(times: Iterable[float | None]) -> str:
    return " | ".join("-" if time is None else f"{time:.1f}" for time in times)
