"""The API while its table fails now and then, does not answer, or is down."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import SEED, Report
from tests.faults.model import ModelledUser, Tally
from tests.support.api_client import KINDS, Answer, ApiClient
from tests.support.fault_proxy import Fault, always, draw_faults
from tests.support.stack import list_routes
from tests.support.stand import PROCESSES, Stand

CLIENTS = 16
AT_ONCE = 4
"""Requests at the same time while calls fail now and then.

More of them than a function's processes, and few enough that a call that meets no fault is answered within its time
limit of a second on a loaded machine: a late answer counts as a fault.
"""
REQUESTS = 2_000
REQUESTS_WHILE_DOWN = 300 * len(KINDS)
"""Of each route more than the processes of its function can repeat."""
FAULTS = (
    Fault.THROTTLED,
    Fault.OVER_CAPACITY,
    Fault.ERROR,
    Fault.UNAVAILABLE,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.TRUNCATED,
)
BUDGET = 20
"""Retries that one process may make while nothing succeeds."""


# A call fails if its four attempts do: 0.01 % of calls at 10 %, 0.81 % at 30 %. A request makes 1.3 calls on average,
# so about 0.3 and 21 of the requests fail.
@pytest.mark.parametrize(("rate", "least_right"), [(0.1, 0.999), (0.3, 0.98)])
def test_faults_now_and_then(stand: Stand, report: Report, rate: float, least_right: float) -> None:
    stand.proxy.forget()
    users = [ModelledUser(ApiClient(stand.url, f"user-{rate}-{number}"), SEED) for number in range(CLIENTS)]
    with stand.faults(draw_faults(SEED, rate, FAULTS)), ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda user: user.send_requests(REQUESTS // CLIENTS), users))
    tally = Tally()
    for user in users:
        tally.add(user.tally)
    report.add(
        f"{rate:.0%} of table calls fail, {tally.requests:,} mixed requests, {CLIENTS} clients, {AT_ONCE} at a time",
        f"{tally.right / tally.requests:.2%} answered correctly",
        f"{tally.unavailable} with 503 and Retry-After",
        f"{len(tally.wrong)} others",
        f"{tally.repeats} sent again by the client",
        f"{stand.proxy.requests:,} table calls, {sum(stand.proxy.met.values())} faults",
        describe_seconds(tally.seconds),
    )
    for user in users:
        user.check_end()
    assert tally.wrong == []
    assert tally.requests == REQUESTS
    assert tally.right >= least_right * tally.requests
    assert set(stand.proxy.met) == set(FAULTS)


@pytest.mark.parametrize(("fault", "count"), [(Fault.SILENT, 9 * len(KINDS)), (Fault.DRIPPING, len(KINDS) * PROCESSES)])
def test_table_that_does_not_answer(stand: Stand, report: Report, fault: Fault, count: int) -> None:
    # One request of each route for each process, so that all of them are running.
    send_at_once(stand, "before", len(KINDS) * PROCESSES)
    before = stand.find_function_processes()
    with stand.faults(always(fault)):
        answers = send_at_once(stand, f"user-{fault}", count)
    after = stand.find_function_processes()
    time.sleep(max(answer.retry_after for answer in answers))
    again = send_at_once(stand, f"user-{fault}", len(KINDS) * PROCESSES)
    report.add(
        f"table: {fault}, {count} requests",
        f"{sum(answer.is_unavailable for answer in answers)} with 503 and Retry-After, before Lambda's limit of 29 s",
        f"{len(before - after)} of {len(before)} processes lost",
        f"once it was back {sum(answer.status < 500 for answer in again)} of {len(again)} requests worked at once",
        describe_seconds([answer.seconds for answer in answers]),
    )
    assert [answer for answer in answers if not answer.is_unavailable] == []
    # More may start, because the requests before need not have met all processes of a function.
    assert after >= before
    # A deletion whose first answer was lost with an old connection finds its aim reached.
    assert Counter(404 if answer.status == 204 else answer.status for answer in again) == Counter(
        404 if route.creator else route.success for route in list_routes() for _ in range(PROCESSES)
    )


def test_table_that_is_down(stand: Stand, report: Report) -> None:
    stand.proxy.forget()
    with stand.faults(always(Fault.RESET_BEFORE), "DynamoDB_"):
        answers = send_at_once(stand, "user-down", REQUESTS_WHILE_DOWN)
        processes = len(stand.find_function_processes())
    retries = stand.proxy.repeats
    time.sleep(max(answer.retry_after for answer in answers))
    again = send_at_once(stand, "user-down", len(KINDS))
    report.add(
        f"table down, {REQUESTS_WHILE_DOWN:,} requests",
        f"{sum(answer.is_unavailable for answer in answers):,} with 503 and Retry-After",
        f"{stand.proxy.requests:,} table calls, {retries} of them retries by {processes} processes:"
        f" {retries / REQUESTS_WHILE_DOWN:.2f} a request",
        describe_seconds([answer.seconds for answer in answers]),
    )
    assert [answer for answer in answers if not answer.is_unavailable] == []
    assert retries <= 0.25 * REQUESTS_WHILE_DOWN
    assert retries <= BUDGET * processes
    assert all(answer.status < 500 for answer in again)


def send_at_once(stand: Stand, subject: str, count: int) -> Sequence[Answer]:
    """Send requests of all routes, no two the same, from several clients."""
    clients = [ApiClient(stand.url, f"{subject}-{number}") for number in range(min(CLIENTS, count))]

    def send(number: int) -> list[Answer]:
        return [KINDS[index % len(KINDS)](clients[number]) for index in range(number, count, len(clients))]

    with ThreadPoolExecutor(len(clients)) as threads:
        return [answer for answers in threads.map(send, range(len(clients))) for answer in answers]


def describe_seconds(seconds: Sequence[float]) -> str:
    return f"median {statistics.median(seconds) * 1000:.0f} ms, longest {max(seconds):.1f} s"
