"""`make bench-traces`: measures what tracing costs the list function, with this project's code and OpenTelemetry."""

import contextlib
import json
import random
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from tools.benchmarks.cold_start import peers
from tools.benchmarks.cold_start.artifacts import (
    WORK_DIRECTORY,
    deploy_changed,
    install_packages,
    make_artifact,
    make_runtime,
)
from tools.benchmarks.cold_start.emulator import Emulator, Launcher, choose_processors, run_table
from tools.benchmarks.cold_start.peers import Function
from tools.benchmarks.machine import ROOT, BenchmarkError, describe_machine
from tools.benchmarks.tracing.figures import ELSEWHERE, NONE, OFF, OWN, Figures, find_excesses, format_table
from tools.benchmarks.tracing.sinks import Sinks, run_sinks
from tools.command_parser import CommandParser

CANDIDATES = Path(__file__).parent / "candidates"
REQUIREMENTS = Path(__file__).with_name("requirements.in")
REPORT = ROOT / "docs/benchmarks/tracing.md"
ITEMS = 20
WARM_UP = 30
TRACE_ID = "1-67a1b2c3-0123456789abcdef01234567"
BLOCK = 20  # invocations of a candidate before the next one's turn
IMPORT = "from serverless_api.telemetry.tracing import TableCall\n"
UNTRACED = """

class TableCall:
    def __init__(self, *_, **__): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass

"""


@dataclass(frozen=True)
class Candidate:
    """A candidate as it is deployed, and the receivers of its traces."""

    name: str
    function: Function
    sinks: Sinks
    zipped_bytes: int


def remove_tracing(packages: Path) -> None:
    """Remove the module, and replace its calls by the cheapest that can stand there."""
    (packages / "serverless_api/telemetry/tracing.py").unlink()
    table = packages / "serverless_api/storage/table.py"
    text = table.read_text()
    if text.count(IMPORT) != 1:
        raise BenchmarkError(
            f"{table.name} does not import tracing as it did; change tools/benchmarks/tracing with it."
        )
    table.write_text(text.replace(IMPORT, UNTRACED))


def keep_tracing(_: Path) -> None:
    """Leave the layer as it is."""


def use_candidate(name: str) -> Callable[[Path], None]:
    """Return a function that replaces the layer's own module by a candidate and installs its packages."""

    def change(packages: Path) -> None:
        own = packages / "serverless_api/telemetry"
        (own / "tracing.py").rename(own / "segments.py")
        shutil.copy(CANDIDATES / f"{name}.py", own / "tracing.py")
        shutil.copy(CANDIDATES / "opentelemetry_calls.py", own)
        install_packages(REQUIREMENTS, packages, not_shipped=("urllib3", "typing-extensions"))

    return change


CHANGES: Mapping[str, Callable[[Path], None]] = {
    NONE: remove_tracing,
    OWN: keep_tracing,
    ELSEWHERE: keep_tracing,
    OFF: keep_tracing,
    "OpenTelemetry's API, own writer": use_candidate("opentelemetry_api"),
    "OpenTelemetry's SDK, OTLP over UDP": use_candidate("opentelemetry_udp"),
    "OpenTelemetry's SDK, OTLP over HTTP": use_candidate("opentelemetry_http"),
}


