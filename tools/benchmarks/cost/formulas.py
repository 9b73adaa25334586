"""AWS's metering rules: rounding, increments and minimums, without prices.

Source: the pricing pages of AWS Lambda, Amazon API Gateway, Amazon DynamoDB and AWS X-Ray.
"""

import math

MEGABYTES_PER_GIGABYTE = 1024
FULL_PROCESSOR = 1769
"""MB of memory at which a function has one full vCPU ("Configure Lambda function memory", AWS Lambda)."""
HTTP_API_INCREMENT = 512 * 1024
"""Maximum bytes of one metered HTTP API request."""
STREAM_INCREMENT = 10 * 1024**2
"""Maximum bytes of a streamed response that a REST API meters as one request."""
UNMETERED_STREAM = 6 * 1024**2
"""Bytes of a streamed response that Lambda sends at full speed and without a charge for them."""
STREAM_RATE = 2 * 1024**2
"""Bytes a second at which Lambda streams the rest ("Response streaming for Lambda functions", AWS Lambda)."""
PROVISIONED_INCREMENT = 300
"""Provisioned concurrency is rounded up to this many seconds."""
LEAST_SNAPSHOT = 3 * 3600
"""Minimum charge for caching a version's snapshot, in seconds."""


def count_billed_seconds(seconds: float) -> float:
    """Return a billed duration, rounded up to a millisecond."""
    # Without rounding first, 0.12 s would become 121 ms.
    return math.ceil(round(seconds * 1000, 6)) / 1000


def count_gigabyte_seconds(invocations: float, seconds: float, memory: int) -> float:
    """Return the GB-seconds of invocations.

    Args:
        invocations: number of invocations.
        seconds: billed duration of one.
        memory: memory of the function in MB.
    """
    return invocations * seconds * memory / MEGABYTES_PER_GIGABYTE


def scale_to_memory(processor_seconds: float, waiting_seconds: float, memory: int) -> float:
    """Return the duration of an invocation at a memory size.

    Lambda allocates processor time in proportion to memory. Computing slows down accordingly, waiting does not. Above
    one vCPU, code with one busy thread gains nothing.

    Args:
        processor_seconds: processor time on a full vCPU.
        waiting_seconds: time spent waiting for the network.
        memory: MB.
    """
    return processor_seconds * max(1.0, FULL_PROCESSOR / memory) + waiting_seconds


def count_provisioned_seconds(seconds: float) -> float:
    """Return the charged seconds of provisioned concurrency."""
    return math.ceil(round(seconds / PROVISIONED_INCREMENT, 9)) * PROVISIONED_INCREMENT


def count_snapshot_seconds(seconds: float) -> float:
    """Return the charged seconds of an active version's snapshot."""
    return max(LEAST_SNAPSHOT, seconds)


def count_metered_requests(size: float) -> int:
    """Return the metered requests of an HTTP API request with a size in bytes."""
    return max(1, math.ceil(size / HTTP_API_INCREMENT))


def count_streamed_requests(size: float) -> int:
    """Return the metered requests of a REST API response that is streamed, with a size in bytes."""
    return max(1, math.ceil(size / STREAM_INCREMENT))


def count_streamed_bytes(size: float) -> float:
    """Return the metered bytes of a response that Lambda streams."""
    return max(0.0, size - UNMETERED_STREAM)


def count_read_units(size: float, *, consistent: bool, transactional: bool = False) -> float:
    """Return the read request units of a read.

    Args:
        size: bytes of the item, or of all items that a query reads.
        consistent: whether the read is strongly consistent.
        transactional: whether it is part of a transaction.
    """
    units = max(1, math.ceil(size / 4096))
    return units * 2.0 if transactional else units * (1.0 if consistent else 0.5)


def count_write_units(size: float, *, transactional: bool = False) -> int:
    """Return the write request units to write or delete an item with a size in bytes."""
    return max(1, math.ceil(size / 1024)) * (2 if transactional else 1)


def count_traces(requests_per_second: float) -> float:
    """Return the traces a second that Lambda records: the first request of each second, and 5 % of the others.

    Requests arrive independently of each other.

    Source: "Visualize Lambda function invocations using AWS X-Ray", AWS Lambda Developer Guide.
    """
    first = 1 - math.exp(-requests_per_second)
    return first + 0.05 * (requests_per_second - first)
