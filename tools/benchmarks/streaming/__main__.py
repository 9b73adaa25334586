"""`make bench-stream`: exports of several sizes beside buffered answers, through the local engine."""

import argparse
import platform
import sys
from pathlib import Path
from string import Template

from tools.benchmarks.machine import ROOT, BenchmarkError, describe_system
from tools.benchmarks.streaming.measurements import Measurements, measure

REPORT = ROOT / "docs/benchmarks/streaming.md"
MEMORY_LIMIT = 120_000_000
"""Most bytes of memory that an export may take."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-stream", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the largest export (default: 200)")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if platform.system() != "Linux":
        sys.exit("The benchmark runs on Linux, because it reads the functions' memory in /proc.")
    conditions = describe_system()
    try:
        found = measure(arguments.megabytes * 1_000_000)
        check(found)
    except BenchmarkError as error:
        sys.exit(str(error))
    report = make_report(found, conditions)
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def check(found: Measurements) -> None:
    """Compare the measurements with what docs/decisions/streaming.md promises.

    Raises:
        BenchmarkError: they are worse.
    """
    if found.memory_large > MEMORY_LIMIT:
        raise BenchmarkError(f"The function took {found.memory_large / 1e6:.0f} MB of memory.")
    if found.streamed_first > found.buffered_first / 10:
        raise BenchmarkError(
            f"The first byte took {found.streamed_first * 1000:.0f} ms, buffered {found.buffered_first * 1000:.0f} ms."
        )


def make_report(found: Measurements, conditions: dict[str, str]) -> str:
    template = Template(Path(__file__).with_name("report.md").read_text(encoding="utf-8"))
    return template.substitute(
        found.to_texts(), conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items())
    )


if __name__ == "__main__":
    main()
