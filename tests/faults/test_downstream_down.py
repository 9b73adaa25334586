"""Several environments while the enrichment service is down: the circuit that they share."""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from local_engine.testing import poll
from tests.faults.conftest import Report
from tests.faults.handler_process import CreatingProcess, Outcome
from tests.support.fault_proxy import Fault, FaultProxy, always, no_faults
from tests.support.stand import Stand

PROCESSES = 4
REQUESTS = 1_000
THRESHOLD = 5
RESET_SECONDS = 2
RECOVERY_SECONDS = 60


class _Enrichment(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        resource = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps({"length": len(resource["name"])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def run_enrichment() -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Enrichment)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with FaultProxy(f"http://127.0.0.1:{server.server_port}") as proxy:
            yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def create_at_once(processes: Sequence[CreatingProcess], count: int) -> list[list[Outcome]]:
    for process in processes:
        process.start_creates(count)
    return [process.read_outcomes() for process in processes]


def test_circuit_of_several_processes(stand: Stand, report: Report, tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        downstream = cleanup.enter_context(run_enrichment())
        table = {"TABLE_NAME": "Table", "AWS_ENDPOINT_URL": stand.services.endpoint}
        hook = {
            "ENRICHMENT_URL": f"{downstream.url}/enrich",
            "CIRCUIT_THRESHOLD": str(THRESHOLD),
            "CIRCUIT_RESET_SECONDS": str(RESET_SECONDS),
        }
        processes = [CreatingProcess({**table, **hook}, tmp_path / f"{number}.log") for number in range(PROCESSES)]
        plain = [CreatingProcess(table, tmp_path / f"plain-{number}.log") for number in range(PROCESSES)]
        for process in (*processes, *plain):
            cleanup.callback(process.stop)

        assert all(outcome.is_enriched for series in create_at_once(processes, 5) for outcome in series)
        create_at_once(plain, 5)
        without_hook = _median_ms(create_at_once(plain, 50))

        downstream.forget()
        downstream.plan = always(Fault.RESET_BEFORE)
        started = time.monotonic()
        outcomes = create_at_once(processes, REQUESTS // PROCESSES)
        # On a quick machine the requests are over before the circuit is due for a probe.
        poll(lambda: create_at_once(processes, 1) and _count_probes(processes), "no probe is sent", RECOVERY_SECONDS)
        seconds = time.monotonic() - started
        calls = downstream.requests
        probes = _count_probes(processes)
        kept_open = [any("CircuitOpen" in str(record) for record in process.read_log()) for process in processes]

        downstream.plan = no_faults
        poll(
            lambda: all(series[-1].is_enriched for series in create_at_once(processes, 2)),
            "the circuit does not close again",
            RECOVERY_SECONDS,
        )
        closed = sum(_count_transitions(process, "closed") for process in processes)
        answers = [outcome for series in outcomes for outcome in series]
        report.add(
            f"downstream down, {PROCESSES} processes, {REQUESTS:,} requests",
            f"{sum(answer.status == 201 for answer in answers):,} resources created without enrichment",
            f"the circuit opened in {sum(kept_open)} of {PROCESSES} processes",
            f"{calls} calls to the downstream in {seconds:.0f} s, {probes} of them probes",
            f"median added while open {_median_ms(outcomes) - without_hook:.1f} ms to {without_hook:.1f} ms",
            f"closed again by {closed} probe and seen so by all",
        )
    assert all(answer.status == 201 and not answer.is_enriched for answer in answers)
    assert all(kept_open)
    assert calls <= THRESHOLD * PROCESSES + probes
    # The time of an opening is kept in whole seconds.
    assert 1 <= probes <= seconds / (RESET_SECONDS - 1) + 1
    assert closed == 1


def _count_probes(processes: Sequence[CreatingProcess]) -> int:
    return sum(_count_transitions(process, "half_open") for process in processes)


def _count_transitions(process: CreatingProcess, state: str) -> int:
    return sum(record.get("after") == state for record in process.read_log())


def _median_ms(outcomes: Sequence[Sequence[Outcome]]) -> float:
    return statistics.median(outcome.seconds for series in outcomes for outcome in series) * 1000
