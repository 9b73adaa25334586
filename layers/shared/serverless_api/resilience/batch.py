"""Batches of records from SQS and streams, processed until the deadline.

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


class _Processor(BatchProcessor):
    """Powertools' processor, stopped by the deadline; reports every record that is left."""

    seconds_a_record: float

    def process(self) -> list[tuple[Any, ...]]:
        """Process records while enough time is left, and in an ordered source while all succeed."""
        results: list[tuple[Any, ...]] = []
        reason: BaseException = TimeoutError("too little time was left for another record")
        try:
            with invocation_deadline(self.lambda_context) as deadline:
                for record in self.records:
                    if deadline.remaining < self.seconds_a_record or (self.fail_messages and self._is_ordered(record)):
                        break
                    results.append(self._process_record(record))
        except DeadlineExceeded as error:
            reason = error
        for record in self.records[len(results) :]:
            data = self._to_batch_type(record, self.event_type)
            results.append(self.failure_handler(data, (type(reason), reason, reason.__traceback__)))
        return results

    def _is_ordered(self, record: Mapping[str, Any]) -> bool:
        """Return whether the record comes from a stream or a FIFO queue, so that none may overtake another."""
        return self.event_type is not EventType.SQS or record.get("eventSourceARN", "").endswith(".fifo")


def process_batch(
    event: Mapping[str, Any],
    context: "LambdaContext",
    process_record: Callable[[Any], None],
    event_type: EventType,
    seconds_a_record: float = 1.0,
) -> Mapping[str, Any]:
    """Process the records of an event in order, and report those that failed or are left.

    In a standard queue, each record succeeds or fails by itself. In a stream or a FIFO queue, no further record is
    started after the first failure: a stream continues from the first record reported, and a FIFO queue keeps the order
    within its groups. When too little time is left, no further record is started.

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
    processor = _Processor(event_type, raise_on_entire_batch_failure=False)
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