def main() -> int:
    """Measure, print and write the report; return 1 if a limit is exceeded, 2 if nothing could be measured."""
    parser = CommandParser(prog="make bench-traces", description=__doc__)
    parser.add_argument("--environments", type=int, default=8, help="of each candidate (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=300, help="of each kind and environment (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=20, help="of an interpreter, to import (default: %(default)s)")
    arguments = parser.parse_args()
    # A shell that starts this in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        WORK_DIRECTORY.mkdir(parents=True, exist_ok=True)
        print("Building the artifacts", flush=True)
        python = make_runtime()
        project = make_artifact(peers.ALL[0]).list_function
        conditions = describe_machine()
        processors = choose_processors()
        with (
            run_table(ITEMS) as table,
            run_sinks(processors.function) as beside,
            run_sinks(processors.others) as elsewhere,
        ):
            launcher = Launcher(python, table, processors)
            candidates = _make_candidates(project, beside, elsewhere)
            figures = {entry.name: Figures(entry.zipped_bytes) for entry in candidates}
            for number in range(arguments.starts + 1):
                print(f"\rImports {number} of {arguments.starts}", end="", flush=True)
                for candidate in candidates:
                    seconds = launcher.import_seconds(candidate.function)
                    if number:
                        figures[candidate.name].imports.append(seconds)
            for number in range(arguments.environments):
                print(f"\rEnvironments {number + 1} of {arguments.environments}", end="", flush=True)
                _measure_environments(candidates, figures, launcher, arguments.requests)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"\n\n{format_table(figures)}")
    conditions |= {"Load average at the end": describe_machine()["Load average at the start"]}
    report = Template(Path(__file__).with_name("report.md").read_text()).substitute(
        table=format_table(figures),
        block=BLOCK,
        environments=arguments.environments,
        requests=arguments.requests,
        total=f"{arguments.environments * arguments.requests:,}",
        starts=arguments.starts,
        conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items()),
    )
    REPORT.write_text(report)
    print(f"\nWritten to {REPORT.relative_to(ROOT)}.")
    excesses = find_excesses(figures)
    for sentence in excesses:
        print(sentence)
    return 1 if excesses else 0


def _make_candidates(project: Function, beside: Sinks, elsewhere: Sinks) -> list[Candidate]:
    assert project.layer
    candidates = []
    for number, (name, change) in enumerate(CHANGES.items()):

        def change_all(packages: Path, change: Callable[[Path], None] = change) -> None:
            shutil.copy(CANDIDATES / "traced_app.py", packages)
            change(packages)

        sinks = elsewhere if name == ELSEWHERE else beside
        variables = project.variables | {
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{sinks.daemon_port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sinks.collector_port}",
            "TRACES": "off" if name == OFF else "on",
        }
        layer, zipped = deploy_changed(project.layer, f"tracing-{number}", change_all)
        function = Function(project.task, layer, project.handler, variables)
        candidates.append(Candidate(name, function, sinks, zipped))
    return candidates


def _measure_environments(
    candidates: Sequence[Candidate], figures: Mapping[str, Figures], launcher: Launcher, requests: int
) -> None:
    """Start an environment of each candidate and invoke them in turns."""
    events = {sampled: _make_event(sampled) for sampled in (True, False)}
    with contextlib.ExitStack() as stack:
        emulators: dict[str, Emulator] = {}
        for entry in candidates:
            emulator = stack.enter_context(launcher.start(replace(entry.function, handler="traced_app.handler")))
            before = entry.sinks.count_traces()
            _invoke(emulator, events[True], times=1)
            figures[entry.name].first.append(emulator.processor_seconds())
            _invoke(emulator, events[True], WARM_UP)
            # The sinks receive a moment later.
            time.sleep(0.1)
            arrived = entry.sinks.count_traces() - before
            if arrived != (0 if entry.name in (NONE, OFF) else WARM_UP + 1):
                raise BenchmarkError(f"{entry.name}: {arrived} traces have arrived of {WARM_UP + 1} requests.")
            emulators[entry.name] = emulator
        spent: dict[tuple[str, bool], list[float]] = {(name, sampled): [] for name in emulators for sampled in events}
        blocks = max(requests // BLOCK, 1)
        for number in range(blocks):
            # In varying order, because the previous candidate has filled the processor's caches.
            for name, emulator in random.sample(list(emulators.items()), len(emulators)):
                for sampled in (True, False) if number % 2 else (False, True):
                    before_block = emulator.processor_seconds()
                    _invoke(emulator, events[sampled], BLOCK)
                    spent[name, sampled].append((emulator.processor_seconds() - before_block) / BLOCK)
        for name in emulators:
            figures[name].sampled.append(statistics.median(spent[name, True]))
            figures[name].unsampled.append(statistics.median(spent[name, False]))


def _make_event(sampled: bool) -> bytes:
    event = peers.ALL[0].make_list_event()
    event["headers"]["x-amzn-trace-id"] = f"Root={TRACE_ID};Parent=0123456789abcdef;Sampled={int(sampled)}"
    return json.dumps(event).encode()


def _invoke(emulator: Emulator, event: bytes, times: int) -> None:
    for _ in range(times):
        answer = emulator.invoke(event)
        if answer["statusCode"] != 200:
            raise BenchmarkError(f"The function refuses what it is to do: {answer}")


if __name__ == "__main__":
    raise SystemExit(main())
