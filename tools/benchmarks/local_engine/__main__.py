"""`make bench-local`: measures the local engine and `sam local start-api` with the same AWS services in one run."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

from tools.benchmarks.local_engine.http_load import LoadError, Request, fetch_body, send_load
from tools.benchmarks.local_engine.measurements import (
    ENGINE,
    SAM_LOCAL,
    Measurement,
    client_share,
    format_table,
)
from tools.benchmarks.local_engine.servers import (
    ECHO_STACK,
    REST_STACK,
    WORK_DIRECTORY,
    Backend,
    describe_container_engine,
    issuer_arguments,
    mint_token,
    run_backend,
    run_engine,
    run_sam_local,
)
from tools.benchmarks.machine import ROOT, BenchmarkError, build_stack, describe_machine, free_port

ROUNDS = 5
ITEMS = 20
USER = "bench"
REPORT = ROOT / "docs/benchmarks/local-engine.md"


@dataclass(frozen=True)
class Case:
    """A stack and its measured request.

    Attributes:
        stage: what the path starts with at the engine, and not at `sam local`, which has no stages.
        has_table: whether the stack has a table and an authorizer.
        counts: requests in a round, by number of clients and by server; enough for some seconds.
        least_ratios: `Measurement.least_ratio` by number of clients.
    """

    name: str
    template: Path
    path: str
    has_table: bool
    counts: Mapping[int, Mapping[str, int]]
    least_ratios: Mapping[int, float]
    stage: str = ""


ECHO_COUNTS = {1: {ENGINE: 400, SAM_LOCAL: 40}, 16: {ENGINE: 3000, SAM_LOCAL: 96}}
CASES = (
    Case("echo", ECHO_STACK, "/echo", has_table=False, counts=ECHO_COUNTS, least_ratios={16: 10}),
    Case("REST echo", REST_STACK, "/echo", has_table=False, counts=ECHO_COUNTS, least_ratios={16: 10}, stage="/live"),
    Case(
        name="list",
        template=ROOT / "template.yaml",
        path="/api/v1/resources",
        has_table=True,
        counts={1: {ENGINE: 200, SAM_LOCAL: 40}, 16: {ENGINE: 400, SAM_LOCAL: 96}},
        least_ratios={1: 2, 16: 2},
    ),
)


def main() -> int:
    """Measure, print and write the report; return 1 if a ratio is missed, 2 if nothing could be measured."""
    # A shell that starts this in the background ignores SIGINT, and the servers would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        conditions = _describe_conditions()
        WORK_DIRECTORY.mkdir(parents=True, exist_ok=True)
        measurements = _measure()
    except (BenchmarkError, LoadError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    table = format_table(measurements)
    print(f"\n{table}\n")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(_format_report(table, conditions, client_share(measurements)))
    print(f"Written to {REPORT.relative_to(ROOT)}.")
    for measured in measurements:
        if not measured.is_reached:
            print(f"{measured.request} at {measured.clients} clients falls short of {measured.least_ratio:g} times.")
    return 0 if all(measured.is_reached for measured in measurements) else 1


def _measure() -> list[Measurement]:
    measurements: list[Measurement] = []
    # The issuer's name contains the port of `sam local`, so both stacks use the same port in turn.
    sam_port = free_port()
    with run_backend(sam_port) as backend:
        for case in CASES:
            print(f"{case.name}: building and starting", flush=True)
            with _run_servers(case, sam_port, backend) as requests:
                _compare_answers(requests)
                measurements += _measure_case(case, requests)
    return measurements


def _compare_answers(requests: Mapping[str, Request]) -> None:
    answers = {server: json.loads(fetch_body(request)) for server, request in requests.items()}
    if answers[ENGINE] != answers[SAM_LOCAL]:
        raise BenchmarkError(f"The servers give different responses, so their speed cannot be compared: {answers}")


@contextlib.contextmanager
def _run_servers(case: Case, sam_port: int, backend: Backend) -> Iterator[dict[str, Request]]:
    ports = {ENGINE: free_port(), SAM_LOCAL: sam_port}
    arguments = [*issuer_arguments(ports[ENGINE]), "--seed", str(_write_items())] if case.has_table else []
    built = build_stack(case.template, WORK_DIRECTORY / f"build-{case.name}")
    with (
        run_engine(case.template, case.name, ports[ENGINE], backend, *arguments),
        run_sam_local(built, case.name, ports[SAM_LOCAL], backend),
    ):
        stages = {ENGINE: case.stage, SAM_LOCAL: ""}
        issuers = {ENGINE: case.template, SAM_LOCAL: ECHO_STACK}  # the backend runs the latter
        yield {
            server: Request(
                port, stages[server] + case.path, mint_token(port, USER, issuers[server]) if case.has_table else None
            )
            for server, port in ports.items()
        }


def _measure_case(case: Case, requests: Mapping[str, Request]) -> list[Measurement]:
    measurements = [Measurement(case.name, clients, case.least_ratios.get(clients)) for clients in case.counts]
    for number in range(ROUNDS):
        # The servers take turns in going first.
        servers = (ENGINE, SAM_LOCAL) if number % 2 == 0 else (SAM_LOCAL, ENGINE)
        for measured in measurements:
            for server in servers:
                # The first round starts containers and processes, and caches are cold after each change of server
                # or clients.
                send_load(requests[server], measured.clients, measured.clients * (5 if number == 0 else 1))
                count = case.counts[measured.clients][server]
                load = send_load(requests[server], measured.clients, count)
                measured.rounds[server].append(load)
                rate = len(load.latencies) / load.duration
                print(
                    f"{case.name}, round {number + 1} of {ROUNDS}, clients: {measured.clients}, {server}: {rate:.0f}/s",
                    flush=True,
                )
    return measurements


def _write_items() -> Path:
    """Write one user's items in the format of `--seed`, and return the file."""
    items = [
        {
            "pk": {"S": f"user#{USER}"},
            "sk": {"S": f"resource#019ab0c1-7a3e-7c55-9d1f-{number:012x}"},
            "name": {"S": f"Resource {number}"},
            "type": {"S": "ABC"[number % 3]},
            "metadata": {"S": json.dumps({"colour": "blue", "weight": 12.5, "tags": ["one", "two"]})},
            "createdAt": {"S": "2025-11-23T12:47:41.118Z"},
            "updatedAt": {"S": "2025-11-23T12:47:41.118Z"},
            "version": {"S": "0000000000000000"},
        }
        for number in range(ITEMS)
    ]
    file = WORK_DIRECTORY / "items.json"
    file.write_text(json.dumps({"Table": [{"PutRequest": {"Item": item}} for item in items]}))
    return file


def _describe_conditions() -> dict[str, str]:
    libraries = ("moto", "uvicorn", "boto3")
    return describe_machine() | {
        "Containers": describe_container_engine(),
        "Libraries": ", ".join(f"{name} {version(name)}" for name in libraries),
    }


def _format_report(table: str, conditions: Mapping[str, str], share: float) -> str:
    return Template(Path(__file__).with_name("report.md").read_text()).substitute(
        table=table,
        items=ITEMS,
        rounds=ROUNDS,
        client_share=f"{share:.0%}",
        counts="\n".join(
            f"| {case.name} | {clients} | {counts[ENGINE]} | {counts[SAM_LOCAL]} |"
            for case in CASES
            for clients, counts in case.counts.items()
        ),
        conditions="\n".join(f"| {name} | {value} |" for name, value in conditions.items()),
    )


if __name__ == "__main__":
    raise SystemExit(main())
