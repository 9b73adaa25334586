"""Erases users step by step: the ledger's stream starts each erasure, and a queue carries the steps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import EventType

from erasure_steps import LATE_SECONDS, STEP_SECONDS, Step, run_step, send_step
from records import erasures
from serverless_api import logger, process_batch

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    logger.append_keys(function_request_id=context.aws_request_id)
    if event["Records"][0]["eventSource"] == "aws:dynamodb":
        return process_batch(event, context, _start, EventType.DynamoDBStreams)
    return process_batch(event, context, _continue, EventType.SQS, seconds_a_record=STEP_SECONDS)


def _start(record: "DynamoDBRecord") -> None:
    """Send the first step of an erasure that is new, or that goes up to a later time."""
    change = record.dynamodb
    new, old = (change.new_image, change.old_image) if change else ({}, {})
    if new.get("state") == "running" and old.get("requestedAt") != new["requestedAt"]:
        send_step(Step.first(erasures.to_erasure(new)))


def _continue(record: "SQSRecord") -> None:
    step = Step(**record.json_body)
    logger.append_keys(erasure=step.erasure)
    following = run_step(step)
    if following is not None:
        is_next_round = following.round > step.round
        send_step(following, delay=LATE_SECONDS if is_next_round else 0)
