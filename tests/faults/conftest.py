"""The stand for the experiments, and the table of their results."""

from collections.abc import Iterator

import pytest

from tests.support.stand import Stand, start_stand

SEED = 2026

_ROW = "resilience"


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    with start_stand() as stand:
        yield stand


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
