"""`make bench-search`: relevance, and the experiments with searches and answers in one run of the stack."""

import argparse
import logging
import sys
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from tools.benchmarks.machine import ROOT, BenchmarkError, describe_system
from tools.benchmarks.search import burst, erasure, first_token, freshness, isolation, latency
from tools.benchmarks.search.embedding import describe_resources
from tools.benchmarks.search.question_set import load_questions, load_resources
from tools.benchmarks.search.rankings import rank_by_embedding, rank_by_keywords, rank_by_search
from tools.benchmarks.search.relevance import LEAST_RECALL, Relevance, measure_relevance
from tools.benchmarks.search.stand import run_search_stack

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = ROOT / "docs/benchmarks/search.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-search", description=__doc__)
    parser.add_argument("--resources", type=int, default=20_000, help="size of the burst (default: 20,000)")
    parser.add_argument("--users", type=int, default=1000, help="other users (default: 1,000)")
    parser.add_argument("--requests", type=int, default=5000, help="searches and questions that test the isolation")
    parser.add_argument("--samples", type=int, default=100, help="resources created to measure freshness")
    parser.add_argument("--relevance-only", action="store_true", help="measure relevance without the stack; seconds")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    # WordLlama makes every library log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    conditions = describe_system()
    questions, resources = load_questions(), load_resources()
    texts = describe_resources(resources)
    found = {
        "small": measure_relevance(rank_by_embedding("small-embeddings", texts), questions),
        "hashing": measure_relevance(rank_by_embedding("hashing", texts), questions),
        "keywords": measure_relevance(rank_by_keywords(texts), questions),
    }
    try:
        if arguments.relevance_only:
            print(
                *(f"{name}: recall {recall:.2f}, nDCG {ndcg:.2f}" for name, (recall, ndcg) in found.items()), sep="\n"
            )
            check(found)
            return
        figures = run_experiments(arguments)
        found["search"] = figures.pop("relevance")
        check(found)
    except (BenchmarkError, AssertionError) as error:
        sys.exit(f"{error}")
    report = make_report(found, figures, conditions)
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def run_experiments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the experiments one after the other and return what each has seen."""
    figures: dict[str, Any] = {}
    with run_search_stack() as stand:
        experiments: dict[str, Callable[[], Any]] = {
            "latency": latency.Experiment(stand, arguments.resources // 2, arguments.users, 500).run,
            "freshness": freshness.Experiment(stand, arguments.samples).run,
            "relevance": lambda: measure_relevance(
                rank_by_search(stand, first_token.USER, load_resources()), load_questions()
            ),
            "first_token": first_token.Experiment(stand, 20).run,
            "isolation": isolation.Experiment(stand, arguments.users // 5, arguments.requests).run,
            "erasure": erasure.Experiment(stand, 1000).run,
            "burst": burst.Experiment(stand, arguments.resources, burst.QUOTA).run,
        }
        for name, run in experiments.items():
            print(f"{name} …", file=sys.stderr, flush=True)
            figures[name] = run()
            print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    return figures


def check(found: dict[str, Relevance]) -> None:
    """Compare the relevance with what docs/figures.md promises.

    Raises:
        BenchmarkError: it is lower.
    """
    for name in ("small", "search"):
        if name in found and found[name].recall < LEAST_RECALL:
            raise BenchmarkError(f"The recall of {name} is {found[name].recall:.2f}, below {LEAST_RECALL}.")


def make_report(found: dict[str, Relevance], figures: dict[str, Any], conditions: dict[str, str]) -> str:
    template = Template(Path(__file__).with_name("report.md").read_text(encoding="utf-8"))
    values = {f"{name}_{key}": f"{value:.2f}" for name, each in found.items() for key, value in each._asdict().items()}
    values |= {f"{name}_{key}": _write(value) for name, each in figures.items() for key, value in each.items()}
    return template.substitute(
        values, conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items())
    )


def _write(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name.rstrip('#')} {_write(each)}" for name, each in value.items())
        case int():
            return f"{value:,}"
        case _:
            return str(value)


if __name__ == "__main__":
    main()
