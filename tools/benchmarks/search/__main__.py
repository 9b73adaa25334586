"""`make bench-search`: relevance, and the experiments with searches and answers in one run of the stack."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from tools.benchmarks.machine import ROOT, BenchmarkError, describe_system
from tools.benchmarks.search import burst, erasure, first_token, freshness, isolation, latency
from tools.benchmarks.search.embedding import describe_resources
from tools.benchmarks.search.question_set import load_questions, load_resources
from tools.benchmarks.search.rankings import rank_by_embedding, rank_by_keywords, rank_by_search
from tools.benchmarks.search.relevance import LEAST_RECALL, measure_relevance
from tools.benchmarks.search.stand import Stand, run_search_stack

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = ROOT / "docs/benchmarks/search.md"
FIGURES = Path(__file__).with_name("figures.json")
"""The last figures of each experiment, with their conditions; the report is made of them."""
EXPERIMENTS = ("latency", "freshness", "relevance", "first_token", "isolation", "erasure", "burst")
_LOAD = "Load average at the start"

type Figures = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-search", description=__doc__)
    parser.add_argument("--resources", type=int, default=20_000, help="size of the burst (default: 20,000)")
    parser.add_argument("--users", type=int, default=1000, help="other users (default: 1,000)")
    parser.add_argument("--requests", type=int, default=5000, help="searches and questions that test the isolation")
    parser.add_argument("--samples", type=int, default=100, help="resources created to measure freshness")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS, help="run only these")
    parser.add_argument("--relevance-only", action="store_true", help="measure relevance without the stack; seconds")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    # WordLlama makes every library log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if arguments.relevance_only:
            found = measure_rankings()
            print(*(f"{name}: recall {each['recall']}, nDCG {each['ndcg']}" for name, each in found.items()), sep="\n")
            check(found)
            return
        figures = load_figures()
        for name, seen in run_experiments(arguments):
            print(f"{name}: {seen}", file=sys.stderr, flush=True)
            if name == "relevance":
                check(seen["figures"])
            figures[name] = seen
            if arguments.write:
                # After each experiment, so that a run that is stopped keeps what it has.
                FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except (BenchmarkError, AssertionError) as error:
        sys.exit(f"{error}")
    report = make_report(figures)
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def run_experiments(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the experiments one after the other, and yield the name, figures and conditions of each."""
    with run_search_stack() as stand:
        experiments: dict[str, Callable[[], Mapping[str, Any]]] = {
            "latency": latency.Experiment(stand, arguments.resources // 2, arguments.users, 500).run,
            "freshness": freshness.Experiment(stand, arguments.samples).run,
            "relevance": lambda: measure_rankings(stand),
            "first_token": first_token.Experiment(stand, 20).run,
            "isolation": isolation.Experiment(stand, arguments.users // 5, arguments.requests).run,
            "erasure": erasure.Experiment(stand, 1000).run,
            "burst": burst.Experiment(stand, arguments.resources, burst.QUOTA).run,
        }
        for name in arguments.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            conditions = describe_system()
            yield name, {"figures": experiments[name](), "conditions": conditions}


def measure_rankings(stand: Stand | None = None) -> dict[str, dict[str, str]]:
    """Return recall and nDCG of each ranking, and of the stack's search if there is one."""
    questions, resources = load_questions(), load_resources()
    texts = describe_resources(resources)
    rankings = {
        "small": rank_by_embedding("small-embeddings", texts),
        "hashing": rank_by_embedding("hashing", texts),
        "keywords": rank_by_keywords(texts),
    }
    if stand:
        rankings["search"] = rank_by_search(stand, first_token.USER, resources)
    found = {name: measure_relevance(ranking, questions) for name, ranking in rankings.items()}
    return {name: {key: f"{value:.2f}" for key, value in each._asdict().items()} for name, each in found.items()}


def check(found: Mapping[str, Mapping[str, str]]) -> None:
    """Compare the relevance with what docs/figures.md promises.

    Raises:
        BenchmarkError: it is lower.
    """
    for name in ("small", "search"):
        if name in found and float(found[name]["recall"]) < LEAST_RECALL:
            raise BenchmarkError(f"The recall of {name} is {found[name]['recall']}, below {LEAST_RECALL}.")


def load_figures() -> Figures:
    """Return the last figures of each experiment."""
    figures: Figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    return figures


def make_report(figures: Figures) -> str:
    """Return the page with the figures of all experiments."""
    template = Template(Path(__file__).with_name("report.md").read_text(encoding="utf-8"))
    values = {
        f"{name}_{key}": _write(value) for name, each in figures.items() for key, value in each["figures"].items()
    }
    rankings = figures["relevance"]["figures"]
    values |= {f"{name}_{key}": value for name, each in rankings.items() for key, value in each.items()}
    newest = max((each["conditions"] for each in figures.values()), key=lambda conditions: conditions["Date"])
    loads = ", ".join(f"{name.replace('_', ' ')} {each['conditions'][_LOAD]}" for name, each in figures.items())
    conditions = "\n".join(f"| {name} | {value} |" for name, value in {**newest, _LOAD: loads}.items())
    return template.substitute(values, conditions=conditions)


def _write(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name.rstrip('#')} {_write(each)}" for name, each in value.items())
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


if __name__ == "__main__":
    main()
