"""Imports a file of which 1 % of the lines are faulty, while functions are killed at random and another user reads.

python -m tools.benchmarks.records.imports --lines 100000
"""

import argparse
import json
import random
import statistics
import threading
import time
from collections import Counter
from typing import Any

import httpx

from local_engine.testing import EngineProcess, poll, processes_below
from tools.benchmarks.background import run_beside, show_progress
from tools.benchmarks.function_processes import (
    FunctionKiller,
    read_function,
    read_memory,
    read_processor_seconds,
)
from tools.benchmarks.records.erasure import connect, run_stack

SCOPES = ("read:resources", "write:resources")
USER, READER = "importer", "reader"
FAULTY_EVERY = 100
_BACKGROUND = ("SplitImport", "ImportResources")
_STREAM = ("RecordChanges", "PublishChanges", "MeasureEvents")
_SAMPLES = 100
_LONGEST_SECONDS = 3600


class Experiment:
    """One import.

    Attributes:
        engine: the running stack.
        lines: how many lines the file has.
    """

    def __init__(self, engine: EngineProcess, lines: int, kills: int) -> None:
        self.engine, self.lines = engine, lines
        self._splitter_memory = 0
        self._processor_seconds: dict[int, tuple[str, float]] = {}
        self._document: dict[str, Any] = {}
        self._killer = FunctionKiller(
            engine.process.pid, _BACKGROUND, kills, lambda: self._document.get("created", 0) / self.lines
        )

    def run(self) -> dict[str, Any]:
        """Import the file and return what was seen.

        Raises:
            AssertionError: a good line is missing or there twice, or a faulty one is not named.
        """
        lines = [_make_line(number) for number in range(1, self.lines + 1)]
        faulty = list(range(FAULTY_EVERY, self.lines + 1, FAULTY_EVERY))
        with self._client(USER) as client, self._client(READER) as reader:
            before = [_measure(reader) for _ in range(_SAMPLES)]
            started = time.monotonic()
            answer = client.post("/api/v1/imports", params={"upload": "true"}).raise_for_status()
            upload, location = answer.json()["upload"], answer.headers["location"]
            httpx.put(upload["url"], content="\n".join(lines), headers=upload["headers"], trust_env=False)
            during: list[float] = []

            def is_over() -> bool:
                during.append(_measure(reader))
                self._document = client.get(location).json()
                return self._document.get("state") in ("completed", "failed")

            with run_beside(self._killer.run, self._watch_processes):
                poll(is_over, "the import ends", _LONGEST_SECONDS)
                seconds = time.monotonic() - started
        document = self._document
        assert document["state"] == "completed", document
        assert (document["created"], document["faulty"]) == (self.lines - len(faulty), len(faulty))
        assert [fault["line"] for fault in document["faults"]] == faulty[:100]
        expected = [f"line {number}" for number in range(1, self.lines + 1) if number % FAULTY_EVERY]
        found = self._read_names()
        assert found == expected, f"{len(found)} resources of {len(expected)} good lines"
        return {
            "lines": self.lines,
            "created": len(found),
            "faulty": len(faulty),
            "kills": self._killer.killed,
            "seconds": round(seconds, 1),
            "median_ms_before": round(1000 * statistics.median(before), 1),
            "median_ms_during": round(1000 * statistics.median(during), 1),
            "splitter_mb": round(self._splitter_memory / 1024, 1),
            "processor_shares": self._find_shares(),
        }

    def describe(self) -> str:
        """Return how far the experiment is."""
        counts = [self._document.get(name, 0) for name in ("created", "faulty")]
        return f"{counts[0]} resources and {counts[1]} faulty lines of {self.lines}, {self._killer.killed} kills"

    def _watch_processes(self, over: threading.Event) -> None:
        while not over.wait(1):
            engine = self.engine.process.pid
            for process in (engine, *processes_below(engine)):
                function = read_function(process)
                if function.endswith("SplitImport"):
                    self._splitter_memory = max(self._splitter_memory, read_memory(process))
                group = "engine" if process == engine else _find_group(function)
                _, before = self._processor_seconds.get(process, ("", 0.0))
                self._processor_seconds[process] = (group, max(before, read_processor_seconds(process)))

    def _find_shares(self) -> dict[str, float]:
        """Return what the stack's processes took of their processor time, those of before the import included."""
        seconds = Counter[str]()
        for group, taken in self._processor_seconds.values():
            seconds[group] += round(100 * taken)
        return {group: round(taken / seconds.total(), 2) for group, taken in seconds.most_common()}

    def _read_names(self) -> list[str]:
        """The names of the user's resources, as the table has them, in the order of their IDs."""
        pages = (
            connect(self.engine, "dynamodb")
            .get_paginator("query")
            .paginate(
                TableName="Table",
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": {"S": f"user#{USER}"}, ":sk": {"S": "resource#"}},
                ConsistentRead=True,
            )
        )
        return [item["name"]["S"] for page in pages for item in page["Items"]]

    def _client(self, subject: str) -> httpx.Client:
        token = self.engine.mint_token(*SCOPES, subject=subject)
        return self.engine.client(headers={"Authorization": f"Bearer {token}"})


def _find_group(function: str) -> str:
    """Return what a process of the engine is for, by the name of its function: the AWS services have none."""
    if not function:
        return "AWS services"
    if function.endswith(_BACKGROUND):
        return "import"
    return "trail and events" if function.endswith(_STREAM) else "API"


def _make_line(number: int) -> str:
    if number % FAULTY_EVERY == 0:
        return random.Random(number).choice(["{", '{"name": ""}', "[]", '{"name": "x", "type": "Q"}'])
    return json.dumps({"name": f"line {number}", "type": "ABC"[number % 3], "metadata": {"number": number}})


def _measure(client: httpx.Client) -> float:
    started = time.perf_counter()
    client.get("/api/v1/resources")
    return time.perf_counter() - started


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    with run_stack() as engine:
        experiment = Experiment(engine, options.lines, options.kills)
        with show_progress(experiment.describe):
            print(json.dumps(experiment.run()))


if __name__ == "__main__":
    main()
