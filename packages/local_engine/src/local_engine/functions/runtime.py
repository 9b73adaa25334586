"""The loop inside a function's process: takes events from the engine, one at a time, and calls the handler.

Run by its path, with the file descriptor of a socket to the engine, that of the reading end of a pipe that closes when
the engine dies, the search path as JSON, and optionally the port for a debugger. Imports only the standard library, so
that a cold start costs no more than the function's own imports. On the socket, a message is a length (four bytes,
big-endian), a byte for its kind, and JSON.

Started by a wrapper script, without arguments, it speaks Lambda's Runtime API instead.
"""

import _thread
import importlib
import json
import logging
import os
import signal
import socket
import struct
import sys
import time
import traceback
from decimal import Decimal
from typing import Any

PREFIX = struct.Struct(">Ic")
MAX_RESPONSE = 6 * 1024 * 1024
INVOKE, READY, RESULT, ERROR = b"I", b"R", b"V", b"E"
SETTINGS_VARIABLE = "_LOCAL_ENGINE_RUNTIME"
"""With JSON: what the arguments say otherwise."""
# Of each folder with the user's own files, the folder and where the user edits them.
_sources: list[tuple[str, str]] = []


class LambdaContext:
    """The second argument of a handler ("Using the Lambda context object to retrieve Python function information")."""

    client_context = None
    identity = None

    def __init__(self, request_id: str, deadline: float, arn: str) -> None:
        """Take the deadline in milliseconds since the epoch."""
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function times out."""
        return max(0, int(self._deadline - time.time() * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        print(message)


def main() -> None:
    connection: _Socket | _RuntimeApi
    if len(sys.argv) > 1:
        connection = _Socket(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
        search_path = json.loads(sys.argv[3])
        debug_port = int(sys.argv[4]) if len(sys.argv) > 4 else None
    else:
        search_path = json.loads(os.environ.pop(SETTINGS_VARIABLE))
        debug_port = search_path["debug_port"]
        connection = _RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
        # The interpreter puts the folder of this script first, and a wrapper's own paths after it.
        del sys.path[0]
    sys.path[:0] = search_path["folders"]
    _sources.extend(search_path["sources"])
    if "COVERAGE_PROCESS_START" in os.environ or "COVERAGE_PROCESS_CONFIG" in os.environ:
        # The interpreter does not run the start-up files of environments here.
        _start_coverage()
    if debug_port is not None:
        _wait_for_debugger(debug_port)
    # As in Lambda, the root logger has a handler before the function's module is imported.
    logging.basicConfig(stream=sys.stdout, format="[%(levelname)s] %(message)s", level=logging.WARNING)
    try:
        module, _, name = os.environ["_HANDLER"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    except Exception as error:
        connection.send(ERROR, _describe(error))
        return
    connection.send(READY, b"{}")
    while invocation := connection.receive():
        context = LambdaContext(invocation["requestId"], invocation["deadline"], invocation["arn"])
        os.environ["_X_AMZN_TRACE_ID"] = invocation["traceId"]
        try:
            result = handler(invocation["event"], context)
        except Exception as error:
            kind, payload = ERROR, _describe(error)
        else:
            kind, payload = _encode(result)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        connection.send(kind, payload)
    _die()


class _Socket:
    """The connection of a process that the engine itself starts."""

    def __init__(self, connection: socket.socket, lifeline: int) -> None:
        self._connection = connection
        for descriptor in (connection.fileno(), lifeline):
            os.set_inheritable(descriptor, False)
        _thread.start_new_thread(_die_with_engine, (lifeline,))

    def receive(self) -> dict[str, Any] | None:
        """Return the next invocation, or None at the end."""
        prefix = self._receive_exactly(PREFIX.size)
        message = self._receive_exactly(PREFIX.unpack(prefix)[0]) if prefix else b""
        return json.loads(message) if message else None

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send a message."""
        self._connection.sendall(PREFIX.pack(len(payload), kind) + payload)

    def _receive_exactly(self, size: int) -> bytes:
        chunks = []
        while size:
            chunk = self._connection.recv(size)
            if not chunk:
                return b""
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


