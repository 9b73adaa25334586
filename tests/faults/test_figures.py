"""The bounds on docs/figures.md are those that the benchmarks and the fault experiments hold."""

import re

import pytest

from tests.faults import test_downstream_down as downstream
from tests.faults import test_events as events
from tests.faults import test_killed_processes as killed
from tests.faults import test_table_faults as table
from tests.support.stack import ROOT
from tools.benchmarks.search.relevance import LEAST_RECALL
from tools.benchmarks.tracing.figures import IMPORT_BOUND, WARM_BOUND

PAGE = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
(FAULTS,) = vars(table.test_faults_now_and_then)["pytestmark"]
EXPERIMENTS = [
    *(
        rf"{rate:.0%}".replace("%", r" %.*") + f"at least {right:.1%} answered".replace("%", " %")
        for rate, right in FAULTS.args[1]
    ),
    f"during {table.REQUESTS:,} mixed requests of {table.CLIENTS} clients, {table.AT_ONCE} at a time",
    rf"table down, {table.REQUESTS_WHILE_DOWN:,} requests .* 0.25 retries a request and {table.BUDGET} a process",
    f"{downstream.PROCESSES} processes, {downstream.REQUESTS:,} requests .* most {downstream.THRESHOLD} calls of each",
    rf"{killed.CREATES} creates, .* \| {killed.CREATES} resources",
    f"{events.EVENTS:,} random and mutated events",
]
BENCHMARKS = [
    f"import | at most {IMPORT_BOUND}",
    f"sampled | at most {WARM_BOUND}",
    f"small model | at least {LEAST_RECALL}",
]


@pytest.mark.parametrize("sentence", EXPERIMENTS)
def test_a_bound_of_the_experiments_is_the_suites(sentence: str) -> None:
    assert re.search(rf"^\| .*{sentence}", PAGE, re.MULTILINE)


@pytest.mark.parametrize("cell", BENCHMARKS)
def test_a_bound_of_a_benchmark_is_the_pages(cell: str) -> None:
    assert cell in PAGE


def test_bounds_of_ratios_are_the_benchmarks() -> None:
    cold = (ROOT / "tools/benchmarks/cold_start/figures.py").read_text(encoding="utf-8")
    bounds = [
        float(bound) for bound in re.findall(r"^        Ratio\(.*, ([\d.]+), (?:[\d.]+|None)\),$", cold, re.MULTILINE)
    ]
    told = [float(bound) for bound in re.findall(r"\| at most ([\d.]+) \| `make bench`", PAGE)]
    assert sorted(told) == sorted(bounds)
    local = (ROOT / "tools/benchmarks/local_engine/__main__.py").read_text(encoding="utf-8")
    least = [float(bound) for bound in re.findall(r"least_ratios=\{.*16: (\d+)\}", local)]
    assert [float(bound) for bound in re.findall(r"at least (\d+) times", PAGE)] == least


def test_results_of_one_run_have_a_date() -> None:
    """The pages that the benchmarks write."""
    for page in [*sorted((ROOT / "docs" / "benchmarks").glob("*.md")), ROOT / "docs/operations/load.md"]:
        assert re.search(r"^\| Date \| \d{4}-\d\d-\d\d \|$", page.read_text(encoding="utf-8"), re.MULTILINE), page.name
