"""Messages of the `application/vnd.amazon.eventstream` encoding.

Source: "Amazon Event Stream Specification" of Smithy. Each message is a prelude (total length, length of the headers,
checksum), headers, payload and a checksum.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def encode_event(event_type: str, payload: Mapping[str, Any]) -> bytes:
    """Return an event with a JSON payload."""
    return _encode({":event-type": event_type, ":content-type": "application/json", ":message-type": "event"}, payload)


def encode_chunk(event_type: str, content: bytes) -> bytes:
    """Return an event with bytes as its payload."""
    headers = {":event-type": event_type, ":content-type": "application/octet-stream", ":message-type": "event"}
    return _encode(headers, content)


def encode_exception(exception_type: str, message: str) -> bytes:
    """Return a modeled error of a stream.

    Args:
        exception_type: its member in the stream, such as `throttlingException`.
        message: the error's message.
    """
    headers = {
        ":exception-type": exception_type,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return _encode(headers, {"message": message})


def _encode(headers: Mapping[str, str], payload: Mapping[str, Any] | bytes) -> bytes:
    encoded_headers = b"".join(_encode_header(name, value) for name, value in headers.items())
    content = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    # Twelve bytes of prelude and four of the checksum at the end.
    lengths = struct.pack("!II", 12 + len(encoded_headers) + len(content) + 4, len(encoded_headers))
    message = lengths + struct.pack("!I", zlib.crc32(lengths)) + encoded_headers + content
    return message + struct.pack("!I", zlib.crc32(message))


def _encode_header(name: str, value: str) -> bytes:
    encoded_name, encoded_value = name.encode(), value.encode()
    return struct.pack(
        f"!B{len(encoded_name)}sBH{len(encoded_value)}s",
        len(encoded_name),
        encoded_name,
        _STRING,
        len(encoded_value),
        encoded_value,
    )
