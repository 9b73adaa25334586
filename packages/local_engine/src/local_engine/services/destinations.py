"""Records of Lambda's invocations for queues, topics and event buses: destinations and dead-letter queues.

Sources: "Capturing records of Lambda asynchronous invocations", "Retain discarded records for a DynamoDB event source
in Lambda" (AWS Lambda Developer Guide).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from local_engine.services.queues import send_message
from local_engine.services.services_client import ServicesClient, ServicesError
from local_engine.services.topics import publish_message

_DETAIL_TYPE = "Lambda Function Invocation Result - "


def send_record(
    destination: str, body: str, attributes: Mapping[str, tuple[str, str]], endpoint: str, *, source: str = ""
) -> None:
    """Send a record.

    Args:
        destination: ARN of a queue, a topic or an event bus.
        body: the record.
        attributes: message attributes by name: type (`String` or `Number`) and value. An event has none.
        endpoint: URL of the services.
        source: the ARN of the function, for an event bus. Empty for what no event bus can take.

    Raises:
        ServicesError: the destination does not exist, or is of another kind.
    """
    parts = destination.split(":", 5)
    match parts[2] if len(parts) == 6 else "":
        case "sqs":
            send_message(destination, body, attributes, endpoint)
        case "sns":
            publish_message(destination, body, endpoint, attributes)
        case "events" if source:
            state = "Success" if json.loads(body)["requestContext"]["condition"] == "Success" else "Failure"
            entry = {
                "EventBusName": parts[5].removeprefix("event-bus/"),
                "Source": "lambda",
                "DetailType": f"{_DETAIL_TYPE}{state}",
                "Resources": [destination, source],
                "Time": datetime.now(UTC).timestamp(),
                "Detail": body,
            }
            with ServicesClient(endpoint) as client:
                client.call("events", "PutEvents", {"Entries": [entry]})
        case _:
            kinds = "a queue, a topic or an event bus" if source else "a queue or a topic"
            raise ServicesError(f"{destination} is not {kinds}.")
