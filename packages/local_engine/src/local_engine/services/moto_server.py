"""The process that runs moto: `python -m local_engine.services.moto_server NETWORKS MODEL DESCRIPTOR…`.

`local_engine.services.aws_services` starts it with listening sockets and a pipe as standard input. Moto's own server is
Flask's development server: a thread, a connection and a log line per request, and no lock. Moto's DynamoDB is not
thread-safe: another write can come between the check of a condition and its write, and a query fails if an item is
added meanwhile. So its requests are served one at a time here. Other services may block, as an SQS long poll does, and
get threads.
"""

import asyncio
import io
import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_engine.bedrock.bedrock_runtime import BedrockRuntime
from local_engine.bedrock.local_model import load_model
from local_engine.services.containers import LocalPeersOnly, Receive, Scope, Send
from local_engine.services.dynamodb_responses import install_fast_serializer
from local_engine.services.dynamodb_transactions import install_fast_transactions
from local_engine.services.host_names import LocalNamesOnly, is_machine_name
from local_engine.services.moto_activity import ACTIVITY_PATH, MotoActivity
from local_engine.services.moto_models import forget_stream_records, install_untracked_models
from local_engine.services.vector_tables import install_vector_indexes, refresh_vector_indexes

type WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MotoApplication:
    """Moto's WSGI applications and Bedrock's runtime as one ASGI application."""

    def __init__(self, model: str) -> None:
        """Create the application.

        Args:
            model: the name of Bedrock's local model.
        """
        self._dynamodb: WsgiApplication = create_backend_app("dynamodb")
        self._others: WsgiApplication = DomainDispatcherApplication(create_backend_app)
        self._activity = MotoActivity()
        self._bedrock = BedrockRuntime(partial(load_model, model))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._bedrock.serves(scope):
            await self._bedrock(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        environ = _wsgi_environ(scope, bytes(body))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        headers: list[tuple[bytes, bytes]]
        if scope["path"] == ACTIVITY_PATH and scope["method"] == "GET":
            content = self._activity.describe(scope["query_string"].decode("latin-1"))
            status = 200
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        elif target.startswith("DynamoDB"):
            # Runs in the event loop itself, so that these requests are served one at a time. Moto's dispatcher lists a
            # directory for each request and is needed only if the target is ambiguous.
            current = target.startswith("DynamoDB_20120810.")
            started = time.monotonic()
            status, headers, content = _call_wsgi(self._dynamodb if current else self._others, environ)
            self._activity.record(target, bytes(body), status, content, time.monotonic() - started)
            forget_stream_records()
            refresh_vector_indexes()
        else:
            status, headers, content = await asyncio.to_thread(_call_wsgi, self._others, environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


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


def _call_wsgi(application: WsgiApplication, environ: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started[:] = status, headers

    answer = application(environ, start_response)
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


def _end_with_parent() -> None:
    # The other end of this pipe closes however the parent ends, even by SIGKILL.
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    install_fast_serializer()
    install_fast_transactions()
    install_untracked_models()
    install_vector_indexes()
    networks = [ipaddress.ip_network(network) for network in sys.argv[1].split(",") if network]
    sockets = [socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[3:]]
    application = LocalPeersOnly(LocalNamesOnly(MotoApplication(sys.argv[2]), is_machine_name), networks)
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
    uvicorn.Server(configuration).run(sockets)


if __name__ == "__main__":
    main()
