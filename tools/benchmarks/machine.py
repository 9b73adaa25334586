"""What the benchmarks share: the project's root, the machine's description, and the build."""

import contextlib
import datetime
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


class BenchmarkError(Exception):
    """The benchmark cannot run; the message is for the user."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def describe_machine() -> dict[str, str]:
    """Return the conditions of a benchmark that uses the SAM CLI, by name."""
    return describe_system() | {"SAM CLI": version("aws-sam-cli")}


def describe_system() -> dict[str, str]:
    """Return the conditions of every benchmark, by name."""
    return {
        "Date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "Machine": f"{_processor()}, {os.cpu_count()} processors, {_memory()}",
        "Load average at the start": f"{os.getloadavg()[0]:.1f}",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def build_stack(template: Path, directory: Path) -> Path:
    """Run `sam build` for this machine's processor and return the built template.

    Raises:
        BenchmarkError: the build fails.
    """
    command = [sys.executable, "-m", "samcli", "build", "--template", str(template), "--build-dir", str(directory)]
    command += ["--no-cached", "--config-file", str(ROOT / "samconfig.toml")]
    command += ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    built = subprocess.run(command, cwd=ROOT, env=tool_environment(), capture_output=True, text=True, check=False)
    if built.returncode:
        raise BenchmarkError(f"`sam build` fails:\n{built.stdout}{built.stderr}")
    return directory / "template.yaml"


def tool_environment() -> dict[str, str]:
    """Return the environment variables for the developers' tools."""
    # `sam build` looks for the runtime's interpreter and pip on PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "no_proxy": "127.0.0.1"}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"
