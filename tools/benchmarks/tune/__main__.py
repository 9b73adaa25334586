"""`make tune`: measures a list and a creation at several memory sizes and recommends one."""

import json
import random
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tools.benchmarks.cold_start import peers
from tools.benchmarks.cold_start.artifacts import WORK_DIRECTORY, make_artifact, make_runtime
from tools.benchmarks.cold_start.emulator import Launcher, choose_processors, run_table
from tools.benchmarks.cost.durations import load_assumptions
from tools.benchmarks.cost.prices import load_prices
from tools.benchmarks.machine import ROOT, BenchmarkError, describe_machine
from tools.benchmarks.tune.measurements import Size, Terms, predict_warm, recommend
from tools.benchmarks.tune.power_tuning import write_inputs
from tools.benchmarks.tune.processor_share import PERIOD, limit_processor
from tools.command_parser import CommandParser

SIZES = (128, 256, 512, 1024, 1769)
ITEMS = 20
WARM_UP = 5
PAGE = ROOT / "docs/benchmarks/tuning.md"


@dataclass(frozen=True)
class Repetitions:
    """Starts of each function at each size, and requests after each start."""

    starts: int
    requests: int


@dataclass(frozen=True)
class Tuned:
    """A function's sizes and the recommended one."""

    function: str
    operation: str
    sizes: Sequence[Size]
    recommended: int


def main() -> int:
    """Measure, print and write the report; return 2 if nothing could be measured."""
    parser = CommandParser(prog="make tune", description=__doc__)
    parser.add_argument("--starts", type=int, default=7, help="of each function and size (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=40, help="after each start (default: %(default)s)")
    parser.add_argument(
        "--first", type=float, default=1.0, help="seconds that a first answer may take (default: %(default)s)"
    )
    parser.add_argument(
        "--warm", type=float, default=0.05, help="seconds for 95 %% of the others (default: %(default)s)"
    )
    parser.add_argument("--cold-share", type=float, default=0.01, help="of the requests (default: %(default)s)")
    parser.add_argument("--region", default="us-east-1", help="whose prices (default: %(default)s)")
    parser.add_argument("--architecture", choices=("arm64", "x86_64"), default="arm64", help="whose prices")
    parser.add_argument(
        "--arn-prefix",
        default="arn:aws:lambda:us-east-1:123456789012:function:",
        help="of the deployed functions, for AWS Lambda Power Tuning (default: %(default)s)",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        terms = Terms(
            first=arguments.first,
            warm=arguments.warm,
            prices=load_prices(arguments.region),
            architecture=arguments.architecture,
            waiting=load_assumptions().table_wait,
            cold_share=arguments.cold_share,
        )
        conditions = describe_machine()
        measured = _measure_all(Repetitions(arguments.starts, arguments.requests))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    tuned = [
        Tuned(function, operation, sizes, recommend(sizes, terms).memory)
        for (function, operation), sizes in measured.items()
    ]
    for entry in tuned:
        print(f"\n{entry.function}\n{_format_sizes(entry, terms)}")
    _write(tuned, terms, Repetitions(arguments.starts, arguments.requests), conditions)
    write_inputs(arguments.arn_prefix, SIZES)
    return 0


def _measure_all(repetitions: Repetitions) -> Mapping[tuple[str, str], list[Size]]:
    WORK_DIRECTORY.mkdir(parents=True, exist_ok=True)
    print("Building the functions", flush=True)
    python = make_runtime()
    project = peers.ALL[0]
    artifact = make_artifact(project)
    functions = {
        ("ListResources", "query"): (artifact.list_function, json.dumps(project.make_list_event()).encode()),
        ("CreateResource", "create"): (
            artifact.create_function,
            json.dumps(project.make_create_event(peers.INPUT)).encode(),
        ),
    }
    processors = choose_processors()
    measured: dict[tuple[str, str], list[Size]] = {name: [] for name in functions}
    with run_table(ITEMS) as table:
        launcher = Launcher(python, table, processors)
        for memory in SIZES:
            print(f"{memory} MB", flush=True)
            for name, (function, event) in functions.items():
                measured[name].append(_measure_size(launcher, function, event, memory, repetitions))
    return measured


def _measure_size(
    launcher: Launcher, function: peers.Function, event: bytes, memory: int, repetitions: Repetitions
) -> Size:
    first: list[float] = []
    start: list[float] = []
    warm: list[float] = []
    processor: list[float] = []
    pauses = random.Random(memory)
    for _ in range(repetitions.starts):
        with limit_processor(memory) as share, launcher.start(function) as emulator:
            # The emulator stands for Lambda's own process in the environment, which shares the processor.
            share.add(emulator.process.pid)
            before = time.perf_counter()
            _expect_success(emulator.invoke(event))
            first.append(time.perf_counter() - before)
            start.append(emulator.processor_seconds())
            share.remove(emulator.process.pid)
            for _ in range(WARM_UP):
                emulator.invoke(event)
            used = emulator.processor_seconds()
            for _ in range(repetitions.requests):
                # Real requests arrive neither back to back nor in step with the kernel's periods.
                time.sleep(pauses.uniform(0.5, 2.5) * PERIOD / 1e6)
                before = time.perf_counter()
                _expect_success(emulator.invoke(event))
                warm.append(time.perf_counter() - before)
            processor.append((emulator.processor_seconds() - used) / repetitions.requests)
    return Size(memory, first, warm, statistics.median(processor), start)


def _expect_success(answer: Mapping[str, object]) -> None:
    if answer["statusCode"] not in (200, 201):
        raise BenchmarkError(f"The function does not answer as expected: {answer}")


def _format_sizes(tuned: Tuned, terms: Terms) -> str:
    lines = [
        "| memory, MB | vCPU | first answer, ms | warm, ms | 95 % of them, ms | by the rule, ms | $ a million | |",
        "|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    full = tuned.sizes[-1]
    for size in tuned.sizes:
        remark = "recommended" if size.memory == tuned.recommended else "" if size.keeps(terms) else "too slow"
        lines.append(
            f"| {size.memory} | {min(1, size.memory / full.memory):.2f} | {size.first_median * 1000:,.0f} "
            f"| {size.warm_median * 1000:.1f} | {size.warm_95 * 1000:.1f} | {predict_warm(size, full) * 1000:.1f} "
            f"| {size.charge_million(terms):.2f} | {remark} |"
        )
    return "\n".join(lines)


def _write(tuned: Sequence[Tuned], terms: Terms, repetitions: Repetitions, conditions: Mapping[str, str]) -> None:
    page = Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
    text = page.substitute(
        tables="\n\n".join(f"## {entry.function}\n\n{_format_sizes(entry, terms)}" for entry in tuned),
        starts=repetitions.starts,
        requests=repetitions.requests,
        first=f"{terms.first:g}",
        warm=f"{terms.warm * 1000:g}",
        cold=f"{terms.cold_share:.0%}",
        region=terms.prices.region,
        architecture=terms.architecture,
        waiting=f"{terms.waiting * 1000:g}",
        period=PERIOD // 1000,
        conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items()),
    )
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
