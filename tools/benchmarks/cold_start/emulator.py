"""Runs a function under AWS's runtime interface emulator, and the table server that it calls.

Emulator and function share one processor; everything else runs on another one.
"""

import contextlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.benchmarks.cold_start.artifacts import WORK_DIRECTORY
from tools.benchmarks.cold_start.certificate import write_certificate
from tools.benchmarks.cold_start.peers import Function
from tools.benchmarks.machine import ARCHITECTURE, ROOT, BenchmarkError, free_port

ANSWER_SECONDS = 30
# Not sampled, which is the cheapest case for peers with tracing.
_TRACE = "Root=1-67a1b2c3-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0"


@dataclass(frozen=True)
class Processors:
    """The processor of the function, and the one of the table and this process."""

    function: int
    others: int


def choose_processors() -> Processors:
    """Return two processors that this process may use, and pin it to the second one.

    Raises:
        BenchmarkError: the machine cannot pin processes, or has only one processor.
    """
    if platform.system() != "Linux" or not shutil.which("taskset"):
        raise BenchmarkError("The benchmark runs on Linux, and needs taskset (package util-linux).")
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise BenchmarkError("The benchmark needs two processors: one for the function, one for its table.")
    chosen = Processors(processors[0], processors[-1])
    os.sched_setaffinity(0, {chosen.others})
    return chosen


def find_emulator() -> Path:
    """Return the executable emulator that the SAM CLI contains.

    Raises:
        BenchmarkError: this SAM CLI contains none.
    """
    sam = find_spec("samcli")
    carried = Path(str(sam and sam.origin)).parent / f"local/rapid/aws-lambda-rie-{ARCHITECTURE}"
    if not carried.exists():
        raise BenchmarkError("The installed SAM CLI has no runtime interface emulator for this processor.")
    emulator = WORK_DIRECTORY / carried.name
    shutil.copyfile(carried, emulator)
    emulator.chmod(0o755)
    return emulator


class TableServer:
    """The process that emulates DynamoDB."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self.authority = authority
        self._context = ssl.create_default_context(cafile=str(authority))

    def set_items(self, items: int) -> None:
        """Set how many items the user has, and forget the requests so far."""
        self._exchange("PUT", f"/items/{items}")

    def read_requests(self) -> list[dict[str, Any]]:
        """Return the requests since `set_items`, with operation, examined items and capacity units."""
        requests: list[dict[str, Any]] = json.loads(self._exchange("GET", "/"))
        return requests

    def _exchange(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS, context=self._context)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextlib.contextmanager
def run_table(items: int) -> Iterator[TableServer]:
    """Run the table server."""
    port = free_port()
    certificate, authority = write_certificate(WORK_DIRECTORY)
    command = [sys.executable, "-m", "tools.benchmarks.cold_start.table_server", "--port", str(port)]
    command += ["--items", str(items), "--certificate", str(certificate)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            _wait_for_port(port, process)
            yield TableServer(port, authority)
        finally:
            process.terminate()


@dataclass
class Emulator:
    """A running emulator and its function."""

    port: int
    process: subprocess.Popen[bytes]
    started: float
    """By `time.perf_counter`."""

    def invoke(self, event: bytes) -> dict[str, Any]:
        """Invoke the function and return its response.

        Raises:
            BenchmarkError: the function fails or does not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Content-Type": "application/json", "X-Amzn-Trace-Id": _TRACE}
            connection.request("POST", "/2015-03-31/functions/function/invocations", event, headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BenchmarkError(f"The function does not answer: {error}") from error
        finally:
            connection.close()
        if "statusCode" not in answer:
            raise BenchmarkError(f"The function fails: {answer}")
        return answer

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def runtime(self) -> int:
        """The ID of the function's process, the emulator's only child."""
        (child,) = _find_children(self.process.pid)
        return child

    def processor_seconds(self) -> float:
        """Return the processor time of all threads of the function's process so far, in seconds.

        Source: clock_getcpuclockid(3); the clock ID of another process derives from its process ID.
        """
        return time.clock_gettime((~self.runtime << 3) | 2)

    def peak_memory(self) -> int:
        """Return the peak memory of the function's process in bytes."""
        status = Path(f"/proc/{self.runtime}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class Launcher:
    """Starts functions."""

    def __init__(self, python: Path, table: TableServer, processors: Processors) -> None:
        """Keep what every function runs with.

        Args:
            python: interpreter with the packages of Lambda's runtime.
            table: the table server.
            processors: the processors to run on.
        """
        self._python = python
        self._table = table
        self._processor = processors.function
        self._emulator = find_emulator()
        self._log = WORK_DIRECTORY / "function.log"

    def environment(self, function: Function) -> dict[str, str]:
        """Return a function's environment variables."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            # In Lambda's order; the runtime's packages come last.
            "PYTHONPATH": os.pathsep.join(
                [str(function.task), *([str(function.layer / "python")] if function.layer else [])]
            ),
            "LAMBDA_TASK_ROOT": str(function.task),
            "AWS_LAMBDA_FUNCTION_NAME": "resources",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE" * 20,
            "AWS_ENDPOINT_URL_DYNAMODB": f"https://127.0.0.1:{self._table.port}",
            "AWS_CA_BUNDLE": str(self._table.authority),
            "AWS_EC2_METADATA_DISABLED": "true",
            "TABLE_NAME": "Table",
            **function.variables,
        }

    @contextlib.contextmanager
    def start(self, function: Function, *options: str) -> Iterator[Emulator]:
        """Start a function's emulator. The first invocation starts the function.

        Args:
            function: the function.
            options: options of its interpreter.
        """
        port, api_port = free_port(), free_port()
        command = [*_on_processor(self._processor), str(self._emulator)]
        command += ["--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
        command += [str(self._python), *options, "-m", "awslambdaric", function.handler]
        started = time.perf_counter()
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=function.task,
                env=self.environment(function),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_for_port(port, process)
            yield Emulator(port, process, started)
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}\n{self._log.read_text(errors='replace')[-3000:]}") from error
        finally:
            # The function has its own process group and goes first, because the emulator would wait for it.
            for pid in (*_find_children(process.pid), process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def read_log(self) -> str:
        """Return the output of the last function."""
        return self._log.read_text(errors="replace")

    def import_seconds(self, function: Function) -> float:
        """Return the processor seconds to import a function's module after Lambda's runtime.

        The table has no TLS here, because reading certificates is not importing.
        """
        module = function.handler.partition(".")[0]
        program = "import awslambdaric.__main__, time; t = time.process_time();"
        program += f"import {module}; print(time.process_time() - t)"
        environment = self.environment(function) | {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"}
        command = [*_on_processor(self._processor), str(self._python), "-c", program]
        ran = subprocess.run(command, cwd=function.task, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchmarkError(f"{module} cannot be imported:\n{ran.stderr}")
        return float(ran.stdout)


def _on_processor(processor: int) -> list[str]:
    """Return a prefix that pins a command to a processor and makes read-only folders read-only for root too."""
    command = ["taskset", "--cpu-list", str(processor)]
    if os.geteuid() == 0:
        # Without this capability, root respects missing write permission.
        command += ["setpriv", "--bounding-set", "-dac_override"]
    return command


def _find_children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        threads = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return []


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.001)
        else:
            return
    raise BenchmarkError(f"{process.args!r} does not start.")
