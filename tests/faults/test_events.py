"""Events that no gateway should send: a handler answers every one."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.faults.conftest import SEED, Report
from tests.faults.event_process import Outcome, send_events
from tests.support.stack import Route, list_routes
from tests.support.stand import Stand

# The events of all routes run together, so the first test waits for most of them.
pytestmark = pytest.mark.timeout(1200)

EVENTS = 20_000
# All of them in `make test-faults`, and the first ones in `make test`.
SENT = int(os.environ.get("FAULT_EVENTS", EVENTS))
# As the engine names them.
TABLES = {
    "TABLE_NAME": "Table",
    "AUDIT_TABLE": "Records-AuditTable",
    "ERASURE_LEDGER": "Records-Erasure-ErasureLedger",
}


@pytest.fixture(scope="module")
def outcomes(stand: Stand) -> Iterator[Mapping[str, Future[Outcome]]]:
    environment = {**TABLES, "AWS_ENDPOINT_URL": stand.services.endpoint}
    # A process for each route, because an environment belongs to one function.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        yield {route.key: processes.submit(send_events, route, SENT, SEED, environment) for route in list_routes()}


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_any_event_is_answered(outcomes: Mapping[str, Future[Outcome]], report: Report, route: Route) -> None:
    outcome = outcomes[route.key].result()
    counts = ", ".join(f"{count:,} with {status}" for status, count in sorted(outcome.statuses.items()))
    report.add(
        f"{SENT:,} random and mutated events, {route.key}",
        counts,
        f"{len(outcome.wrong)} exceptions or 5xx",
        f"{outcome.seconds:.0f} s",
    )
    assert outcome.wrong[:3] == []
