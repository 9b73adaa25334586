"""For tests: starts and stops the engine as its users do, and serves parts of it. Needs httpx.

with EngineProcess(Path("template.yaml")) as engine, engine.client() as client:
token = engine.mint_token("read:orders")
assert client.get("/orders", headers={"Authorization": f"Bearer {token}"}).status_code == 200
"""

import contextlib
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

from local_engine.access.credentials import Credentials, issue_role_credentials
from local_engine.child_environment import child_environment
from local_engine.issuer import AUDIENCE, issuer_url, load_signing_key, mint_token

__all__ = [
    "EngineProcess",
    "child_environment",
    "engine_command",
    "free_port",
    "is_running",
    "poll",
    "processes_below",
    "run_engine",
    "serve",
]

START_SECONDS = 60


class EngineProcess:
    """`local-engine run` on a free port, in the folder of the template. Ends with the `with` block."""

    def __init__(
        self, template: Path, *arguments: str, environment: dict[str, str] | None = None, port: int | None = None
    ) -> None:
        """Start the engine.

        Args:
            template: the template to serve.
            arguments: further arguments of `local-engine run`.
            environment: variables to add to the process's environment.
            port: of the first API. None for any free one.
        """
        # Further APIs take the ports after this one.
        self.port = port or free_port(count=8)
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        """Output so far."""
        self._project = template.resolve().parent
        self._arrived = threading.Condition()
        self.process = subprocess.Popen(  # noqa: S603 - the engine's own command
            engine_command("run", "--template", str(template.resolve()), "--port", str(self.port), *arguments),
            cwd=self._project,
            env=child_environment() | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        try:
            self.wait_for_line("Ready")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def services(self) -> str:
        """The URL of the AWS services."""
        return self.wait_for_line("^AWS services").split()[-1]

    @property
    def output(self) -> str:
        """The output so far."""
        return "\n".join(self.lines)

    def role_credentials(self, role: str) -> Credentials:
        """Return keys of a role of the template, by the role's name, to sign requests with."""
        return issue_role_credentials(self._project, role)

    def client(self, **options: Any) -> httpx.Client:
        """Return a client for the first API; `options` are those of httpx.Client."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def mint_token(self, *scopes: str, subject: str = "demo", claims: dict[str, Any] | None = None) -> str:
        """Return an access token of the engine's issuer.

        Args:
            scopes: what the token allows.
            subject: the user.
            claims: claims to set, or to remove with None.
        """
        key = load_signing_key(self._project)
        issuer = issuer_url(self.port)
        return mint_token(key, issuer=issuer, audience=AUDIENCE, subject=subject, scopes=scopes, claims=claims)

    def turn_clock(self, seconds: float = 0.0, *, to: str | None = None) -> dict[str, Any]:
        """Turn the clock of schedules forward, and run what comes due.

        Args:
            seconds: how far. Ignored with `to`.
            to: the time to show, such as `2026-12-24T18:00:00Z`.

        Returns:
            The `time` on the clock, and how many `runs` came due.
        """
        turn = {"seconds": seconds} if to is None else {"time": to}
        with self.client() as client:
            turned: dict[str, Any] = client.post("/_local/clock", json=turn).raise_for_status().json()
        return turned

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait for the end and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self._reader.join(5)
        return status

    def wait_for_line(self, pattern: str) -> str:
        """Return the first line of output that matches a pattern, and wait for it.

        Raises:
            AssertionError: the line does not come in time, or the engine has ended.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._arrived:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                if not self._reader.is_alive() or time.monotonic() > deadline:
                    raise AssertionError(f"no line {pattern!r} in:\n{self.output}")
                self._arrived.wait(0.2)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._arrived:
                self.lines.append(line.rstrip("\n"))
                self._arrived.notify_all()


def run_engine(*arguments: str, project: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine that ends by itself.

    Args:
        arguments: the command and its arguments.
        project: the folder to run it in. None for the current one.
    """
    return subprocess.run(  # noqa: S603 - the engine's own command
        engine_command(*arguments),
        cwd=project,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def engine_command(*arguments: str) -> list[str]:
    """Return the command that runs this engine, for subprocesses."""
    return [sys.executable, "-m", "local_engine", *arguments]


@contextmanager
def serve(create: Callable[[str], Any]) -> Iterator[str]:
    """Serve an ASGI application on a free port of loopback for the block, which gets its URL.

    Args:
        create: returns the application, given its URL.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # A connection that arrives before the server is up waits in the socket's queue.
    server = uvicorn.Server(uvicorn.Config(create(url), lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def free_port(count: int = 1) -> int:
    """Return a free port below the range that systems take for outgoing connections.

    Args:
        count: how many ports must be free, from this one on.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for offset in range(count):
                probes.enter_context(contextlib.closing(socket.socket())).bind(("127.0.0.1", port + offset))
            return port


def poll(is_met: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until a condition is met.

    Raises:
        AssertionError: it is not met in time. The message is `what`.
    """
    deadline = time.monotonic() + seconds
    while not is_met():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(0.02)


def processes_below(pid: int) -> Sequence[int]:
    """Return the IDs of a process's descendants."""
    # With BSD's ps, a header after an equals sign goes on to the end of the option.
    listed = _ps("-e", "-o", "pid=", "-o", "ppid=")
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    state = _ps("-o", "stat=", "-p", str(pid)).strip()
    return bool(state) and not state.startswith("Z")


def _ps(*arguments: str) -> str:
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607
