"""How long the functions take: processor time as measured on a machine, and what must be assumed beside it."""

import json
import statistics
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, BenchmarkError

COLD_START = ROOT / "docs/benchmarks/cold-start.json"
TUNING = ROOT / "docs/benchmarks/tuning.json"
_ASSUMPTIONS = Path(__file__).parent / "assumptions.toml"
_PROJECT = "this project"
_MEASURED = {"query": "list", "create": "create"}


@dataclass(frozen=True)
class Duration:
    """Processor seconds of a request, on a whole vCPU: a warm one, and what a cold one takes besides."""

    warm: float
    start: float


@dataclass(frozen=True)
class Durations:
    """The durations of all operations.

    Attributes:
        operations: by `query`, `get`, `create`, `update` and `delete`.
        source: where and when they were measured, in words.
    """

    operations: Mapping[str, Duration]
    source: str


@dataclass(frozen=True)
class Assumptions:
    """See `assumptions.toml`, which says what each one is."""

    table_wait: float
    idle: float
    lifetime: float
    restore: float
    versions: int
    function_log: float
    access_log: float
    log_compression: float
    warming: float
    warm_answer: float
    warm_rounds: int
    refusal: float
    item_overhead: int
    metrics_of_function: int
    metrics_of_route: int
    alarms_of_policy: int
    operations: Mapping[str, str]


def load_assumptions() -> Assumptions:
    return Assumptions(**tomllib.loads(_ASSUMPTIONS.read_text(encoding="utf-8")))


def load_durations() -> Durations:
    """Read what `make bench` and `make tune` have measured.

    `make bench` measures a list and a creation, each in a process of its own and over more rounds; it comes first.

    Raises:
        BenchmarkError: they have not been run.
    """
    operations: dict[str, Duration] = {}
    sources: list[str] = []
    if TUNING.exists():
        content = json.loads(TUNING.read_text())
        operations |= {of["operation"]: Duration(of["warm"], of["start"]) for of in content["functions"]}
        sources.append(_describe("make tune", content["conditions"]))
    if COLD_START.exists():
        content = json.loads(COLD_START.read_text())
        rounds = content["peers"][_PROJECT]["rounds"]
        for operation, request in _MEASURED.items():
            warm = statistics.median(of["warm_processor"][request] for of in rounds)
            cold = statistics.median(of["cold_processor"][request] for of in rounds)
            operations[operation] = Duration(warm, max(0.0, cold - warm))
        sources.append(_describe("make bench", content["conditions"]))
    if "query" in operations and "create" in operations:
        # Without figures of their own: one item read is at most a list, one item written is a creation.
        operations.setdefault("get", operations["query"])
        operations.setdefault("update", operations["create"])
        operations.setdefault("delete", operations["create"])
    else:
        raise BenchmarkError("Nothing has been measured yet: run `make tune` or `make bench` first.")
    return Durations(operations, "; ".join(sources))


def _describe(command: str, conditions: Mapping[str, str]) -> str:
    return f"{command} of {conditions['Date']} on {conditions['Machine']}, not on Lambda"
