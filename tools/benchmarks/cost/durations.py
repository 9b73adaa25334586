"""Durations of the functions: measured processor time, and assumptions about the rest."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ASSUMPTIONS = Path(__file__).with_name("assumptions.toml")
_DURATIONS = Path(__file__).with_name("durations.toml")


@dataclass(frozen=True)
class Duration:
    """Processor seconds of a warm request on a whole vCPU, and what a cold one takes in addition."""

    warm: float
    start: float


@dataclass(frozen=True)
class Durations:
    """The durations of all operations.

    Attributes:
        operations: by `query`, `get`, `create`, `update` and `delete`.
        source: where and when they were measured.
    """

    operations: Mapping[str, Duration]
    source: str


@dataclass(frozen=True)
class Assumptions:
    """`assumptions.toml` describes each of them."""

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
    idempotency_item: int
    metrics_of_function: int
    metrics_of_service: int
    metrics_of_route: int
    alarms_of_policy: int
    renew_before: float
    calls_of_rotation: int
    notifications: int
    dead_letters: int
    polls_of_queue: float
    stream_batch: float
    stream_change: float
    consumer_batch: float
    consumer_event: float
    writer_attribute: int
    index_writes: int
    audit_entry: int
    import_lines: int
    import_transaction: float
    export_response: int
    refresh: float
    vector_item: int
    embedding: float
    resource_tokens: int
    query_tokens: int
    operations: Mapping[str, str]


def load_assumptions() -> Assumptions:
    return Assumptions(**tomllib.loads(_ASSUMPTIONS.read_text(encoding="utf-8")))


def load_durations() -> Durations:
    """Return the durations that `make bench` measured last.

    It measures a list and a creation. Reading one item is taken to be as much work as a list, and changing or deleting
    one as much as creating it.
    """
    content = tomllib.loads(_DURATIONS.read_text(encoding="utf-8"))
    query, create = (Duration(**content[operation]) for operation in ("query", "create"))
    operations = {"query": query, "get": query, "create": create, "update": create, "delete": create}
    return Durations(operations, f"make bench of {content['date']} on {content['machine']}, not on Lambda")


def write_durations(conditions: Mapping[str, str], query: Duration, create: Duration) -> None:
    """Keep the durations that `make bench` has measured, with the conditions `Date` and `Machine`."""
    lines = [
        "# Processor seconds of a warm request and, in addition, of a start. `make bench` writes them for `make cost`.",
        f'date = "{conditions["Date"]}"',
        f'machine = "{conditions["Machine"]}"',
    ]
    for name, duration in (("query", query), ("create", create)):
        lines += ["", f"[{name}]", f"warm = {duration.warm:.6f}", f"start = {duration.start:.6f}"]
    _DURATIONS.write_text("\n".join([*lines, ""]), encoding="utf-8")
