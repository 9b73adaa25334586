"""Calls to the AWS services that wait without a thread."""

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from local_engine.services.aws_services import ServicesError
from local_engine.template.intrinsics import REGION

_JSON_VERSIONS = {"sqs": "1.0", "dynamodb": "1.0"}
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
    address = urllib.parse.urlsplit(endpoint)
    body = json.dumps(parameters).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        f"Content-Type: application/x-amz-json-{_JSON_VERSIONS[service]}\r\nX-Amz-Target: {target}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/{service}/aws4_request\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_SECONDS):
            status, content = await _exchange(address.hostname or "", address.port or 80, head.encode() + body)
    except (OSError, ValueError, IndexError) as error:
        raise ServicesError(f"The local AWS services do not answer ({error}).") from error
    answer: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(content)
    if status != 200:
        reason = answer.get("Message") or answer.get("message") or f"status {status}"
        raise ServicesError(f"The local AWS services reject {target}: {reason}")
    return answer


async def _exchange(host: str, port: int, request: bytes) -> tuple[int, bytes]:
    """Send a request that closes its connection, and return the response's status and body."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        response = await reader.read()
    finally:
        writer.close()
    head, _, content = response.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), content
