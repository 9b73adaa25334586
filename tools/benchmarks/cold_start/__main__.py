"""`make bench`: measures this project and its peers at the same job, on the same machine in one run."""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from string import Template

from tools.benchmarks.cold_start import peers
from tools.benchmarks.cold_start.artifacts import (
    WORK_DIRECTORY,
    Artifact,
    copy_with_bytecode,
    copy_without_bytecode,
    has_bytecode,
    list_files,
    make_artifact,
    make_runtime,
)
from tools.benchmarks.cold_start.emulator import Launcher, TableServer, choose_processors, run_table
from tools.benchmarks.cold_start.figures import (
    Figures,
    Growth,
    Round,
    find_ratios,
    format_growth,
    format_peers,
    format_ratios,
)
from tools.benchmarks.cold_start.peers import Function, Peer
from tools.benchmarks.cold_start.plot import draw_plot
from tools.benchmarks.cold_start.table_server import make_item
from tools.benchmarks.cost.durations import write_durations
from tools.benchmarks.machine import ROOT, BenchmarkError, describe_machine
from tools.command_parser import CommandParser

ITEMS = 20
WARM_UP, INVOCATIONS = 5, 40  # in each round
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
REPORT = ROOT / "docs/benchmarks/cold-start.md"


def main() -> int:
    """Measure, print and write the report; return 1 if a ratio is missed, 2 if nothing could be measured."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="fewer are for trying things out (default: 15)")
    rounds = parser.parse_args().rounds
    # A shell that starts this in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        WORK_DIRECTORY.mkdir(parents=True, exist_ok=True)
        print("Building the artifacts", flush=True)
        python = make_runtime()
        artifacts = {peer.name: make_artifact(peer) for peer in peers.ALL}
        conditions = describe_machine()
        processors = choose_processors()
        with run_table(ITEMS) as table:
            launcher = Launcher(python, table, processors)
            for peer in peers.ALL:
                _check_answers(peer, artifacts[peer.name], launcher)
            figures = {name: Figures(artifact.zipped_bytes) for name, artifact in artifacts.items()}
            for number in range(rounds + 1):
                print(f"Round {number} of {rounds}" if number else "A round to warm the machine's caches", flush=True)
                for peer in _take_turns(peers.ALL, number):
                    measured = _measure_round(peer, artifacts[peer.name], launcher, figures[peer.name])
                    if number:
                        figures[peer.name].rounds.append(measured)
            imports = _measure_imports(artifacts[peers.PROJECT].list_function, launcher, rounds)
            growth = _measure_growth(artifacts[peers.PROJECT].list_function, launcher, table)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    ratios = find_ratios(figures, imports)
    for text in (format_ratios(ratios), format_peers(figures), format_growth(growth)):
        print(f"\n{text}")
    conditions |= {"Load average at the end": describe_machine()["Load average at the start"]}
    conditions |= {"Lambda's runtime, here": _list_versions(python)}
    versions = {peer.name: _list_peer_versions(artifacts[peer.name].list_function) for peer in peers.ALL}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    report = Template(Path(__file__).with_name("report.md").read_text()).substitute(
        ratios=format_ratios(ratios),
        peers=format_peers(figures),
        growth=format_growth(growth),
        rounds=rounds,
        warm_up=WARM_UP,
        invocations=INVOCATIONS,
        items=ITEMS,
        conditions=_format_rows(conditions),
        versions=_format_rows(versions),
    )
    REPORT.write_text(report)
    REPORT.with_suffix(".svg").write_text(draw_plot(figures))
    write_durations(conditions, *(figures[peers.PROJECT].measure_duration(request) for request in ("list", "create")))
    print(f"\nWritten to {REPORT.relative_to(ROOT)}, its plot, and the durations for `make cost`.")
    for ratio in ratios:
        if not ratio.is_reached:
            print(f"{ratio.name}: {ratio.reached:.2f} is over {ratio.most:g}.")
    is_flat = all((entry.queries, entry.units) == (1, growth[0].units) for entry in growth)
    return 0 if is_flat and all(ratio.is_reached for ratio in ratios) else 1


def _take_turns(all_peers: Sequence[Peer], number: int) -> list[Peer]:
    """Return the peers in a different order each round, so that no peer always follows the same one."""
    start = number % len(all_peers)
    turned = [*all_peers[start:], *all_peers[:start]]
    return turned if number // len(all_peers) % 2 == 0 else turned[::-1]


def _check_answers(peer: Peer, artifact: Artifact, launcher: Launcher) -> None:
    """Check that a peer does the job: lists the same items, creates a resource, and rejects invalid ones.

    Raises:
        BenchmarkError: the peer does not.
    """
    with launcher.start(artifact.list_function) as emulator:
        answer = emulator.invoke(json.dumps(peer.make_list_event()).encode())
    body = json.loads(answer["body"])
    expected = [_to_resource(position) for position in reversed(range(ITEMS))]
    if (answer["statusCode"], body["resources"], body["count"]) != (200, expected, ITEMS):
        raise BenchmarkError(f"{peer.name} does not list the right items: {answer}")
    with launcher.start(artifact.create_function) as emulator:
        created = emulator.invoke(json.dumps(peer.make_create_event(peers.INPUT)).encode())
        refused = [
            emulator.invoke(json.dumps(peer.make_create_event(peers.INPUT | wrong)).encode())["statusCode"]
            for wrong in ({"name": ""}, {"name": "x" * 101}, {"type": "D"}, {"metadata": "text"})
        ]
    resource = json.loads(created["body"])
    if created["statusCode"] != 201 or {**resource, **peers.INPUT} != resource:
        raise BenchmarkError(f"{peer.name} does not create a resource: {created}")
    if not set(refused) <= {400, 422}:
        raise BenchmarkError(f"{peer.name} accepts invalid resources: {refused}")


def _to_resource(position: int) -> dict[str, object]:
    item = make_item(position)
    resource: dict[str, object] = {name: item[name]["S"] for name in ("name", "type", "createdAt", "updatedAt")}
    return resource | {
        "id": item["sk"]["S"].removeprefix("resource#"),
        "metadata": json.loads(item["metadata"]["S"]),
    }


def _measure_round(peer: Peer, artifact: Artifact, launcher: Launcher, figures: Figures) -> Round:
    measured = Round()
    events = {"list": peer.make_list_event(), "create": peer.make_create_event(peers.INPUT)}
    functions = {"list": artifact.list_function, "create": artifact.create_function}
    for request, content in events.items():
        function, event = functions[request], json.dumps(content).encode()
        files = list_files(function)
        with launcher.start(function) as emulator:
            _expect_success(emulator.invoke(event))
            measured.cold[request] = emulator.elapsed()
            measured.cold_processor[request] = emulator.processor_seconds()
            for _ in range(WARM_UP):
                emulator.invoke(event)
            before = emulator.processor_seconds()
            for _ in range(INVOCATIONS):
                _expect_success(emulator.invoke(event))
            measured.warm_processor[request] = (emulator.processor_seconds() - before) / INVOCATIONS
            if request == "list":
                figures.peak_memory = emulator.peak_memory()
        if not figures.modules and request == "list":
            figures.modules = _count_modules(function, event, launcher)
        if list_files(function) != files:
            raise BenchmarkError(f"{function.task} changed during the measurement, so the figures are invalid.")
    return measured


def _expect_success(answer: Mapping[str, object]) -> None:
    if answer["statusCode"] not in (200, 201):
        raise BenchmarkError(f"The function does not answer as expected: {answer}")


def _count_modules(function: Function, event: bytes, launcher: Launcher) -> int:
    with launcher.start(function, "-X", "importtime") as emulator:
        emulator.invoke(event)
    return launcher.read_log().count("import time:") - 1  # the heading


def _measure_imports(function: Function, launcher: Launcher, rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds to import a function's module, with and without its layer's bytecode."""
    assert function.layer
    compiled = function.layer if has_bytecode(function.layer) else copy_with_bytecode(function.layer, "layer-with")
    layers = {"with": compiled, "without": copy_without_bytecode(function.layer, "layer-without")}
    functions = {
        name: Function(function.task, layer, function.handler, function.variables) for name, layer in layers.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(rounds + 1):
        for name, entry in functions.items():
            measured = launcher.import_seconds(entry)
            if number:
                seconds[name].append(measured)
    return seconds


def _measure_growth(function: Function, launcher: Launcher, table: TableServer) -> list[Growth]:
    event = json.dumps(peers.ALL[0].make_list_event()).encode()
    growth: list[Growth] = []
    with launcher.start(function) as emulator:
        for items in SIZES:
            table.set_items(items)
            answer = emulator.invoke(event)
            requests = table.read_requests()
            if json.loads(answer["body"])["count"] != ITEMS:
                raise BenchmarkError(f"The page does not hold {ITEMS} items: {answer}")
            examined = sum(entry["examined"] for entry in requests)
            growth.append(Growth(items, len(requests), examined, sum(entry["units"] for entry in requests)))
    return growth


def _list_versions(python: Path) -> str:
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    return _name_packages([packages], {"awslambdaric", "boto3", "botocore"})


def _list_peer_versions(function: Function) -> str:
    layer = [function.layer / "python"] if function.layer else []
    return _name_packages([function.task, *layer], None) or "the runtime's packages alone"


def _name_packages(directories: Sequence[Path], only: set[str] | None) -> str:
    found = {entry.name: entry.version for entry in distributions(path=[str(directory) for directory in directories])}
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()) if only is None or name in only)


def _format_rows(rows: Mapping[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())


if __name__ == "__main__":
    raise SystemExit(main())
