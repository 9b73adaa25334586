"""The stand for the experiments, and the table of their results."""

from collections.abc import Iterator

import pytest

from tests.support.stand import Stand, start_stand

SEED = 2026

_rows = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    with start_stand() as stand:
        yield stand


class Report:
    """The table of results at the end of the run."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self._rows = rows

    def add(self, experiment: str, *figures: str) -> None:
        self._rows.append((experiment, "; ".join(figures)))


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    return Report(pytestconfig.stash.setdefault(_rows, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(_rows, []):
        terminalreporter.section("resilience")
        terminalreporter.write_line("| experiment | shown |\n|---|---|")
        for experiment, figures in rows:
            terminalreporter.write_line(f"| {experiment} | {figures} |")
