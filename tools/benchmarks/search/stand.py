"""The stack in the local engine with a local model, and what the experiments do with it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any

import httpx

from local_engine.child_environment import X_RAY_DAEMON
from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess, poll
from tools.benchmarks.records.erasure import connect
from tools.benchmarks.search.embedding import describe_resources, make_embedder
from tools.benchmarks.search.question_set import load_resources
from tools.benchmarks.search.service_calls import CallRecorder
from tools.profiles import ROOT

RESOURCES, SEARCH, IMPORTS = "/api/v1/resources", "/api/v1/search", "/api/v1/imports"
SCOPES = ("read:resources", "write:resources", "erase:self")
PARAMETERS = {"Issuer": "{issuer}", "Audience": AUDIENCE, "Intelligence": "on"}
LONGEST_SECONDS = 7200
"""Timeout of what a busy machine does with many resources."""
_LONGEST_QUERY = 1000
_PAUSE_SECONDS = 0.1
_BATCH = 25
_INDEX = "VectorsA"
_TIMES = {name: {"S": "2025-11-23T12:47:41.118Z"} for name in ("createdAt", "updatedAt")}


class Stand:
    """A running stack.

    Attributes:
        engine: the engine that serves it.
        calls: the calls of its functions to other services.
    """

    def __init__(self, engine: EngineProcess, calls: CallRecorder, model: str) -> None:
        self.engine, self.calls = engine, calls
        self.dynamodb = connect(engine, "dynamodb")
        self._embed = make_embedder(model)

    def client(self, subject: str) -> httpx.Client:
        """Return a client of the main API for a user."""
        token = self.engine.mint_token(*SCOPES, subject=subject)
        return self.engine.client(headers={"Authorization": f"Bearer {token}"})

    def start_import(self, client: httpx.Client, resources: Sequence[Mapping[str, Any]]) -> str:
        """Upload a file with resources of a user and return the path of its import."""
        answer = client.post(IMPORTS, params={"upload": "true"}).raise_for_status()
        upload = answer.json()["upload"]
        content = "\n".join(map(json.dumps, resources))
        httpx.put(upload["url"], content=content, headers=upload["headers"], trust_env=False).raise_for_status()
        location: str = answer.headers["location"]
        return location

    def import_resources(self, subject: str, resources: Sequence[Mapping[str, Any]]) -> None:
        """Import resources of a user and wait until all can be found."""
        expected = self.count_vectors() + len(resources)
        with self.client(subject) as client:
            location = self.start_import(client, resources)
            self.wait_for(lambda: client.get(location).json().get("state") == "completed", "the import ends")
        self.wait_for_vectors(expected)

    def seed(self, subject: str, count: int) -> None:
        """Write resources of a user and their vectors into the table, without events and calls of the model."""
        given = {str(number): resource for number, resource in enumerate(make_resources(count, "seeded"))}
        items = []
        for number, text in describe_resources(given).items():
            owner = {"pk": {"S": f"user#{subject}"}, "type": {"S": given[number]["type"]}}
            key = f"resource#019ab0c1-7a3e-7c55-9d1f-{int(number):012x}"
            fields = {"name": {"S": given[number]["name"]}, "metadata": {"S": json.dumps(given[number]["metadata"])}}
            # A version that is no text is no change to the consumers of the table's stream.
            items.append({**owner, **_TIMES, **fields, "sk": {"S": key}, "version": {"N": "1"}})
            vector = {"L": [{"N": f"{value:.7g}"} for value in self._embed(text)]}
            items.append({**owner, "sk": {"S": f"vector#{key}"}, "noun": {"S": "resource"}, _INDEX: vector})
        for batch in batched(items, _BATCH, strict=False):
            self.dynamodb.batch_write_item(RequestItems={"Table": [{"PutRequest": {"Item": item}} for item in batch]})

    def wait_for_vectors(self, count: int) -> None:
        """Wait until so many resources of all users can be found."""
        self.wait_for(lambda: self.count_vectors() >= count, f"{count} vectors are there")

    def wait_for_vectors_of(self, subject: str, count: int) -> None:
        """Wait until so many resources of a user can be found. Counting many keeps the stand-in of the table busy."""
        self.wait_for(lambda: self.count_items(subject, "vector#") >= count, f"{count} vectors of a user are there")

    def wait_for(self, is_met: Callable[[], bool], what: str) -> None:
        """Wait until a condition is met that takes long, with a pause before each look.

        Raises:
            AssertionError: it is not met in time.
        """

        def ask() -> bool:
            time.sleep(_PAUSE_SECONDS)
            return is_met()

        poll(ask, what, LONGEST_SECONDS)

    def count_vectors(self) -> int:
        """Return how many vectors the table's index has."""
        (index, *_) = self.dynamodb.describe_table(TableName="Table")["Table"]["VectorIndexes"]
        count: int = index["ItemCount"]
        return count

    def count_items(self, subject: str, prefix: str) -> int:
        """Return how many items of a kind a user has in the table."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName="Table",
            Select="COUNT",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={":pk": {"S": f"user#{subject}"}, ":sk": {"S": prefix}},
            ConsistentRead=True,
        )
        return sum(page["Count"] for page in pages)

    def read_model_counts(self) -> dict[str, int]:
        """Return the number of the model's `requests` and `failedRequests`, and its `openStreams`."""
        counts: dict[str, int] = httpx.get(f"{self.engine.services}/_local/bedrock", trust_env=False).json()
        return counts

    def configure_model(self, **settings: Any) -> None:
        """Replace the settings of the model, such as `requestsPerSecond`."""
        url = f"{self.engine.services}/_local/bedrock"
        httpx.put(url, json=settings, trust_env=False).raise_for_status()


@contextmanager
def run_search_stack(model: str = "small-embeddings") -> Iterator[Stand]:
    """Serve the stack for the block.

    Args:
        model: a model of the local engine.
    """
    with (
        CallRecorder() as calls,
        EngineProcess(
            ROOT / "template.yaml", "--model", model, parameters=PARAMETERS, environment={X_RAY_DAEMON: calls.address}
        ) as engine,
    ):
        yield Stand(engine, calls, model)


def make_resources(count: int, mark: str) -> list[dict[str, Any]]:
    """Return resources with the texts of the fixed set, each with its own number.

    Args:
        count: how many.
        mark: a word in the name of each.
    """
    texts = list(load_resources().values())
    return [
        {**text, "name": f"{text['name']} {mark} {number}", "metadata": {**text["metadata"], "number": number}}
        for number, text in ((number, texts[number % len(texts)]) for number in range(count))
    ]


def search(client: httpx.Client, text: str, *, limit: int = 10) -> list[dict[str, Any]]:
    """Return the results of a search, best first."""
    answer = client.get(SEARCH, params={"q": text[:_LONGEST_QUERY], "limit": limit}).raise_for_status()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def time_request(client: httpx.Client, path: str, **query: Any) -> float:
    """Send a request and return the seconds until its response."""
    started = time.perf_counter()
    client.get(path, params=query).raise_for_status()
    return time.perf_counter() - started
