"""Measures searches of a user with many resources, among many users, beside lists of the same user.

python -m tools.benchmarks.search.latency --resources 10000 --users 1000
"""

import argparse
import json
import statistics
from collections import Counter
from typing import Any
from uuid import uuid4

from tools.benchmarks.search.question_set import load_questions
from tools.benchmarks.search.service_calls import MODEL
from tools.benchmarks.search.stand import (
    RESOURCES,
    SEARCH,
    Stand,
    run_search_stack,
    time_request,
)

CALLS = Counter({MODEL: 1, "SearchVectors": 1, "BatchGetItem": 1})
"""What a search costs."""
_WARM_UP = 5


class Experiment:
    """Searches and lists in turns.

    Attributes:
        stand: the running stack.
        resources: how many resources the searching user has.
        users: how many others have one resource each.
        rounds: how many searches and lists are measured.
    """

    def __init__(self, stand: Stand, resources: int, users: int, rounds: int) -> None:
        self.stand, self.resources, self.users, self.rounds = stand, resources, users, rounds
        self.subject = f"searcher-{uuid4()}"

    def run(self) -> dict[str, Any]:
        """Write the resources, measure, and return what was seen.

        Raises:
            AssertionError: a search has made other calls than one of each kind.
        """
        self.stand.seed(self.subject, self.resources)
        for _ in range(self.users):
            self.stand.seed(f"neighbour-{uuid4()}", 1)
        questions = [question.text for question in load_questions()]
        searches: list[float] = []
        lists: list[float] = []
        waits = dict.fromkeys(CALLS, 0.0)
        with self.stand.client(self.subject) as client:
            for number in range(-_WARM_UP, self.rounds):
                self.stand.calls.take()
                took = time_request(client, SEARCH, q=questions[number % len(questions)])
                calls = self.stand.calls.take()
                list_took = time_request(client, RESOURCES, limit=10)
                if number < 0:
                    continue
                assert Counter(call.operation for call in calls) == CALLS, calls
                searches.append(took)
                lists.append(list_took)
                for call in calls:
                    waits[call.operation] += call.seconds
        total = sum(searches)
        return {
            "resources": self.resources,
            "users": self.users + 1,
            "searches": len(searches),
            "search_median_ms": round(1000 * statistics.median(searches), 1),
            "search_p99_ms": round(1000 * find_percentile(searches, 99), 1),
            "list_median_ms": round(1000 * statistics.median(lists), 1),
            "list_p99_ms": round(1000 * find_percentile(lists, 99), 1),
            "median_ratio": round(statistics.median(searches) / statistics.median(lists), 2),
            "p99_ratio": round(find_percentile(searches, 99) / find_percentile(lists, 99), 2),
            "shares": {operation: round(seconds / total, 3) for operation, seconds in waits.items()},
            "calls": dict(CALLS),
        }


def find_percentile(values: list[float], percent: int) -> float:
    """Return a percentile, from 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=500)
    options = parser.parse_args()
    with run_search_stack() as stand:
        print(json.dumps(Experiment(stand, options.resources, options.users, options.rounds).run()))


if __name__ == "__main__":
    main()
