"""How AWS counts what it charges for: rounding, increments and least amounts, without any price.

Source: the pricing pages of AWS Lambda, Amazon API Gateway, Amazon DynamoDB and AWS X-Ray.
"""

import math

MEGABYTES_PER_GIGABYTE = 1024
FULL_PROCESSOR = 1769
"""MB of memory at which a function has one whole vCPU («Configure Lambda function memory», AWS Lambda)."""
HTTP_API_INCREMENT = 512 * 1024
"""Bytes that one metered request of an HTTP API holds at most."""
PROVISIONED_INCREMENT = 300
"""Seconds that provisioned concurrency is rounded up to."""
LEAST_SNAPSHOT = 3 * 3600
"""Seconds that the cache of a version's snapshot is charged for at least."""


def count_billed_seconds(seconds: float) -> float:
    """Return a duration as Lambda bills it: rounded up to a millisecond."""
    # Without the rounding before it, 0.12 s would be 121 ms.
    return math.ceil(round(seconds * 1000, 6)) / 1000


def count_gigabyte_seconds(invocations: float, seconds: float, memory: int) -> float:
    """Return what invocations use.

    Args:
        invocations: how many.
        seconds: that one is billed.
        memory: of the function, MB.
    """
    return invocations * seconds * memory / MEGABYTES_PER_GIGABYTE


def scale_to_memory(processor_seconds: float, waiting_seconds: float, memory: int) -> float:
    """Return how long an invocation takes with a memory size.

    Lambda gives a function processor time in proportion to its memory. What it computes takes longer by that share;
    what it waits for does not. Above one vCPU, code with one busy thread gains nothing.

    Args:
        processor_seconds: on a whole vCPU.
        waiting_seconds: for the network.
        memory: MB.
    """
    return processor_seconds * max(1.0, FULL_PROCESSOR / memory) + waiting_seconds


def count_provisioned_seconds(seconds: float) -> float:
    """Return for how long provisioned concurrency is charged that stood for some seconds."""
    return math.ceil(round(seconds / PROVISIONED_INCREMENT, 9)) * PROVISIONED_INCREMENT


def count_snapshot_seconds(seconds: float) -> float:
    """Return for how long the snapshot of a version is charged that was active for some seconds."""
    return max(LEAST_SNAPSHOT, seconds)


def count_metered_requests(size: float) -> int:
    """Return as how many requests an HTTP API meters one whose data has this size in bytes."""
    return max(1, math.ceil(size / HTTP_API_INCREMENT))


def count_read_units(size: float, *, consistent: bool, transactional: bool = False) -> float:
    """Return the read request units of a read.

    Args:
        size: bytes of the item, or of all items that a query reads together.
        consistent: whether the read is strongly consistent.
        transactional: whether it is part of a transaction.
    """
    units = max(1, math.ceil(size / 4096))
    return units * 2.0 if transactional else units * (1.0 if consistent else 0.5)


def count_write_units(size: float, *, transactional: bool = False) -> int:
    """Return the write request units of writing or deleting an item of a size in bytes."""
    return max(1, math.ceil(size / 1024)) * (2 if transactional else 1)


def count_traces(requests_per_second: float) -> float:
    """Return how many traces a second Lambda records: the first request of each second, and 5 % of the others.

    Requests are taken to arrive independently of each other.

    Source: «Visualize Lambda function invocations using AWS X-Ray», AWS Lambda Developer Guide.
    """
    first = 1 - math.exp(-requests_per_second)
    return first + 0.05 * (requests_per_second - first)
