"""Puts an event on the bus for every change in a batch of the table's stream."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from records.changes import UNREADABLE, read_change
from records.dead_letters import set_aside
from records.events import Event, make_change_event, publish_events
from serverless_api import invocation_deadline, logger, report_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
    events: list[Event] = []
    numbers: list[str] = []
    with invocation_deadline(context):
        for record in event["Records"]:
            try:
                change = read_change(record)
            except UNREADABLE as error:
                set_aside(record, context.invoked_function_arn, error)
                continue
            if change:
                events.append(make_change_event(change))
                numbers.append(change.sequence)
        failed = publish_events(events)
    report_event()
    logger.info("Events are published", function_request_id=context.aws_request_id, events=len(events) - len(failed))
    # Lambda continues with the first of them, so events after it are put again.
    return {"batchItemFailures": [{"itemIdentifier": numbers[index]} for index in sorted(failed)]}
