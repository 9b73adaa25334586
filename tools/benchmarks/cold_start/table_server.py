"""Stand-in for DynamoDB that answers from memory over TLS and counts requests.

It holds any number of one user's items without storing them: it derives each item from its position. It rejects
operations that the two measured requests do not use, such as `GetItem`.

Source: "Query", "PutItem" and "Provisioned capacity mode", Amazon DynamoDB Developer Guide and API Reference.
"""

import argparse
import functools
import json
import math
import signal
import ssl
import sys
import threading
from binascii import crc32
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER = "demo"
PREFIX = "resource#019ab0c1-7a3e-7c55-9d1f-"
MOST_BYTES = 1_048_576  # of items that one Query reads

type Item = dict[str, dict[str, str]]


def make_item(position: int) -> Item:
    """Return the user's item at a position, counted from the oldest, in DynamoDB JSON."""
    return {
        "pk": {"S": f"user#{USER}"},
        "sk": {"S": f"{PREFIX}{position:012x}"},
        "name": {"S": f"Resource {position}"},
        "type": {"S": "ABC"[position % 3]},
        "metadata": {"S": '{"colour":"blue","weight":12.5,"tags":["one","two"]}'},
        "createdAt": {"S": "2025-11-23T12:47:41.118Z"},
        "updatedAt": {"S": "2025-11-23T12:47:41.118Z"},
        "version": {"S": "0000000000000000"},
    }


class Table:
    """One user's items, and the requests for them."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.requests: list[dict[str, Any]] = []

    def answer(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run one operation and record what it read.

        Raises:
            ValueError: the measured requests do not use the operation or the key condition.
        """
        match operation:
            case "Query":
                answer, read_bytes, examined = self._query(request)
                units = math.ceil(read_bytes / 4096) * (1.0 if request.get("ConsistentRead") else 0.5)
            case "PutItem":
                answer, examined = {}, 1
                units = math.ceil(_count_bytes(request["Item"]) / 1024)
            case _:
                raise ValueError(f"{operation} is not answered here")
        self.requests.append({"operation": operation, "examined": examined, "units": units})
        return answer

    def _query(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
        values = {entry["S"] for entry in request["ExpressionAttributeValues"].values()}
        if values != {f"user#{USER}", "resource#"} or request.get("ScanIndexForward") is not False:
            raise ValueError("the query is not for the newest resources of the user")
        start = request.get("ExclusiveStartKey")
        position = int(start["sk"]["S"].removeprefix(PREFIX), 16) if start else self.items
        found: list[Item] = []
        read_bytes = 0
        while position > 0 and len(found) < request.get("Limit", math.inf) and read_bytes < MOST_BYTES:
            position -= 1
            found.append(make_item(position))
            read_bytes += _count_bytes(found[-1])
        answer: dict[str, Any] = {"Items": found, "Count": len(found), "ScannedCount": len(found)}
        # DynamoDB looks no further than the limit, so it cannot tell that nothing is left.
        if position > 0 or len(found) == request.get("Limit"):
            answer["LastEvaluatedKey"] = {name: found[-1][name] for name in ("pk", "sk")}
        return answer, read_bytes, len(found)


def _count_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item of strings and maps: bytes of names and values in UTF-8."""
    size = sum(len(name.encode()) for name in item)
    for entry in item.values():
        for value in entry.values():
            size += len(value.encode()) if isinstance(value, str) else _count_bytes(value)
    return size


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send head and body together

    def __init__(self, table: Table, *arguments: Any) -> None:
        self._table = table
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        try:
            if not self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 "):
                raise ValueError("the request is not signed")
            self._send(200, _answer(self._table, operation, body))
        except (ValueError, KeyError) as error:
            refusal = {"__type": "com.amazon.coral.validate#ValidationException", "message": str(error)}
            self._send(400, json.dumps(refusal).encode())

    def do_PUT(self) -> None:
        """Set the number of items (`/items/<number>`) and forget the requests so far."""
        self._table.items = int(self.path.rpartition("/")[2])
        self._table.requests.clear()
        self._send(200, b"{}")

    def do_GET(self) -> None:
        """Return the requests so far."""
        self._send(200, json.dumps(self._table.requests).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-amzn-RequestId", "0" * 52)
        self.send_header("x-amz-crc32", str(crc32(content)))
        self.end_headers()
        self.wfile.write(content)


def _answer(table: Table, operation: str, body: bytes) -> bytes:
    return json.dumps(table.answer(operation, json.loads(body)), separators=(",", ":")).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--certificate", type=Path, required=True, help="certificate and key, as PEM")
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), functools.partial(_Handler, Table(arguments.items)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.certificate)
    # The connection's thread does the handshake, because a client that only probes the port does none.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # The parent process ends this one, also after Ctrl-C, which both receive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()


if __name__ == "__main__":
    main()
