"""AWS services on one machine: moto in its own process, with the resources of a template."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import textwrap
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from local_engine.child_environment import service_environment
from local_engine.services.containers import Network, listen
from local_engine.template.intrinsics import REGION
from local_engine.template.stack import Resource, Stack

SERVICES_PORT = 4566
"""The port under `local-engine backend`."""
LARGEST_BATCH = 25
"""Most requests of a BatchWriteItem call."""
_LONGEST_SHOWN = 2000

# Properties that AWS::DynamoDB::Table and CreateTable have in common.
_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
)
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
)
_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::SQS::Queue": "QueueName",
}
_RULE_PROPERTIES = ("Description", "EventBusName", "ScheduleExpression", "State")
# Target prefix and JSON version of each service's protocol, by its signing name.
_PROTOCOLS = {
    "dynamodb": ("DynamoDB_20120810", "1.0"),
    "events": ("AWSEvents", "1.1"),
    "secretsmanager": ("secretsmanager", "1.1"),
    "sqs": ("AmazonSQS", "1.0"),
}


class ServicesError(Exception):
    """The services do not start, or reject a request. The message is a sentence for the user."""


@dataclass(frozen=True)
class Services:
    """The running process. It ends with this one, even if this one is killed."""

    process: subprocess.Popen[bytes]
    endpoint: str

    def stop(self) -> None:
        """End the process. Harmless if it has ended."""
        if self.process.stdin:
            self.process.stdin.close()
        # It keeps nothing, and looks at its input only after seconds of imports.
        self.process.kill()
        self.process.wait()


def start_services(port: int | None = None) -> Services:
    """Start moto on loopback.

    Args:
        port: the port to listen on. None for any free one.

    Raises:
        ServicesError: the port is taken.
    """
    try:
        listener = listen("127.0.0.1", port or 0)
    except OSError as error:
        raise ServicesError(
            f"Port {port} cannot be used for the local AWS services ({error.strerror}). Stop the program that uses it."
        ) from error
    return serve_moto([listener])


def serve_moto(sockets: Sequence[socket.socket], networks: Sequence[Network] = ()) -> Services:
    """Start moto on listening sockets, which this process then closes.

    Args:
        sockets: this machine reaches the services at the first one's address.
        networks: networks that may call, besides loopback.
    """
    host, port = sockets[0].getsockname()
    descriptors = [listener.fileno() for listener in sockets]
    process = subprocess.Popen(  # noqa: S603 - this module's own arguments
        [
            sys.executable,
            "-m",
            "local_engine.services.moto_server",
            ",".join(map(str, networks)),
            *map(str, descriptors),
        ],
        # Without CORS headers, no web page can read the tables.
        env={**service_environment(), "MOTO_DISABLE_GLOBAL_CORS": "true", "MOTO_PORT": str(port)},
        stdin=subprocess.PIPE,
        pass_fds=descriptors,
        # Ctrl-C is for the parent, which stops this process when it is ready.
        start_new_session=True,
    )
    for listener in sockets:
        listener.close()
    return Services(process, f"http://{host}:{port}")


def create_resources(stack: Stack, endpoint: str) -> None:
    """Create the tables, queues, event buses and rules of a stack. The default name is the logical ID.

    Args:
        stack: the stack. Its other resources are ignored.
        endpoint: URL of the services.

    Raises:
        ServicesError: moto rejects a resource. The message gives its reason.
    """
    with _Client(endpoint) as client:

        def create_table(logical_id: str, resource: Resource) -> None:
            _create_table(client, _read_name(logical_id, resource), resource.properties)

        def create_queue(logical_id: str, resource: Resource) -> str:
            return _create_queue(client, _read_name(logical_id, resource), resource.properties)

        def set_redrive_policy(logical_id: str, resource: Resource) -> None:
            if (policy := resource.properties.get("RedrivePolicy")) and logical_id in urls:
                attributes = {"RedrivePolicy": json.dumps(policy)}
                client.call("sqs", "SetQueueAttributes", {"QueueUrl": urls[logical_id], "Attributes": attributes})

        def create_bus(logical_id: str, resource: Resource) -> None:
            client.call("events", "CreateEventBus", {"Name": _read_name(logical_id, resource)})

        def create_rule(logical_id: str, resource: Resource) -> None:
            _create_rule(client, _read_name(logical_id, resource), resource.properties)

        stack.read_parts("AWS::DynamoDB::Table", read=create_table)
        urls = stack.read_parts("AWS::SQS::Queue", read=create_queue)
        # A dead-letter queue must exist before another queue names it.
        stack.read_parts("AWS::SQS::Queue", read=set_redrive_policy)
        stack.read_parts("AWS::Events::EventBus", read=create_bus)
        stack.read_parts("AWS::Events::Rule", read=create_rule)


def seed_tables(file: Path, endpoint: str, names: Mapping[str, str]) -> None:
    """Write the items of a file into the tables.

    Args:
        file: JSON in the form of BatchWriteItem's `RequestItems`, with logical IDs as table names.
        endpoint: URL of the services.
        names: the tables' names by their logical IDs.

    Raises:
        ServicesError: the file cannot be read, a table is unknown, or an item is rejected.
    """
    try:
        content = json.loads(file.read_text())
        requests = [(names[table], request) for table, entries in content.items() for request in entries]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ServicesError(f"{file} cannot be used for example data: {error}.") from error
    except KeyError as error:
        raise ServicesError(f"{file} has items for {error}, which is not a table of the template.") from error
    with _Client(endpoint) as client:
        for start in range(0, len(requests), LARGEST_BATCH):
            batch: dict[str, list[Any]] = {}
            for table, request in requests[start : start + LARGEST_BATCH]:
                batch.setdefault(table, []).append(request)
            client.call("dynamodb", "BatchWriteItem", {"RequestItems": batch})


def keep_secret(name: str, value: str, endpoint: str) -> None:
    """Create or replace a secret in Secrets Manager.

    Args:
        name: the secret's name.
        value: its text.
        endpoint: URL of the services.

    Raises:
        ServicesError: the secret is rejected.
    """
    with _Client(endpoint) as client:
        # Created without its value, which an error message would quote. Other services may have the secret already.
        with contextlib.suppress(ServicesError):
            client.call("secretsmanager", "CreateSecret", {"Name": name})
        try:
            client.call("secretsmanager", "PutSecretValue", {"SecretId": name, "SecretString": value})
        except ServicesError:
            raise ServicesError(f"The local AWS services reject the secret {name}.") from None


def find_table_names(stack: Stack) -> dict[str, str]:
    """Return the names of a stack's tables by their logical IDs."""
    return stack.read_parts("AWS::DynamoDB::Table", read=_read_name)


