"""An issuer that answers introspection requests (RFC 7662), over real HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs


class Issuer:
    """Knows the tokens in `claims`; all others are inactive."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        issuer = self

        class RequestHandler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                (token,) = form["token"]
                issuer.asked.append(token)
                claims = issuer.claims.get(token)
                content = json.dumps({"active": False} if claims is None else {"active": True, **claims}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}/introspect"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
