"""A Lambda runtime for functions that stream their responses.

Lambda's own Python runtime answers when the handler has returned everything. A function that streams sets
`AWS_LAMBDA_EXEC_WRAPPER` to `/opt/stream`, a script of the layer that starts this module instead. It uses the public
Runtime API alone and imports nothing of this package.

A handler takes the event and Lambda's context, and returns an iterable of bytes: JSON with the status and the headers,
eight zero bytes, then the body, in chunks of any size. Each chunk is sent as it comes. An exception before the first
chunk fails the invocation, as in Lambda's own runtime. A later one ends the response with trailers that say so, and API
Gateway cuts the connection to its client.

Sources: «Using the Lambda runtime API for custom runtimes», AWS Lambda Developer Guide; «Set up a Lambda proxy
integration with payload response streaming in API Gateway», Amazon API Gateway Developer Guide.
"""

import base64
import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse
from typing import Any

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
_PATH = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
_FAULT = "Lambda-Runtime-Function-XRay-Error-Cause"
_UNREPORTED = (__file__, importlib.__file__, "<frozen importlib")

# What is reported of an error travels in a header, whose size servers limit.
MAX_MESSAGE = 1_000
"""How many characters of an error's message are reported."""
MAX_FRAMES = 20
"""How many frames of its traceback are reported, the innermost ones."""

type Handler = Callable[[Any, "Context"], Iterable[bytes]]


class Context:
    """The second argument of a handler («Using the Lambda context object to retrieve Python function information»)."""

    client_context = None
    identity = None

    def __init__(self, headers: HTTPMessage) -> None:
        self.aws_request_id: str = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn: str = headers.get("Lambda-Runtime-Invoked-Function-Arn", "")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""
        return max(self._deadline - time.time_ns() // 1_000_000, 0)


class RuntimeAPI:
    """Lambda's side of the runtime.

    Args:
        address: host and port, as `AWS_LAMBDA_RUNTIME_API` has them.
    """

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address)

    def take(self) -> tuple[Context, bytes]:
        """Wait for the next invocation, and return its context and its event."""
        response, event = self._exchange("GET", "invocation/next")
        # Where Lambda's own runtime puts it, and tracing looks for it.
        os.environ["_X_AMZN_TRACE_ID"] = response.headers.get("Lambda-Runtime-Trace-Id", "")
        return Context(response.headers), event

    def fail(self, what: str, error: BaseException) -> None:
        """Report that an invocation, or the initialization, has failed.

        Args:
            what: `invocation/<request ID>` or `init`.
            error: its exception, which X-Ray shows as the cause of the fault.
        """
        headers = {
            "Content-Type": "application/json",
            _ERROR_TYPE: type(error).__name__,
            _FAULT: json.dumps(_describe_fault(error)),
        }
        self._exchange("POST", f"{what}/error", json.dumps(_describe(error)).encode(), headers)

    def stream(self, context: Context, chunks: Iterable[bytes]) -> Exception | None:
        """Send a response, and return the error that has ended it early, if there is one.

        Args:
            context: the invocation's context.
            chunks: the response. If it is a generator, it learns of an error that comes while a chunk is sent.

        Raises:
            Exception: there is no first chunk. Nothing has been sent.
        """
        iterator = iter(chunks)
        chunk = next(iterator, b"")
        if not isinstance(chunk, bytes):
            raise TypeError(f"a handler that streams returns an iterable of bytes, not of {type(chunk).__name__}")
        try:
            return self._send(f"{_PATH}/invocation/{context.aws_request_id}/response", chunk, iterator)
        except BaseException as error:
            # With a chunk cut in two, the response can't be ended. The closed connection says so.
            self._connection.close()
            return _finish(iterator, error)

    def _send(self, target: str, chunk: bytes | None, following: Iterator[bytes]) -> Exception | None:
        connection, error = self._connection, None
        connection.putrequest("POST", target)
        connection.putheader("Content-Type", CONTENT_TYPE)
        connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Trailer", f"{_ERROR_TYPE}, {_ERROR_BODY}")
        connection.endheaders()
        while chunk is not None:
            if chunk:  # an empty one would end the response
                connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            try:
                chunk = next(following, None)
            except Exception as failure:
                error, chunk = failure, None
        connection.send(b"0\r\n%b\r\n" % _make_trailers(error))
        _read(connection.getresponse())
        return error

    def _exchange(
        self, method: str, place: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        self._connection.request(method, f"{_PATH}/{place}", body, dict(headers or {}))
        response = self._connection.getresponse()
        return response, _read(response)


def run() -> None:
    """Take invocations until Lambda ends the environment."""
    api = RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"])
    # As in Lambda's own runtime, libraries' warnings go to the log.
    logging.basicConfig(stream=sys.stdout, format="[%(levelname)s] %(name)s: %(message)s", level=logging.WARNING)
    try:
        handler = _load_handler(os.environ["_HANDLER"])
    except BaseException as error:
        _log(error)
        api.fail("init", error)
        sys.exit(1)
    while True:
        _serve(api, handler)


def _serve(api: RuntimeAPI, handler: Handler) -> None:
    context, event = api.take()
    try:
        error = api.stream(context, handler(json.loads(event), context))
    except Exception as failure:
        api.fail(f"invocation/{context.aws_request_id}", failure)
        error = failure
    if error is not None:
        _log(error, context.aws_request_id)


def _load_handler(name: str) -> Handler:
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    module, _, function = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler


def _finish(chunks: Iterator[bytes], error: BaseException) -> Exception:
    """Tell a generator that its response can't be sent, and let it end; what it yields until then is lost.

    Raises:
        BaseException: the generator does not handle it, and it is more than an `Exception`.
    """
    try:
        if not isinstance(chunks, Generator):
            raise error
        chunks.throw(error)
        for _ in chunks:
            pass
    except StopIteration:
        pass
    except Exception as failure:
        return failure
    return error if isinstance(error, Exception) else HTTPException(f"The response was cut: {type(error).__name__}")


def _read(response: HTTPResponse) -> bytes:
    body = response.read()
    if response.status >= 300:
        raise HTTPException(f"the Runtime API answered {response.status}: {body[:200]!r}")
    return body


def _list_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the function's own code and its packages, the innermost last."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_UNREPORTED)
    ]
    return frames[-MAX_FRAMES:]


def _describe(error: BaseException) -> dict[str, Any]:
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error)[:MAX_MESSAGE],
        "stackTrace": traceback.format_list(_list_frames(error)),
    }


def _describe_fault(error: BaseException) -> dict[str, Any]:
    """Return an error as X-Ray shows it («AWS X-Ray segment documents», AWS X-Ray Developer Guide)."""
    frames = _list_frames(error)
    stack = [{"label": frame.name, "path": frame.filename, "line": frame.lineno} for frame in frames]
    exception = {"type": type(error).__name__, "message": str(error)[:MAX_MESSAGE], "stack": stack}
    paths = sorted({frame.filename for frame in frames})
    return {"working_directory": os.getcwd(), "exceptions": [exception], "paths": paths}  # noqa: PTH109 - slow import


def _make_trailers(error: Exception | None) -> bytes:
    if error is None:
        return b""
    body = base64.b64encode(json.dumps(_describe(error)).encode()).decode()
    return f"{_ERROR_TYPE}: {type(error).__name__}\r\n{_ERROR_BODY}: {body}\r\n".encode()


def _log(error: BaseException, request_id: str | None = None) -> None:
    line = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": "ERROR",
        "requestId": request_id,
        **_describe(error),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    run()
