"""A strict stand-in of Lambda's Runtime API: h11 rejects what is not HTTP/1.1, and each call must be in its place."""

import base64
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h11

from tests.support.gateway import ENVIRONMENT
from tests.support.stack import ROOT

WAIT_SECONDS = 60
LAYER = ROOT / "layers" / "shared"
FUNCTIONS = Path(__file__).with_name("functions")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:under-test"
TRACE = "Root=1-67a1b2c3-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"


@dataclass
class Report:
    """What a runtime has sent."""

    target: str
    headers: dict[str, str]
    chunks: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def metadata(self) -> dict[str, Any]:
        """The status and the headers before the payload."""
        return json.loads(self.body.partition(bytes(8))[0])

    @property
    def payload(self) -> bytes:
        return self.body.partition(bytes(8))[2]

    @property
    def error(self) -> dict[str, Any]:
        """The error that the trailers hold."""
        return json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))


class RuntimeStandIn:
    """Serves one runtime on loopback."""

    def __init__(self) -> None:
        self._invocations: queue.Queue[tuple[bytes, str, float]] = queue.Queue()
        self.reports: queue.Queue[Report] = queue.Queue()
        self._expected: str | None = "init/error"
        self._may_read = threading.Event()
        self._may_read.set()
        self._open = 0
        """Invocations that are given, less those for which the runtime has asked."""
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def invoke(self, event: Any, seconds: float = 60.0) -> Report:
        """Give the runtime an event, with seconds until its deadline, and return what it sends."""
        self._put(event, seconds)
        return self.reports.get(timeout=WAIT_SECONDS)

    def invoke_unread(self, event: Any, seconds: float) -> Report:
        """The same, but read nothing of the response until the runtime gives up and asks for the next invocation."""
        self._may_read.clear()
        self._put(event, seconds)
        self.wait_until_idle()
        self._may_read.set()
        return self.reports.get(timeout=WAIT_SECONDS)

    def wait_until_idle(self) -> None:
        """Wait until the runtime asks for the next invocation."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._open < 0, WAIT_SECONDS)

    def _put(self, event: Any, seconds: float) -> None:
        with self._changed:
            self._open += 1
        self._invocations.put((json.dumps(event).encode(), f"request-{time.monotonic_ns()}", time.time() + seconds))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        http = h11.Connection(h11.SERVER)
        with connection, suppress(OSError, h11.ProtocolError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            while isinstance(request := self._read(http, connection), h11.Request):
                target = request.target.decode().removeprefix("/2018-06-01/runtime/")
                headers = {name.decode(): value.decode() for name, value in request.headers}
                if (request.method, target) == (b"GET", "invocation/next"):
                    self._read(http, connection)
                    if self._expected == "init/error":
                        self._expected = None
                    with self._changed:
                        self._open -= 1
                        self._changed.notify_all()
                    self._give(http, connection)
                else:
                    self._take(http, connection, Report(f"{request.method.decode()} {target}", headers))
                    self._respond(http, connection, 202, [], b'{"status":"OK"}')
                http.start_next_cycle()

    def _give(self, http: h11.Connection, connection: socket.socket) -> None:
        event, request_id, deadline = self._invocations.get()
        self._expected = request_id
        headers = [
            ("Lambda-Runtime-Aws-Request-Id", request_id),
            ("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", ARN),
            ("Lambda-Runtime-Trace-Id", TRACE),
        ]
        self._respond(http, connection, 200, headers, event)

    def _take(self, http: h11.Connection, connection: socket.socket, report: Report) -> None:
        expected = self._expected
        if expected != "init/error":
            expected = f"invocation/{self._expected}/{'error' if report.target.endswith('error') else 'response'}"
        assert report.target == f"POST {expected}"
        self._may_read.wait(WAIT_SECONDS)
        try:
            while isinstance(event := self._read(http, connection), h11.Data):
                report.chunks.append(bytes(event.data))
            if isinstance(event, h11.EndOfMessage):
                report.is_whole = True
                report.trailers = {name.decode(): value.decode() for name, value in event.headers}
        except (OSError, h11.RemoteProtocolError):
            pass
        # One answer for each invocation.
        self._expected = None
        self.reports.put(report)

    def _read(self, http: h11.Connection, connection: socket.socket) -> Any:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(connection.recv(65_536))
        return event

    def _respond(
        self,
        http: h11.Connection,
        connection: socket.socket,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> None:
        head = h11.Response(status_code=status, headers=[("Content-Length", str(len(body))), *headers])
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            connection.sendall(http.send(event) or b"")


class StreamingFunction:
    """A function that the layer's script starts, as Lambda does with its wrapper."""

    def __init__(self, handler: str, variables: Mapping[str, str] | None = None) -> None:
        self.api = RuntimeStandIn()
        environment = make_environment(handler) | {"AWS_LAMBDA_RUNTIME_API": self.api.address, **(variables or {})}
        self.process = subprocess.Popen(
            [LAYER / "stream", sys.executable, "/var/runtime/bootstrap.py"],
            cwd=FUNCTIONS,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.api.close()

    def read_log(self) -> list[dict[str, Any]]:
        """End the function, once it is idle, and return the lines of its log."""
        if self.process.poll() is None:
            self.api.wait_until_idle()
        self.process.kill()
        output, _ = self.process.communicate()
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def make_environment(handler: str) -> dict[str, str]:
    """The environment variables of a deployed function that streams."""
    return {
        **ENVIRONMENT,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(LAYER),
        "ALLOWED_ORIGIN": "https://app.example.com",
        "LAMBDA_TASK_ROOT": str(FUNCTIONS),
        "_HANDLER": handler,
    }
