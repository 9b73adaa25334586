"""Imports many resources at once while the model has a quota and other users read and write.

python -m tools.benchmarks.search.burst --resources 20000 --quota 50
"""

import argparse
import json
import random
import threading
import time
from collections import Counter
from typing import Any

from tools.benchmarks.background import run_beside, show_progress
from tools.benchmarks.search.stand import RESOURCES, Stand, make_resources, run_search_stack, search

USERS = ("importer", "another importer")
READER = "reader"
QUOTA = 50.0
"""The model's requests a second: somewhat more than the functions may send (stacks/intelligence.yaml)."""
_SOUGHT = 100
_PAUSE_SECONDS = 0.2
_RATE_SECONDS = 1.0


class Experiment:
    """A burst of imports.

    Attributes:
        stand: the running stack.
        resources: how many resources are imported, by two users at once.
        quota: the model's requests a second.
    """

    def __init__(self, stand: Stand, resources: int, quota: float) -> None:
        self.stand, self.resources, self.quota = stand, resources, quota
        self._statuses: Counter[int] = Counter()
        self._rates: list[float] = []

    def run(self) -> dict[str, Any]:
        """Import the resources and return what was seen.

        Raises:
            AssertionError: a resource cannot be found in the end, the main API has failed, or a call of the model
                exceeded its quota.
        """
        share = self.resources // len(USERS)
        before, vectors = self.stand.read_model_counts(), self.stand.count_vectors()
        self.stand.configure_model(requestsPerSecond=self.quota)
        started = time.monotonic()
        with run_beside(self._use_api, self._watch_model), show_progress(self._describe):
            for user in USERS:
                with self.stand.client(user) as client:
                    self.stand.start_import(client, make_resources(share, user))
            self.stand.wait_for_vectors(vectors + share * len(USERS) + 1)
            seconds = time.monotonic() - started
        after = self.stand.read_model_counts()
        self.stand.configure_model()
        for user in USERS:
            self._check_versions(user, share)
            self._check_searches(user, share)
        assert not [status for status in self._statuses if status >= 500], self._statuses
        failed = after["failedRequests"] - before["failedRequests"]
        assert not failed, f"{failed} calls of the model exceeded its quota"
        return {
            "resources": share * len(USERS),
            "seconds": round(seconds),
            "quota": self.quota,
            "model_calls": after["requests"] - before["requests"],
            "calls_above_quota": failed,
            "highest_rate": round(max(self._rates), 1),
            "api_requests": self._statuses.total(),
            "api_errors": sum(count for status, count in self._statuses.items() if status >= 500),
        }

    def _check_versions(self, user: str, count: int) -> None:
        """Check that each resource has a vector of its current version."""
        pages = self.stand.dynamodb.get_paginator("query").paginate(
            TableName="Table",
            KeyConditionExpression="pk = :pk",
            ProjectionExpression="sk, version, embedded",
            ExpressionAttributeValues={":pk": {"S": f"user#{user}"}},
        )
        items = {item["sk"]["S"]: item for page in pages for item in page["Items"]}
        versions = {key: item["version"] for key, item in items.items() if key.startswith("resource#")}
        assert len(versions) == count, f"{len(versions)} resources of {count}"
        embedded = {key: items.get(f"vector#{key}", {}).get("embedded") for key in versions}
        assert embedded == versions, "a vector is missing or of another version"

    def _check_searches(self, user: str, count: int) -> None:
        """Check that searches find some of the resources by their names."""
        resources = make_resources(count, user)
        with self.stand.client(user) as client:
            for resource in random.Random(1).sample(resources, min(count, _SOUGHT)):
                text = (
                    f"{resource['name']} {resource['metadata']['description']} number {resource['metadata']['number']}"
                )
                found = [match["resource"]["name"] for match in search(client, text, limit=50)]
                # The texts are those of the fixed set again and again, so they differ in their numbers only.
                assert any(name.startswith(resource["name"].partition(user)[0]) for name in found), resource["name"]

    def _use_api(self, over: threading.Event) -> None:
        """Read and write as another user, who has one resource, until the burst is over."""
        with self.stand.client(READER) as client:
            (resource,) = make_resources(1, READER)
            location = client.post(RESOURCES, json=resource).raise_for_status().headers["location"]
            while True:
                self._statuses[client.get(RESOURCES).status_code] += 1
                self._statuses[client.put(location, json=resource).status_code] += 1
                if over.wait(_PAUSE_SECONDS):
                    return

    def _watch_model(self, over: threading.Event) -> None:
        """Measure the rate of the model's calls until the burst is over."""
        requests, at = self.stand.read_model_counts()["requests"], time.monotonic()
        while not over.wait(_RATE_SECONDS):
            now_requests, now = self.stand.read_model_counts()["requests"], time.monotonic()
            self._rates.append((now_requests - requests) / (now - at))
            requests, at = now_requests, now

    def _describe(self) -> str:
        """Return how far the burst is."""
        return f"{self.stand.count_vectors():,} vectors, {self._statuses.total():,} requests to the API"


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=20_000)
    parser.add_argument("--quota", type=float, default=QUOTA)
    options = parser.parse_args()
    with run_search_stack() as stand:
        print(json.dumps(Experiment(stand, options.resources, options.quota).run()))


if __name__ == "__main__":
    main()
