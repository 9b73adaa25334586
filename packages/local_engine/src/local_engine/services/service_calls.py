"""Calls to the AWS services that wait without a thread."""

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from local_engine.services.services_client import ServicesError, sign_locally

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
    status, content = await _exchange(endpoint, service, target, json.dumps(parameters).encode())
    answer: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(content)
    if status != 200:
        reason = answer.get("Message") or answer.get("message") or f"status {status}"
        raise ServicesError(f"The local AWS services reject {target}: {reason}")
    return answer


async def _exchange(endpoint: str, service: str, target: str, body: bytes) -> tuple[int, bytes]:
    """Send a request on a new connection, and return the response's status and body."""
    address = urllib.parse.urlsplit(endpoint)
    lines = {
        "Host": address.netloc,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": target,
        "Authorization": sign_locally(service),
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
