"""What all kinds of APIs share between a request and its function: the event, the invocation, and the response.

Source: "Quotas" pages of API Gateway and AWS Lambda (Developer Guides).
"""

import asyncio
import json
import time
from typing import Any

from local_engine.functions.invocation import Invocation
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.events import Headers, InvalidResponse, Request, Response
from local_engine.gateway.request_limits import Scope, Send, find_header
from local_engine.gateway.response_stream import Late
from local_engine.observer import Observer

MAX_EVENT = 6 * 1024 * 1024
"""Most bytes that Lambda accepts."""


def read_request(scope: Scope, record: RequestRecord) -> Request:
    """Return a request without its body."""
    host = find_header(scope["headers"], b"host")
    return Request(
        id=record.id,
        method=record.method,
        raw_path=record.path,
        query=scope["query_string"].decode("latin-1"),
        headers=scope["headers"],
        body=b"",
        source_ip=scope["client"][0],
        scheme=scope["scheme"],
        host="{}:{}".format(*scope["server"]) if host is None else host,
        http_version=scope["http_version"],
        received_at=record.received_at,
    )


def encode_event(event: dict[str, Any]) -> bytes | None:
    """Return an event in JSON, or None if Lambda does not accept its size."""
    encoded = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return encoded if len(encoded) <= MAX_EVENT else None


async def invoke_within(
    seconds: float, pool: FunctionPool, event: bytes, qualifier: str | None, record: RequestRecord
) -> Invocation:
    """Invoke a function, and wait for its result as long as the gateway does.

    Args:
        seconds: how long it waits. A function under a debugger has any time.
        pool: the function.
        event: the event in JSON.
        qualifier: the version or alias.
        record: gets the time and the kind of start.

    Raises:
        Late: there is no result in time.
        FunctionError: as `FunctionPool.invoke`.
        ConcurrencyExceeded: as `FunctionPool.invoke`.
    """
    started = time.monotonic()
    # As in AWS, the function goes on after the gateway has given up.
    invocation = asyncio.create_task(pool.invoke(event, qualifier=qualifier))
    done, _ = await asyncio.wait((invocation,), timeout=None if pool.is_debugged else seconds)
    record.waited = (time.monotonic() - started) * 1000
    if not done:
        invocation.add_done_callback(_retrieve)
        raise Late(f"No answer within the gateway's {seconds:g} s.")
    result = invocation.result()
    record.start = "cold" if result.cold else "warm"
    return result


def describe_failure(error: Exception) -> str:
    """Return a sentence on why a function gave no usable response, with a traceback if there is one."""
    return f"The function's response is not valid: {error}." if isinstance(error, InvalidResponse) else str(error)


def report_fault(record: RequestRecord, observer: Observer, text: str) -> None:
    """Tell the access log and the observer of a function's failure."""
    record.integration_error = text.partition("\n")[0]
    observer.fault_found(record.function, text)


async def send_response(response: Response, headers: Headers, send: Send) -> int:
    """Send a whole response with these headers, and return the number of bytes in its body."""
    size = len(response.body)
    if response.status not in (204, 304):
        headers = [*headers, (b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
    return size


def _retrieve(invocation: "asyncio.Task[Invocation]") -> None:
    # No one awaits the result, and asyncio complains about an exception that is never retrieved.
    if not invocation.cancelled():
        invocation.exception()
