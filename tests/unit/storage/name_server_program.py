"""Runs functions while no name server answers, and prints what they answered as a JSON document.

With the argument `real`, a server on UDP port 53 of the loopback interface swallows each query; /etc/resolv.conf must
name it. With `stand-in`, `socket.getaddrinfo` blocks in C for ever when it is given a name.
"""

import ctypes
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "layers" / "shared"), str(ROOT)]

import boto3  # noqa: E402

from tests.support.dynamodb import DynamoDB  # noqa: E402
from tests.support.gateway import ENVIRONMENT, Context, import_functions  # noqa: E402
from tests.support.resources_api import ResourcesApi  # noqa: E402
from tests.support.tables import create_table  # noqa: E402

queries: list[str] = []


def swallow_queries() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def receive() -> None:
        while True:
            queries.append(repr(server.recv(512)))

    threading.Thread(target=receive, daemon=True).start()


def block_lookups() -> None:
    look_up = socket.getaddrinfo
    library = ctypes.CDLL(None)

    def block(host: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return look_up(host, *arguments, **{**options, "flags": socket.AI_NUMERICHOST})
        except OSError:
            if options.get("flags"):
                raise
        queries.append(host)
        # The second lock of a mutex waits for ever, and unlike a sleep no signal ends it.
        mutex = ctypes.create_string_buffer(128)
        while True:
            library.pthread_mutex_lock(mutex)

    socket.getaddrinfo = block


class ShortContext(Context):
    def get_remaining_time_in_millis(self) -> int:
        return 3_000


def call(method: str, **settings: str) -> dict[str, Any]:
    with import_functions(settings) as handlers:
        api = ResourcesApi(
            {key: lambda event, _, own=handler: own(event, ShortContext()) for key, handler in handlers.items()}
        )
        answer = getattr(api, method)()
    lookups = [thread.name for thread in threading.enumerate() if thread.name.startswith("lookup of ")]
    return {
        "status": answer.status,
        "document": answer.json(),
        "queries": len(queries),
        "pending": sorted(set(lookups)),
    }


def main() -> None:
    swallow_queries() if sys.argv[1] == "real" else block_lookups()
    with DynamoDB() as service:
        credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        create_table(
            boto3.client("dynamodb", region_name="us-east-1", endpoint_url=service.url, **credentials),
            ENVIRONMENT["TABLE_NAME"],
        )
        report = {
            "table": call("page"),
            "https": call("create", AWS_ENDPOINT_URL=service.url, ENRICHMENT_URL="https://enrich.example.com/"),
            "http": call("create", AWS_ENDPOINT_URL=service.url, ENRICHMENT_URL="http://enrich.internal/"),
        }
    print("\n" + json.dumps(report), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
