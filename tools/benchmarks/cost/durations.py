"""How long the functions take: processor time as measured on a machine, and what must be assumed beside it."""

import json
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.benchmarks.machine import ROOT, BenchmarkError

COLD_START = ROOT / "docs/benchmarks/cold-start.json"
TUNING = ROOT / "docs/benchmarks/tuning.json"
_ASSUMPTIONS = Path(__file__).parent / "assumptions.toml"
_PROJECT = "this project"


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
    refused_are_charged: bool
    item_overhead: int
    metrics_of_function: int
    metrics_of_service: int
    metrics_of_route: int
    alarms_of_policy: int
    operations: Mapping[str, str]


def load_assumptions() -> Assumptions:
    return Assumptions(**tomllib.loads(_ASSUMPTIONS.read_text(encoding="utf-8")))


def load_durations() -> Durations:
    """Read what `make bench` has measured, or else `make tune`, which has fewer rounds.

    Both measure a list and a creation. Reading one item is taken to be as much work as a list, and changing or deleting
    one as much as creating it.

    Raises:
        BenchmarkError: neither has been run.
    """
    if COLD_START.exists():
        content = json.loads(COLD_START.read_text())
        query, create = (_read_rounds(content["peers"][_PROJECT]["rounds"], request) for request in ("list", "create"))
        command = "make bench"
    elif TUNING.exists():
        content = json.loads(TUNING.read_text())
        tuned = {of["operation"]: Duration(of["warm"], of["start"]) for of in content["functions"]}
        query, create = tuned["query"], tuned["create"]
        command = "make tune"
    else:
        raise BenchmarkError("Nothing has been measured yet: run `make tune` or `make bench` first.")
    operations = {"query": query, "get": query, "create": create, "update": create, "delete": create}
    conditions = content["conditions"]
    return Durations(operations, f"{command} of {conditions['Date']} on {conditions['Machine']}, not on Lambda")


def _read_rounds(rounds: Sequence[Mapping[str, Mapping[str, float]]], request: str) -> Duration:
    warm = statistics.median(of["warm_processor"][request] for of in rounds)
    cold = statistics.median(of["cold_processor"][request] for of in rounds)
    return Duration(warm, max(0.0, cold - warm))
