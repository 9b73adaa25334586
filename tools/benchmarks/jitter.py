"""Compares full jitter with ±15 % for clients that contend for a resource: `python -m tools.benchmarks.jitter`.

Each client makes one call. In each time slot the resource serves `CAPACITY` of the arriving calls and throttles the
others. A throttled client backs off exponentially up to a cap and retries. The simulation is deterministic.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog.
"""

import heapq
import random
import statistics
from collections.abc import Callable

SEED = 2026
RUNS = 20
CLIENTS = (10, 50, 100, 200, 500)
CAPACITY = 10
SLOT = 0.01
BASE = 0.1
CAP = 2.0

type Backoff = Callable[[random.Random, int], float]


def _bound(retry: int) -> float:
    return min(CAP, BASE * 2**retry)


BACKOFFS: dict[str, Backoff] = {
    "no jitter": lambda _numbers, retry: _bound(retry),
    "±15 %": lambda numbers, retry: _bound(retry) * numbers.uniform(0.85, 1.15),
    "full jitter": lambda numbers, retry: _bound(retry) * numbers.random(),
}


def simulate(clients: int, backoff: Backoff, numbers: random.Random) -> tuple[int, int, float]:
    """Return the number of calls, the clients with more than three retries, and the seconds until all were done."""
    arrivals = [(0.0, client, 0) for client in range(clients)]
    calls = late = served = slot = 0
    time = 0.0
    while arrivals:
        time, client, retry = heapq.heappop(arrivals)
        calls += 1
        if int(time / SLOT) != slot:
            slot, served = int(time / SLOT), 0
        if served < CAPACITY:
            served += 1
            late += retry > 3
        else:
            heapq.heappush(arrivals, (time + backoff(numbers, retry), client, retry + 1))
    return calls, late, time


def main() -> None:
    print("| clients | backoff | calls a client | clients with more than 3 retries | all done after |")
    print("|---|---|---|---|---|")
    for clients in CLIENTS:
        for name, backoff in BACKOFFS.items():
            runs = [simulate(clients, backoff, random.Random(f"{SEED}/{run}")) for run in range(RUNS)]
            calls, late, seconds = (statistics.mean(column) for column in zip(*runs, strict=True))
            print(f"| {clients} | {name} | {calls / clients:.2f} | {late / clients:.1%} | {seconds:.2f} s |")


if __name__ == "__main__":
    main()
