"""Measures how long it takes from the response to a creation until a search finds the resource.

python -m tools.benchmarks.search.freshness --samples 100
"""

import argparse
import json
import statistics
import time
from typing import Any
from uuid import uuid4

import httpx

from local_engine.testing import poll
from tools.benchmarks.search.stand import LONGEST_SECONDS, RESOURCES, Stand, make_resources, run_search_stack, search

USER = "creator"


class Experiment:
    """Creations, each followed by searches until it is found.

    Attributes:
        stand: the running stack.
        samples: how many resources are created.
    """

    def __init__(self, stand: Stand, samples: int) -> None:
        self.stand, self.samples = stand, samples

    def run(self) -> dict[str, Any]:
        """Create the resources and return what was seen."""
        with self.stand.client(USER) as client:
            # The first one also waits for the cold starts of all functions on the way.
            first, *others = (self._measure(client, resource) for resource in make_resources(self.samples + 1, "new"))
        return {
            "samples": len(others),
            "median_ms": round(1000 * statistics.median(others)),
            "worst_ms": round(1000 * max(others)),
            "cold_ms": round(1000 * first),
        }

    def _measure(self, client: httpx.Client, resource: dict[str, Any]) -> float:
        sought = {**resource, "name": f"{resource['name']} {uuid4()}"}
        created = client.post(RESOURCES, json=sought).raise_for_status()
        assert created.status_code == 201
        started = time.perf_counter()
        poll(
            lambda: created.json()["id"] in {found["resource"]["id"] for found in search(client, sought["name"])},
            "the resource is found",
            LONGEST_SECONDS,
        )
        return time.perf_counter() - started


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    with run_search_stack() as stand:
        print(json.dumps(Experiment(stand, options.samples).run()))


if __name__ == "__main__":
    main()
