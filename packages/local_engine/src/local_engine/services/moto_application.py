"""Moto as an ASGI application, and its server.

Moto's own server is Flask's development server: a thread, a connection and a log line per request, and no lock. Moto is
not thread-safe: another write can come between the check of a condition and its write, a query fails if an item is
added meanwhile, and a message is lost if another one is deleted meanwhile. So requests are served one at a time here:
those to DynamoDB in the event loop, all others in a thread. Long polls wait in the event loop between two attempts.
"""

import asyncio
import html
import importlib
import io
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_engine.bedrock.bedrock_runtime import BedrockRuntime
from local_engine.bedrock.local_model import load_model
from local_engine.event_bus.installation import LOCAL_PATHS, EventBus
from local_engine.services.change_signal import ChangeSignal, watch_client
from local_engine.services.containers import LocalPeersOnly, Network, Receive, Scope, Send
from local_engine.services.dynamodb_responses import install_fast_serializer
from local_engine.services.dynamodb_transactions import install_fast_transactions
from local_engine.services.host_names import LocalNamesOnly, is_machine_name
from local_engine.services.moto_activity import ACTIVITY_PATH, MotoActivity
from local_engine.services.moto_expiry import ItemExpiry
from local_engine.services.moto_models import (
    forget_stream_records,
    install_item_size,
    install_shared_loader,
    install_untracked_models,
)
from local_engine.services.moto_queries import install_fast_queries
from local_engine.services.moto_streams import StreamLogs, install_stream_rules
from local_engine.services.service_calls import READ_STREAM
from local_engine.services.vector_tables import install_vector_indexes, refresh_vector_indexes

_JSON = [(b"content-type", b"application/json")]

type WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
type Response = tuple[int, list[tuple[bytes, bytes]], bytes]
_RECEIVE_MESSAGE = "AmazonSQS.ReceiveMessage"


class MotoApplication:
    """Moto's WSGI applications and Bedrock's runtime as one ASGI application."""

    def __init__(self, model: str, project: Path | None) -> None:
        """Create the application.

        Args:
            model: the name of Bedrock's local model.
            project: the folder with the access keys that the engine issues. None if they are not known.
        """
        self._project = project
        self._dynamodb: WsgiApplication = create_backend_app("dynamodb")
        self._others: WsgiApplication = _Dispatcher(self._create_application)  # type: ignore[arg-type]
        self._activity = MotoActivity()
        self._streams = StreamLogs()
        self._record_added = ChangeSignal()
        self._message_moved = ChangeSignal()
        self._serving = threading.Lock()
        self._loop: asyncio.AbstractEventLoop
        self._bus = EventBus(self._serving, self._notify_from_thread, self._expire_items)
        self._expiry = ItemExpiry()
        self._bedrock = BedrockRuntime(partial(load_model, model))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self._loop = asyncio.get_running_loop()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if self._bedrock.serves(scope):
            await self._bedrock.answer(scope, bytes(body), receive, send)
            return
        status, headers, content = await self._answer(scope, bytes(body), receive)
        if headers is _JSON:
            headers = [*_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes, receive: Receive) -> Response:
        environ = _wsgi_environ(scope, body)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if self._expiry.is_due():
            self._expire_items(self._bus.now())
        if scope["path"] == ACTIVITY_PATH and scope["method"] == "GET":
            return 200, _JSON, self._activity.describe(scope["query_string"].decode("latin-1"))
        if scope["path"] in LOCAL_PATHS:
            status, content = await self._bus.answer(scope, body)
            return status, _JSON, content
        if target.startswith("DynamoDB"):
            # Runs in the event loop itself, so that these requests are served one at a time. Moto's dispatcher lists a
            # directory for each request and is needed only if the target is ambiguous.
            current = target.startswith("DynamoDB_20120810.")
            started = time.monotonic()
            response = _call_wsgi(self._dynamodb if current else self._others, environ)
            self._activity.record(target, body, response[0], response[2], time.monotonic() - started)
            self._follow_writes()
            return response
        if target == READ_STREAM:
            return await self._read_stream(body, receive)
        if target == _RECEIVE_MESSAGE:
            return await self._receive_messages(environ, body, receive)
        response = await asyncio.to_thread(self._call_other, environ)
        # Other services than SQS send messages too.
        self._message_moved.notify()
        return response

    def _expire_items(self, now: datetime) -> None:
        self._expiry.expire_items(now)
        self._follow_writes()

    def _follow_writes(self) -> None:
        if self._streams.collect():
            self._record_added.notify()
        forget_stream_records()
        refresh_vector_indexes()

    def _notify_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._message_moved.notify)

    def _call_other(self, environ: dict[str, Any]) -> Response:
        with self._serving:
            return _call_wsgi(self._others, environ)

    async def _receive_messages(self, environ: dict[str, Any], body: bytes, receive: Receive) -> Response:
        # Moto imports a service with its first call, so that others do not cost time at the start.
        queues = importlib.import_module("local_engine.services.moto_queues")
        queues.install_queue_order()
        wait, body = queues.read_wait(body)
        deadline = time.monotonic() + wait
        async with watch_client(receive) as gone:
            while True:
                attempt = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                response = await asyncio.to_thread(self._call_other, attempt)
                # A message that went to a dead-letter queue can be received there.
                self._message_moved.notify()
                while True:
                    left = deadline - time.monotonic()
                    if left <= 0 or b'"Messages"' in response[2] or response[0] != 200 or gone.done():
                        return response
                    pause = queues.seconds_until_receivable(body)
                    if pause == 0:
                        break
                    await self._message_moved.wait(min(left, pause), gone)

    async def _read_stream(self, body: bytes, receive: Receive) -> Response:
        try:
            request = json.loads(body)
            deadline = time.monotonic() + float(request.get("WaitTimeSeconds", 0))
            answer = self._streams.read(request)
            async with watch_client(receive) as gone:
                while answer.get("Records") == [] and not gone.done() and (left := deadline - time.monotonic()) > 0:
                    await self._record_added.wait(left, gone)
                    answer = self._streams.read(request)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return 400, _JSON, json.dumps({"message": repr(error)}).encode()
        content = json.dumps(answer).encode()
        return 200, _JSON, content

    def _create_application(self, service: Any) -> WsgiApplication:
        # Moto imports a service with its first call.
        self._bus.install(service)
        if service in ("s3", "s3bucket_path"):
            importlib.import_module("local_engine.services.moto_uploads").install_upload_rules(self._project)
        application: WsgiApplication = create_backend_app(service)
        return application


