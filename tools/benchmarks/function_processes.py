"""The processes in which the local engine runs functions, as Linux shows them in /proc."""

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_engine.testing import processes_below


@dataclass
class FunctionKiller:
    """Kills functions at random moments of an experiment, one at a time.

    Attributes:
        engine: the ID of the engine's process.
        names: what the names of the functions end with.
        kills: how many are killed.
        progress: returns how far the experiment is, from 0 to 1, so that the kills are spread over it.
        killed: how many have been killed so far.
    """

    engine: int
    names: tuple[str, ...]
    kills: int
    progress: Callable[[], float]
    killed: int = 0

    def run(self, over: threading.Event) -> None:
        """Kill until enough are killed, or the experiment is over."""
        chance = random.Random(1)
        while self.killed < self.kills and not over.wait(chance.uniform(0.3, 1.5)):
            if self.killed > self.kills * self.progress():
                continue
            running = [
                process for process in processes_below(self.engine) if read_function(process).endswith(self.names)
            ]
            # Between both calls a process may end.
            with suppress(IndexError, ProcessLookupError):
                os.kill(chance.choice(running), signal.SIGKILL)
                self.killed += 1


def read_function(process: int) -> str:
    """Return the name of the function that a process runs, or an empty string."""
    try:
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((entry.decode() for entry in variables if entry.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")), "")


def read_processor_seconds(process: int) -> float:
    """Return the processor time that a process has taken; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # `utime` and `stime` of proc_pid_stat(5), which follow the command's name.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_memory(process: int) -> int:
    """Return the most memory that a process has had, in KB; 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
