"""Batches of records (SQS, DynamoDB streams), worked off as far as the time allows.

Source: «Implementing partial batch responses», AWS Lambda Developer Guide; the event source needs
`FunctionResponseTypes: [ReportBatchItemFailures]`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.telemetry.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

type Record = Mapping[str, Any]


def process_batch(
    event: Mapping[str, Any],
    context: "LambdaContext",
    process_record: Callable[[Record], None],
    identify_record: Callable[[Record], str],
    seconds_a_record: float = 1.0,
) -> dict[str, list[dict[str, str]]]:
    """Process the records of an event in their order, and report those that are still to be done.

    After a record that fails, and once too little time is left, no further one is taken: a stream goes on from the
    first one reported, and the order within a FIFO queue's group is kept.

    Args:
        event: with its `Records`.
        context: the invocation's.
        process_record: does what is to be done; an exception reports the record.
        identify_record: returns what the source knows a record by (`messageId`, or a stream's sequence number).
        seconds_a_record: how much time must be left for another record to be taken.

    Returns:
        The partial batch response.

    Example:
        >>> def handler(event, context):
        ...     return process_batch(event, context, send_mail, lambda record: record["messageId"])
    """
    records = list(event["Records"])
    done = 0
    try:
        with invocation_deadline(context) as deadline:
            for record in records:
                if deadline.remaining < seconds_a_record:
                    logger.warning("Too little time is left for the rest of the batch", left=len(records) - done)
                    break
                process_record(record)
                done += 1
    except (Exception, DeadlineExceeded):
        logger.exception("A record failed", record=identify_record(records[done]))
    return {"batchItemFailures": [{"itemIdentifier": identify_record(record)} for record in records[done:]]}
