"""Batches of records from SQS and streams, processed in order until the deadline.

Source: «Implementing partial batch responses», AWS Lambda Developer Guide. The event source needs
`FunctionResponseTypes: [ReportBatchItemFailures]`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.telemetry.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class _OrderedProcessor(BatchProcessor):
    """Powertools' processor, stopped by the first failure or by the deadline; reports every record that is left."""

    seconds_a_record: float

    def process(self) -> list[tuple[Any, ...]]:
        """Process records while all succeed and enough time is left."""
        results: list[tuple[Any, ...]] = []
        reason: BaseException = TimeoutError("too little time was left for another record")
        try:
            with invocation_deadline(self.lambda_context) as deadline:
                for record in self.records:
                    if self.fail_messages or deadline.remaining < self.seconds_a_record:
                        break
                    results.append(self._process_record(record))
        except DeadlineExceeded as error:
            reason = error
        for record in self.records[len(results) :]:
            data = self._to_batch_type(record, self.event_type)
            results.append(self.failure_handler(data, (type(reason), reason, reason.__traceback__)))
        return results


def process_batch(
    event: Mapping[str, Any],
    context: "LambdaContext",
    process_record: Callable[[Any], None],
    event_type: EventType,
    seconds_a_record: float = 1.0,
) -> Mapping[str, Any]:
    """Process the records of an event in order, and report those that are left.

    After the first failure, or when too little time is left, no further record is started. A stream continues from the
    first record reported, and a FIFO queue keeps the order within its groups.

    Args:
        event: the event with its `Records`.
        context: the invocation's context.
        process_record: processes one record, given as Powertools' data class for the event type; an exception reports
            the record.
        event_type: the event source.
        seconds_a_record: the time that must be left to start another record.

    Returns:
        The partial batch response.

    Example:
        >>> def handler(event, context):
        ...     return process_batch(event, context, send_mail, EventType.SQS)
    """
    processor = _OrderedProcessor(event_type, raise_on_entire_batch_failure=False)
    processor.seconds_a_record = seconds_a_record
    # Powertools passes the record by keyword.
    with processor(event["Records"], lambda record: process_record(record), context):  # noqa: PLW0108
        processor.process()
    response = processor.response()
    if failures := response["batchItemFailures"]:
        logger.error(
            "Records are left of a batch",
            first=failures[0]["itemIdentifier"],
            left=len(failures),
            exc_info=processor.exceptions[0][1],
        )
    return response
