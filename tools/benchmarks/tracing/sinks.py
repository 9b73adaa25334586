"""Receivers of traces that count them: a daemon for datagrams and a collector for HTTP.

They run in their own process, because the reader's processor affects the cost of sending a datagram.
"""

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tools.benchmarks.machine import ROOT


@dataclass(frozen=True)
class Sinks:
    """Addresses of the receivers."""

    daemon_port: int
    collector_port: int

    def count_traces(self) -> int:
        """Return the number of datagrams and requests so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.collector_port, timeout=10)
        try:
            connection.request("GET", "/")
            return int(connection.getresponse().read())
        finally:
            connection.close()


@contextlib.contextmanager
def run_sinks(processor: int) -> Iterator[Sinks]:
    """Run both on one processor."""
    command = [shutil.which("taskset") or "taskset", "--cpu-list", str(processor)]
    command += [sys.executable, "-m", "tools.benchmarks.tracing.sinks"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            daemon_port, collector_port = process.stdout.readline().split()
            yield Sinks(int(daemon_port), int(collector_port))
        finally:
            process.terminate()


def main() -> None:
    received = 0

    class Collector(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal received
            self.rfile.read(int(self.headers["Content-Length"]))
            received += 1
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(str(received).encode())

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object, **__: object) -> None:
            pass

    daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    daemon.bind(("127.0.0.1", 0))
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    print(daemon.getsockname()[1], collector.server_port, flush=True)
    while daemon.recv(65_536):
        received += 1


if __name__ == "__main__":
    main()
