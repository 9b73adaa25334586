"""`make reindex`: has every resource embedded that has no vector of a model in use, and waits until all have one."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import batched, groupby
from pathlib import Path
from typing import Any

from local_engine.template import load_template
from tools.arguments import add_services, add_target, find_stack, read_services, report_failure
from tools.command_parser import CommandParser
from tools.profiles import OperationError
from tools.stack import connect_local

type Models = Mapping[str, str]
"""The embedding model of each vector index in use, by the index's name."""

_ROOT = Path(__file__).parents[1]
_FUNCTION = "Vectors/EmbedResources"
_BATCH = 10
_PREFIX = "vector#"
_PAUSE_SECONDS = 2.0
_ATTRIBUTES = ("pk", "sk", "version", "deletedAt", "embedded", "models")


class Reindex:
    """Sends a message for each resource without current vectors, to the queue of the function that embeds resources."""

    def __init__(self, dynamodb: Any, sqs: Any, table: str, queue: str, noun: str = "resource") -> None:
        """Take clients of the services, the table's name, the queue's URL, and the noun that is embedded."""
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._table = table
        self._queue = queue
        self._noun = f"{noun}#"

    def run(self, models: Models, seconds: float, show: Callable[[str], None] = print) -> int:
        """Have all that is missing embedded, and return how many resources still miss a vector.

        It is safe to repeat, and to end at any time: the function goes on with what is in the queue.

        Args:
            models: the model of each index.
            seconds: how long to wait without progress.
            show: gets a line for each round.
        """
        sent: set[tuple[str, str]] = set()
        least, since = None, time.monotonic()
        while True:
            missing = set(self._find_missing(models))
            show(f"{len(missing)} resources miss a vector")
            if not missing:
                return 0
            if least is None or len(missing) < least:
                least, since = len(missing), time.monotonic()
            elif time.monotonic() - since > seconds:
                return len(missing)
            self._send(sorted(missing - sent))
            sent |= missing
            time.sleep(_PAUSE_SECONDS)

    def _find_missing(self, models: Models) -> Iterator[tuple[str, str]]:
        """Yield owner and ID of each resource without current vectors, and of each that is gone but has some."""
        names = {f"#{name}": name for name in _ATTRIBUTES}
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table,
            ProjectionExpression=", ".join(names),
            ExpressionAttributeNames=names,
            ConsistentRead=True,
        )
        items = (item for page in pages for item in page["Items"])
        # A scan returns a partition's items one after the other.
        for partition, group in groupby(items, lambda item: item["pk"]["S"]):
            if partition.startswith("user#"):
                for item_id in _find_missing_ids(group, self._noun, models):
                    yield partition.removeprefix("user#"), item_id

    def _send(self, missing: list[tuple[str, str]]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for part in batched(missing, _BATCH, strict=False):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": json.dumps({"detail": {"owner": owner, "id": item_id, "occurredAt": now}}),
                }
                for number, (owner, item_id) in enumerate(part)
            ]
            if failed := self._sqs.send_message_batch(QueueUrl=self._queue, Entries=entries).get("Failed"):
                raise OperationError(f"SQS did not take {len(failed)} messages: {failed[0].get('Message')}")


def _find_missing_ids(items: Iterator[Mapping[str, Any]], noun: str, models: Models) -> set[str]:
    versions: dict[str, str] = {}
    current: dict[str, str] = {}
    for item in items:
        key = item["sk"]["S"]
        if key.startswith(noun) and "deletedAt" not in item:
            versions[key.removeprefix(noun)] = item["version"]["S"]
        elif key.startswith(_PREFIX + noun):
            found = {name: model["S"] for name, model in item["models"]["M"].items()}
            is_whole = models.items() <= found.items()
            current[key.removeprefix(_PREFIX + noun)] = item["embedded"]["S"] if is_whole else ""
    return {item_id for item_id in versions.keys() | current.keys() if versions.get(item_id) != current.get(item_id)}


def main() -> int:
    """Run the tool; return 1 if a resource still misses a vector, and 2 if nothing could be done."""
    parser = CommandParser(prog="make reindex", description=__doc__)
    add_target(parser)
    add_services(parser)
    parser.add_argument("--patience", type=float, default=300, help="seconds to wait without progress (default: 300)")
    options = parser.parse_args()
    return report_failure(lambda: _reindex(options))


def _reindex(options: argparse.Namespace) -> int:
    if options.url:
        services = read_services(options)
        function = load_template(_ROOT / "template.yaml", {"Intelligence": "on"}).functions[_FUNCTION]
        dynamodb, sqs = (connect_local(service, services) for service in ("dynamodb", "sqs"))
        table, text = "Table", function.environment["VECTOR_MODELS"]
        queue = sqs.get_queue_url(QueueName="Vectors-VectorsQueue")["QueueUrl"]
    else:
        stack = find_stack(options)
        outputs = stack.require_outputs("TableName", "VectorsQueueUrl", "VectorModels")
        dynamodb, sqs = stack.make_client("dynamodb"), stack.make_client("sqs")
        table, queue, text = (outputs[name] for name in ("TableName", "VectorsQueueUrl", "VectorModels"))
    pairs = (pair.partition("=") for pair in text.split(","))
    models = {name: model for name, _, model in pairs if model}
    return 1 if Reindex(dynamodb, sqs, table, queue).run(models, options.patience) else 0


if __name__ == "__main__":
    raise SystemExit(main())
