"""Appends an entry to the audit trail for every change in a batch of the table's stream."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import EventType

from records.changes import ERASURE_DOOR, UNKNOWN_DOOR, UNREADABLE, Change, find_mark, read_change
from records.dead_letters import set_aside
from records.erasures import find_erasure
from records.trail import append_change, remove_mark
from serverless_api import Origin, logger, process_batch, read_count

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

_retention_days = read_count("AUDIT_RETENTION_DAYS", default=365)


# The changes of an erasure follow one another.
_find_erasure = lru_cache(maxsize=1)(find_erasure)


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    logger.append_keys(function_request_id=context.aws_request_id)
    _find_erasure.cache_clear()
    function_arn = context.invoked_function_arn
    response = process_batch(event, context, lambda record: _record(record, function_arn), EventType.DynamoDBStreams)
    logger.info("Changes are recorded", records=len(event["Records"]), left=len(response["batchItemFailures"]))
    return response


def _record(stream_record: "DynamoDBRecord", function_arn: str) -> None:
    record = stream_record.raw_event
    try:
        change, mark = read_change(record), find_mark(record)
    except UNREADABLE as error:
        set_aside(record, function_arn, error)
        return
    if change:
        append_change(_add_erasure(change), _retention_days)
    if mark:
        remove_mark(mark)


def _add_erasure(change: Change) -> Change:
    """Return a change with its origin, which the record of an item that was really deleted does not have."""
    if change.origin.door != ERASURE_DOOR or change.origin.request_id:
        return change
    found = _find_erasure(change.owner)
    return change._replace(origin=Origin(ERASURE_DOOR, found[0], found[1]) if found else Origin(UNKNOWN_DOOR))
