"""A month's usage of what follows each change: audit trail, events and their example consumer; and of single jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.benchmarks.cost.formulas import (
    STREAM_RATE,
    count_billed_seconds,
    count_gigabyte_seconds,
    count_read_units,
    count_streamed_bytes,
    count_streamed_requests,
    count_traces,
    count_write_units,
)
from tools.benchmarks.cost.traffic import DAYS, HOURS_OF_A_MONTH, Profile

if TYPE_CHECKING:
    from tools.benchmarks.cost.durations import Assumptions
    from tools.benchmarks.cost.stack import Stack
    from tools.benchmarks.cost.usage import Usage

RECORDS = "audit and events"
_CHANGES = ("create", "update", "delete")
_GIGABYTE = 1024**3
_WEEKS = HOURS_OF_A_MONTH / 168


@dataclass(frozen=True)
class WriteUnits:
    """Write units of one change.

    Attributes:
        before: without this part, for an item without the attribute `writer`.
        table: of the request itself.
        index: of the item's entries in the indexes of lists.
        mark: of the end of a deletion's mark.
        audit: of the entry in the audit trail.
    """

    before: int
    table: int
    index: int
    mark: int
    audit: int

    @property
    def after(self) -> int:
        return self.table + self.index + self.mark + self.audit


def compare_write_units(size: int, assumptions: "Assumptions") -> Mapping[str, WriteUnits]:
    """Return the write units of a create, an update and a delete of an item.

    Args:
        size: bytes of the item, with the attribute `writer`.
        assumptions: sizes of the attribute and of an entry.
    """
    before, table = count_write_units(size - assumptions.writer_attribute), count_write_units(size)
    entry = count_write_units(assumptions.audit_entry)
    return {
        operation: WriteUnits(
            before, table, assumptions.index_writes, count_write_units(1) if operation == "delete" else 0, entry
        )
        for operation in _CHANGES
    }


def count_records(usage: "Usage", stack: "Stack", profile: Profile, assumptions: "Assumptions") -> None:
    """Add what the changes of a month cost after their requests."""
    units = compare_write_units(profile.item_bytes, assumptions)
    routes = {
        route: assumptions.operations[route] for route in profile.routes if assumptions.operations[route] in _CHANGES
    }
    for day in DAYS:
        for hour in range(24):
            changes = {
                route: profile.routes[route].count_requests(day, hour) * (1 - profile.routes[route].invalid) * _WEEKS
                for route in routes
            }
            for route, operation in routes.items():
                usage.add("dynamodb.writes", RECORDS, changes[route] * (units[operation].mark + units[operation].audit))
            add_changes(usage, stack, assumptions, sum(changes.values()), 3600 * _WEEKS)
    changed = sum(profile.routes[route].count_month() * (1 - profile.routes[route].invalid) for route in routes)
    kept = changed * stack.audit_days / (HOURS_OF_A_MONTH / 24)
    stored = kept * (assumptions.audit_entry + assumptions.item_overhead) / _GIGABYTE
    usage.add("dynamodb.storage", RECORDS, stored)
    usage.add("dynamodb.recovery", RECORDS, stored)


def add_changes(usage: "Usage", stack: "Stack", assumptions: "Assumptions", changes: float, seconds: float) -> None:
    """Add the functions, events and messages of changes, without write units.

    Args:
        usage: is added to.
        stack: the stack.
        assumptions: durations and sizes.
        changes: how many.
        seconds: in which time, evenly.
    """
    if not changes:
        return
    # A batch waits for its window, which is a second, and takes 100 records at most.
    in_batch = min(100.0, 1 + changes / seconds)
    batches = changes / in_batch
    duration = count_billed_seconds(assumptions.stream_batch + in_batch * assumptions.stream_change)
    _add_runs(usage, stack, assumptions, batches * stack.stream_functions, duration, seconds=seconds)
    usage.add("eventbridge.events", RECORDS, changes)
    in_message_batch = min(10.0, in_batch)
    runs = changes / in_message_batch
    duration = count_billed_seconds(assumptions.consumer_batch + in_message_batch * assumptions.consumer_event)
    _add_runs(usage, stack, assumptions, runs, duration, seconds=seconds)
    # EventBridge sends each message; a batch is received and deleted in one call each.
    usage.add("sqs.requests", RECORDS, changes + 2 * runs)


def _add_runs(
    usage: "Usage", stack: "Stack", assumptions: "Assumptions", runs: float, duration: float, *, seconds: float
) -> None:
    function = next(iter(stack.functions.values()))
    usage.add("lambda.requests", RECORDS, runs)
    used = count_gigabyte_seconds(runs, duration, function.memory)
    usage.add(f"lambda.duration.{function.architecture}", RECORDS, used)
    usage.add("logs.ingested", RECORDS, runs * assumptions.function_log / _GIGABYTE)
    if function.traced:
        usage.add("traces", RECORDS, count_traces(runs / seconds) * seconds)


def count_import(usage: "Usage", stack: "Stack", profile: Profile, assumptions: "Assumptions", lines: int) -> None:
    """Add an import, each line of which becomes an item."""
    transactions = lines / assumptions.import_lines
    item = count_write_units(profile.item_bytes, transactional=True)
    part = count_write_units(1, transactional=True)
    units = compare_write_units(profile.item_bytes, assumptions)["create"]
    usage.add("dynamodb.writes", RECORDS, lines * (item + units.index + units.audit) + transactions * part)
    _add_runs(usage, stack, assumptions, transactions, assumptions.import_transaction, seconds=lines / 100)
    add_changes(usage, stack, assumptions, lines, lines / 100)


def count_erasure(usage: "Usage", stack: "Stack", profile: Profile, assumptions: "Assumptions", items: int) -> None:
    """Add an erasure of a user with some items."""
    units = compare_write_units(profile.item_bytes, assumptions)["delete"]
    usage.add("dynamodb.writes", RECORDS, items * (units.table + units.index + units.audit))
    usage.add("dynamodb.reads", RECORDS, items * profile.item_bytes / 4096)
    _add_runs(usage, stack, assumptions, items / 1000, 1000 * assumptions.table_wait, seconds=items / 100)
    add_changes(usage, stack, assumptions, items, items / 100)


def count_export(usage: "Usage", stack: "Stack", profile: Profile, assumptions: "Assumptions", items: int) -> None:
    """Add an export of some items with an audit entry each, to a client that reads as fast as Lambda streams."""
    size = items * (profile.item_bytes + assumptions.audit_entry)
    while size > 0:
        response = min(size, assumptions.export_response)
        streamed = count_streamed_bytes(response)
        usage.add("rest_api.requests", RECORDS, count_streamed_requests(response))
        usage.add("lambda.streamed", RECORDS, streamed / _GIGABYTE)
        usage.add("dynamodb.reads", RECORDS, count_read_units(response, consistent=True))
        usage.add("transfer", RECORDS, response / _GIGABYTE)
        seconds = assumptions.table_wait + streamed / STREAM_RATE
        _add_runs(usage, stack, assumptions, 1, count_billed_seconds(seconds), seconds=seconds)
        size -= response
