"""The API while its table fails now and then, not at all, or for good."""

import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.api_client import ApiClient
from tests.faults.conftest import SEED, Report, Stand
from tests.faults.model import ModelledUser, Tally
from tests.faults.proxy import Fault, draw_faults, no_faults

CLIENTS = 16
REQUESTS = 2_000
FAULTS = (
    Fault.THROTTLED,
    Fault.OVER_CAPACITY,
    Fault.ERROR,
    Fault.UNAVAILABLE,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.TRUNCATED,
)


@pytest.mark.parametrize(("rate", "least_right"), [(0.1, 0.999), (0.3, 0.98)])
def test_faults_now_and_then(stand: Stand, report: Report, rate: float, least_right: float) -> None:
    stand.proxy.plan = draw_faults(SEED, rate, FAULTS)
    stand.proxy.forget()
    users = [ModelledUser(ApiClient(stand.url, f"user-{rate}-{number}"), SEED) for number in range(CLIENTS)]
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(lambda user: user.send_requests(REQUESTS // CLIENTS), users))
    finally:
        stand.proxy.plan = no_faults
    tally = Tally()
    for user in users:
        tally.add(user.tally)
    report.add(
        f"{rate:.0%} of table calls fail, {REQUESTS:,} requests, {CLIENTS} clients",
        f"{tally.right / tally.requests:.2%} answered right",
        f"{tally.unavailable} × 503",
        f"{len(tally.wrong)} others",
        f"{tally.repeats} sent again by the client",
        f"{stand.proxy.requests} table calls, {sum(stand.proxy.met.values())} faults",
        f"median {statistics.median(tally.seconds) * 1000:.0f} ms, longest {max(tally.seconds):.1f} s",
    )
    for user in users:
        user.check_end()
    assert tally.wrong == []
    assert tally.right >= least_right * tally.requests
    assert set(stand.proxy.met) == set(FAULTS)