class _Dispatcher(DomainDispatcherApplication):
    def _get_body(self, environ: dict[str, Any]) -> str | None:
        # curl calls each body a form. Reading one that is not text would lose it.
        return super()._get_body(environ) if environ["REQUEST_METHOD"] == "POST" else None


def _wsgi_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """Translate a request into a WSGI environment (PEP 3333)."""
    host, port = scope["server"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "RAW_URI": scope["raw_path"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value.decode("latin-1")
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ


def _call_wsgi(application: WsgiApplication, environ: dict[str, Any]) -> Response:
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started[:] = status, headers

    try:
        answer = application(environ, start_response)
    except Exception as error:
        return _describe_fault(error, is_json="HTTP_X_AMZ_TARGET" in environ)
    try:
        content = b"".join(answer)
    finally:
        if close := getattr(answer, "close", None):
            close()
    status, headers = started
    return (
        int(status.split(" ", 1)[0]),
        [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        content,
    )


def _describe_fault(error: Exception, *, is_json: bool) -> Response:
    """Return an error response for an exception of moto, and print it, because programs may ignore the response."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    sentence = f"moto stumbles over the request ({type(error).__name__}: {error}; {place})."
    print(f"The local AWS services answer with status 500: {sentence}", file=sys.stderr, flush=True)
    if is_json:
        return 500, _JSON, json.dumps({"__type": "InternalFailure", "message": sentence}).encode()
    error_element = (
        f"<Error><Code>InternalFailure</Code><Message>{html.escape(sentence, quote=False)}</Message></Error>"
    )
    return 500, [(b"content-type", b"text/xml")], f"<ErrorResponse>{error_element}</ErrorResponse>".encode()


def run_server(networks: Sequence[Network], model: str, project: Path | None, sockets: Sequence[socket.socket]) -> None:
    """Serve until the process ends.

    Args:
        networks: networks that may call, besides loopback.
        model: the name of Bedrock's local model.
        project: the folder with the access keys that the engine issues. None if they are not known.
        sockets: listening sockets.
    """
    install_fast_serializer()
    install_fast_transactions()
    install_fast_queries()
    install_untracked_models()
    install_shared_loader()
    install_item_size()
    install_stream_rules()
    install_vector_indexes()
    application = LocalPeersOnly(LocalNamesOnly(MotoApplication(model, project), is_machine_name), networks)
    configuration = uvicorn.Config(
        application,
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        # Otherwise the client or the environment could set the client's address.
        proxy_headers=False,
        workers=1,
    )
    uvicorn.Server(configuration).run(list(sockets))