class _RuntimeApi:
    """The connection of a process that a wrapper script starts ("Using the Lambda runtime API for custom runtimes")."""

    def __init__(self, address: str) -> None:
        import http.client  # noqa: PLC0415 - slow, and not for the usual process

        self._connection = http.client.HTTPConnection(address)
        self._invocation: str | None = None

    def receive(self) -> dict[str, Any] | None:
        """Return the next invocation, or None at the end."""
        answer = self._request("GET", "invocation/next")
        if answer is None:
            return None
        headers, event = answer
        self._invocation = headers["Lambda-Runtime-Aws-Request-Id"]
        return {
            "requestId": self._invocation,
            "deadline": float(headers["Lambda-Runtime-Deadline-Ms"]),
            "arn": headers["Lambda-Runtime-Invoked-Function-Arn"],
            "traceId": headers["Lambda-Runtime-Trace-Id"],
            "event": json.loads(event),
        }

    def send(self, kind: bytes, payload: bytes) -> None:
        """Report the result or the error of the invocation, or that of the initialization."""
        if kind == READY:
            return
        place = "init" if self._invocation is None else f"invocation/{self._invocation}"
        self._request("POST", f"{place}/{'error' if kind == ERROR else 'response'}", payload)

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[Any, bytes] | None:
        """Return headers and body of the answer, or None if the engine has ended."""
        try:
            self._connection.request(method, f"/2018-06-01/runtime/{path}", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            return answer.headers, answer.read()
        except OSError:
            return None


def _start_coverage() -> None:
    try:
        import coverage  # noqa: PLC0415 - only if the engine itself is measured
    except ImportError:
        return
    coverage.process_startup()


def _wait_for_debugger(port: int) -> None:
    import debugpy  # noqa: PLC0415, T100 - only under --debug

    address = ("127.0.0.1", port)
    # The debugger of a replaced process keeps the port until it disconnects. debugpy itself does not wait.
    if not _is_free(address):
        print(f"Port {port} is in use, perhaps by a debugger that is still connected. Waiting for it", flush=True)
        while not _is_free(address):
            time.sleep(0.1)
    debugpy.listen(address)  # noqa: T100
    print(f"Waiting for a debugger at 127.0.0.1:{port}", flush=True)
    debugpy.wait_for_client()  # noqa: T100


def _is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def _die_with_engine(lifeline: int) -> None:
    os.read(lifeline, 1)
    _die()


def _die() -> None:
    # The function's own children share its process group.
    os.killpg(0, signal.SIGKILL)


def _encode(result: object) -> tuple[bytes, bytes]:
    try:
        if isinstance(result, bytes):
            payload = result
        else:
            payload = json.dumps(result, ensure_ascii=False, default=_encode_decimal).encode("utf-8", "surrogatepass")
        if len(payload) > MAX_RESPONSE:
            raise ValueError(f"the response has {len(payload)} bytes, more than 6 MB")
    except Exception as error:
        # The traceback leads through this module only.
        return ERROR, _describe(error.with_traceback(None))
    return RESULT, payload


def _encode_decimal(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Unable to marshal response: Object of type {type(value).__name__} is not JSON serializable")


def _describe(error: BaseException) -> bytes:
    machinery = (__file__, importlib.__file__)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in machinery and not frame.filename.startswith("<frozen importlib")
    ]
    # The user's own code is where to look, even if a package raised the error.
    own = [frame for frame in frames if _is_own(frame.filename)]
    last = (own or frames)[-1:]
    place: list[object] | None = [last[0].filename, last[0].lineno] if last else None
    if isinstance(error, SyntaxError):
        place = [error.filename, error.lineno]
    stack_trace = traceback.format_list(frames)
    description = {
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "place": place,
        "stackTrace": stack_trace,
        "traceback": "".join([*stack_trace, *traceback.format_exception_only(error)]),
    }
    return json.dumps(description).encode()


def _is_own(file: str) -> bool:
    for folder, source in _sources:
        relative = os.path.relpath(file, folder)
        if not relative.startswith(os.pardir):
            return os.path.exists(os.path.join(source, relative))  # noqa: PTH110, PTH118 - pathlib is slow to import
    return False


if __name__ == "__main__":
    main()