def send_message(queue_arn: str, body: str, attributes: Mapping[str, tuple[str, str]], endpoint: str) -> None:
    """Send a message to an SQS queue.

    Args:
        queue_arn: the queue's ARN.
        body: the message.
        attributes: the message's attributes by name: type (`String` or `Number`) and value.
        endpoint: URL of the services.

    Raises:
        ServicesError: the queue does not exist, or the message is rejected.
    """
    with _Client(endpoint) as client:
        queue = client.call("sqs", "GetQueueUrl", {"QueueName": queue_arn.rpartition(":")[2]})
        message_attributes = {
            name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()
        }
        message = {"QueueUrl": queue["QueueUrl"], "MessageBody": body, "MessageAttributes": message_attributes}
        client.call("sqs", "SendMessage", message)


def _read_name(logical_id: str, resource: Resource) -> str:
    return str(resource.properties.get(_NAMES[resource.type], logical_id))


def _create_table(client: "_Client", name: str, properties: Mapping[str, Any]) -> None:
    request = {"TableName": name, **_pick(properties, _TABLE_PROPERTIES)}
    if stream := properties.get("StreamSpecification"):
        request["StreamSpecification"] = {"StreamEnabled": True, **stream}
    client.call("dynamodb", "CreateTable", request)
    if expiry := properties.get("TimeToLiveSpecification"):
        client.call("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": expiry})


def _create_queue(client: "_Client", name: str, properties: Mapping[str, Any]) -> str:
    attributes = {key: _attribute_text(value) for key, value in _pick(properties, _QUEUE_ATTRIBUTES).items()}
    answer = client.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})
    return str(answer["QueueUrl"])


def _create_rule(client: "_Client", name: str, properties: Mapping[str, Any]) -> None:
    request = {"Name": name, **_pick(properties, _RULE_PROPERTIES)}
    if pattern := properties.get("EventPattern"):
        request["EventPattern"] = json.dumps(pattern)
    client.call("events", "PutRule", request)
    if targets := properties.get("Targets"):
        bus = _pick(properties, ("EventBusName",))
        client.call("events", "PutTargets", {"Rule": name, "Targets": targets, **bus})


def _pick(properties: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: properties[name] for name in names if name in properties}


def _attribute_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Client:
    """Calls AWS's JSON protocols directly, because importing boto3 would double the start-up time."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        prefix, version = _PROTOCOLS[service]
        headers = {
            "Content-Type": f"application/x-amz-json-{version}",
            "X-Amz-Target": f"{prefix}.{action}",
            # Moto reads service and region from this header and does not check the signature.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/{service}/aws4_request",
        }
        try:
            self._connection.request("POST", "/", json.dumps(parameters), headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServicesError(f"The local AWS services do not answer ({error}).") from error
        answer: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            answer = json.loads(content)
        if response.status != 200:
            reason = answer.get("Message") or answer.get("message") or f"status {response.status}"
            shown = textwrap.shorten(json.dumps(parameters), _LONGEST_SHOWN)
            raise ServicesError(f"The local AWS services reject {action} with {shown}: {reason}")
        return answer
