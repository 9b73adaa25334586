"""DynamoDB over real HTTP, with faults that a test schedules."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from tests.support.http_server import Reply, Request, Server, make_reply


@dataclass(frozen=True)
class Refusal:
    """An error as DynamoDB sends it."""

    code: str
    status: int = 400
    message: str = "no"
    namespace: str = "com.amazonaws.dynamodb.v20120810"
    more: tuple[tuple[str, Any], ...] = ()


class Drop:
    """The connection ends before the request is performed."""


class LoseAnswer:
    """The request is performed, and the connection ends before the response."""


class Hang:
    """The request is not performed and gets no response."""


_CUT = Reply(b"", "close")

type Fault = Refusal | Drop | LoseAnswer | Hang | None


class DynamoDB:
    """A service on a free port of the loopback interface; requests without a fault go to moto."""

    def __init__(self) -> None:
        self._faults: deque[tuple[str, Fault]] = deque()
        self._interludes: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._moto = create_backend_app("dynamodb")
        self._stopped = threading.Event()
        self.operations: list[str] = []
        self._server = Server(self._answer)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.__exit__()

    def fail(self, operation: str, *faults: Fault) -> None:
        """Apply one of these faults to each of the next requests for `operation`; None lets one through."""
        self._faults.extend((operation, fault) for fault in faults)

    def recover(self) -> None:
        """Drop the faults that no request has met."""
        with self._lock:
            self._faults.clear()

    def before(self, operation: str, act: Callable[[], None]) -> None:
        """Do something just before the next request for `operation` is performed."""
        self._interludes[operation] = act

    def _perform(self, operation: str, request: Request) -> tuple[int, bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        body = request.body
        if operation == "SearchVectors":
            # Moto has no vector indexes. Every item of the partition is found, as if it had a vector.
            search = json.loads(body)
            names, values = search["ExpressionAttributeNames"], search["ExpressionAttributeValues"]
            query = {"TableName": search["TableName"], "KeyConditionExpression": "#pk = :pk", "Limit": search["TopK"]}
            query |= {"ExpressionAttributeNames": {"#pk": names["#pk"]}}
            query |= {"ExpressionAttributeValues": {":pk": values[":pk"]}}
            headers["X-Amz-Target"] = "DynamoDB_20120810.Query"
            body = json.dumps(query).encode()
        with self._lock:
            answer = Client(self._moto).post("/", data=body, headers=list(headers.items()))
        status, content = answer.status_code, answer.get_data()
        if operation == "SearchVectors" and status == 200:
            found = [item for item in json.loads(content)["Items"] if item["sk"]["S"].startswith(values[":noun"]["S"])]
            results = [
                {"Item": {"pk": item["pk"], "sk": {"S": f"vector#{item['sk']['S']}"}}, "Score": 0.25} for item in found
            ]
            content = json.dumps({"SearchResults": results}).encode()
        return status, content

    def _next_fault(self, operation: str) -> Fault:
        with self._lock:
            self.operations.append(operation)
            for index, (name, fault) in enumerate(self._faults):
                if name == operation:
                    del self._faults[index]
                    return fault
        return None

    def _answer(self, request: Request) -> Reply:
        if request.target.startswith("/model/"):
            # So is Bedrock, to which all texts mean the same.
            return make_reply({"embedding": [1.0] + [0.0] * 255})
        if "X-Amz-Target" not in request.headers:
            # S3, which has the same address here, takes every file.
            return make_reply(b"")
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        self._interludes.pop(operation, lambda: None)()
        fault = self._next_fault(operation)
        if isinstance(fault, Hang):
            self._stopped.wait()
        if isinstance(fault, Hang | Drop):
            return _CUT
        if isinstance(fault, Refusal):
            error = {"__type": f"{fault.namespace}#{fault.code}", "message": fault.message}
            status, content = fault.status, json.dumps({**error, **dict(fault.more)}).encode()
        else:
            status, content = self._perform(operation, request)
        if isinstance(fault, LoseAnswer):
            return _CUT
        return make_reply(content, status, {"Content-Type": "application/x-amz-json-1.0"})
