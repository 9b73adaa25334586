"""The stand for the experiments, and the table of their results."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stand import Stand, start_stand
from tests.support.templates import write_variant

SEED = 2026

_ROW = "resilience"


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """The API without the functions that read its tables' streams.

    Their calls would take the larger part of the time of the emulated table, which has one processor: then calls of
    the API exceed their time limit, faults that no experiment has asked for.
    """
    with write_variant() as template:
        disable_streams(template.with_name("stacks"))
        with start_stand(template=template) as stand:
            yield stand


def disable_streams(stacks: Path) -> None:
    """Disable the event source mappings of streams in a folder of templates."""
    disabled = 0
    for path in stacks.iterdir():
        text = path.read_text(encoding="utf-8")
        text, count = re.subn(
            r"^( +)Type: DynamoDB\n +Properties:\n", r"\g<0>\1  Enabled: false\n", text, flags=re.MULTILINE
        )
        path.write_text(text, encoding="utf-8")
        disabled += count
    assert disabled


class Report:
    """A test's row in the table of results at the end of the run."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def add(self, experiment: str, *figures: str) -> None:
        self._properties.append((_ROW, (experiment, "; ".join(figures))))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    # A test's properties reach the process that prints the summary.
    return Report(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    rows = [row for report in calls for name, row in report.user_properties if name == _ROW]
    if rows:
        terminalreporter.section("resilience")
        terminalreporter.write_line("| experiment | shown |\n|---|---|")
        for experiment, figures in sorted(rows):
            terminalreporter.write_line(f"| {experiment} | {figures} |")
