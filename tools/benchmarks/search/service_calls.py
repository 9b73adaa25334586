"""Records the functions' calls to other services, which they report to an X-Ray daemon."""

import json
import socket
from typing import Any, NamedTuple, Self

MODEL = "model"
_HEADER_END = b"\n"
_BUFFER_BYTES = 8 * 1024 * 1024


class Call(NamedTuple):
    """A call.

    Attributes:
        operation: such as `BatchGetItem`, or `MODEL`.
        seconds: how long the function waited.
    """

    operation: str
    seconds: float


class CallRecorder:
    """An X-Ray daemon on a free port.

    Attributes:
        address: the value of `AWS_XRAY_DAEMON_ADDRESS`.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def take(self) -> list[Call]:
        """Return the calls since the last time. A function reports each before it answers."""
        calls = []
        while True:
            try:
                datagram = self._socket.recv(65_536)
            except BlockingIOError:
                return calls
            calls.append(_read_call(json.loads(datagram.partition(_HEADER_END)[2])))


def _read_call(document: dict[str, Any]) -> Call:
    # What is no service of AWS in X-Ray's sense is the model: nothing else has an HTTP call in these experiments.
    operation = document.get("aws", {}).get("operation", MODEL)
    return Call(operation, document["end_time"] - document["start_time"])
