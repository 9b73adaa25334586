"""Calls to the AWS services that wait without a thread."""

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from local_engine.services.services_client import ServicesError
from local_engine.template.intrinsics import REGION

READ_STREAM = "LocalEngine.ReadStream"
"""Reads the stream of a table as `local_engine.services.moto_streams` says."""
_SECONDS = 60


async def call_service(endpoint: str, service: str, target: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Call an action of a service's JSON protocol. Cancelling the call closes its connection.

    Args:
        endpoint: URL of the services.
        service: the service's signing name.
        target: as in `X-Amz-Target`, such as `AmazonSQS.ReceiveMessage`.
        parameters: the request.

    Raises:
        ServicesError: the services do not answer, or reject the request.
    """
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    status, content = await _exchange(endpoint, service, headers, json.dumps(parameters).encode())
    answer: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(content)
    if status != 200:
        reason = answer.get("Message") or answer.get("message") or f"status {status}"
        raise ServicesError(f"The local AWS services reject {target}: {reason}")
    return answer


async def publish(endpoint: str, topic_arn: str, message: str) -> None:
    """Publish a message to a topic. SNS has no JSON protocol.

    Args:
        endpoint: URL of the services.
        topic_arn: the topic's ARN.
        message: the text.

    Raises:
        ServicesError: the services do not answer, or reject the message.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic_arn, "Message": message}
    status, _ = await _exchange(endpoint, "sns", headers, urllib.parse.urlencode(form).encode())
    if status != 200:
        raise ServicesError(f"The local AWS services reject a message to {topic_arn} with status {status}.")


async def _exchange(endpoint: str, service: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Send a request on a connection of its own, and return the response's status and body."""
    address = urllib.parse.urlsplit(endpoint)
    lines = {
        "Host": address.netloc,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/{service}/aws4_request",
        **headers,
    }
    head = "".join(["POST / HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in lines.items()), "\r\n"])
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(head.encode() + body)
                response = await reader.read()
            finally:
                writer.close()
        head_part, _, content = response.partition(b"\r\n\r\n")
        return int(head_part.split(b" ", 2)[1]), content
    except (OSError, ValueError, IndexError) as error:
        raise ServicesError(f"The local AWS services do not answer ({error}).") from error
