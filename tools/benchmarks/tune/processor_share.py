"""Limits processes to a share of a processor, as Lambda does by memory size.

Lambda allocates processor time in proportion to memory, one vCPU at 1769 MB, and does not document the mechanism. This
module uses the kernel's bandwidth control, a quota in each period: a request that needs less than a period's quota is
not slowed down at all.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tools.benchmarks.cost.formulas import FULL_PROCESSOR
from tools.benchmarks.machine import BenchmarkError

PERIOD = 20_000
"""Microseconds; not documented by Lambda."""
_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_VERSION_2 = Path("/sys/fs/cgroup")


class ProcessorShare:
    """A control group."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, pid: int) -> None:
        """Limit a process and those that it starts from now on."""
        (self._directory / "cgroup.procs").write_text(str(pid))

    def remove(self, pid: int) -> None:
        """Stop limiting a process."""
        (self._directory.parent / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def limit_processor(memory: int) -> Iterator[ProcessorShare]:
    """Create a control group with a memory size's share.

    Args:
        memory: MB; from 1769 on, the share is one full processor.

    Raises:
        BenchmarkError: the system has no control groups, or the user may not create one.
    """
    quota = round(PERIOD * min(1.0, memory / FULL_PROCESSOR))
    is_version_1 = (_VERSION_1 / "cpu.cfs_quota_us").exists() or (_VERSION_1 / "cgroup.procs").exists()
    directory = (_VERSION_1 if is_version_1 else _VERSION_2) / f"tune-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        raise BenchmarkError(
            f"{directory} cannot be made ({error.strerror}). `make tune` limits the processor by control groups: it "
            "runs on Linux, as a user who may write there."
        ) from error
    try:
        if is_version_1:
            (directory / "cpu.cfs_period_us").write_text(str(PERIOD))
            (directory / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (directory / "cpu.max").write_text(f"{quota} {PERIOD}")
        yield ProcessorShare(directory)
    except OSError as error:
        raise BenchmarkError(f"{directory} takes no limit of processor time: {error.strerror}.") from error
    finally:
        _remove_group(directory)


def _remove_group(directory: Path) -> None:
    """Remove a control group once the kernel is done with its killed processes."""
    deadline = time.monotonic() + 5
    while True:
        try:
            directory.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
