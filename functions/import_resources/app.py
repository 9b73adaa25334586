"""Runs on each part of an import's file, and creates a resource from each line, once."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import EventType

from part_reading import read_lines, send_again
from records.imports import Part, PartImport
from resources import resources
from serverless_api import process_batch, read_number

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

_write_units = read_number("IMPORT_WRITE_UNITS", default=0.0)


def handler(event: Mapping[str, Any], context: "LambdaContext") -> Mapping[str, Any]:
    return process_batch(event, context, _import, EventType.SQS, seconds_a_record=30.0)


def _import(message: "SQSRecord") -> None:
    part = Part(*json.loads(message.body))
    found = read_lines(part)
    if found and not PartImport(found.file, part, resources, _write_units).run(found.lines):
        send_again(part)
