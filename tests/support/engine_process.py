"""Starts the local engine as its users do, for tests."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


class EngineProcess:
    """`python -m local_engine run` on a free port; ends with the `with` block."""

    def __init__(
        self, template: Path, *arguments: str, environment: dict[str, str] | None = None, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self._arrived = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "run", "--template", str(template), "--port", str(self.port), *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
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

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal, waits for the end and returns the exit status."""
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
        """Returns the first line of output that has the pattern, waiting for it."""
        deadline = time.monotonic() + START_SECONDS
        with self._arrived:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                is_over = not self._reader.is_alive() or time.monotonic() > deadline
                assert not is_over, f"no line {pattern!r} in:\n{self.output}"
                self._arrived.wait(0.2)

    @property
    def services(self) -> str:
        """The URL of the AWS services."""
        return self.wait_for_line("^AWS services").split()[-1]

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._arrived:
                self.lines.append(line.rstrip("\n"))
                self._arrived.notify_all()


def run_engine(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the engine where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def free_port() -> int:
    """Returns a port below those that systems take for connections, so that none of these gets it meanwhile."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def poll(is_met: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Waits until a condition is met, and fails where it is not in time."""
    deadline = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def processes_below(pid: int) -> Sequence[int]:
    """Returns the ids of a process's children and theirs."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def is_running(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")
