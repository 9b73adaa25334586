"""How many environments a function needs at some traffic, and how many of its requests meet none that is ready.

Lambda documents that an environment serves one request at a time, is kept for a while when idle, and is replaced every few
hours even when busy («Understanding the Lambda execution environment lifecycle»). It does not document how long; those times
are assumptions. Requests are taken to arrive independently of each other.
"""

import math


def count_environments(requests_per_second: float, seconds: float, idle_seconds: float) -> int:
    """Return how many environments stand while traffic goes on: so many as are busy at once at some time within `idle_seconds`.

    Args:
        requests_per_second: that arrive, bursts included.
        seconds: that a request takes.
        idle_seconds: for how long Lambda keeps an environment that has nothing to do.
    """
    if not requests_per_second:
        return 0
    busy = requests_per_second * seconds
    arrivals = max(1.0, requests_per_second * idle_seconds)
    # Poisson: the environments that are busy when a request arrives (an infinite-server queue).
    probability = cumulated = math.exp(-busy)
    environments = 1
    while (1 - cumulated) * arrivals >= 1 and probability > 1e-15:
        probability *= busy / environments
        cumulated += probability
        environments += 1
    # For more than some hundreds the probabilities underflow; there the distribution is as good as normal.
    return environments if busy < 500 else math.ceil(busy + 5 * math.sqrt(busy))


def count_cold_starts(
    requests_per_second: float,
    environments: int,
    environments_before: int,
    kept: int,
    idle_seconds: float,
    lifetime_seconds: float,
) -> float:
    """Return how many requests of an hour wait for the start of an environment.

    Args:
        requests_per_second: that arrive.
        environments: that stand in this hour.
        environments_before: that stood in the hour before.
        kept: environments that are there in any case, by provisioned concurrency or by warming.
        idle_seconds: for how long Lambda keeps an environment that has nothing to do.
        lifetime_seconds: after which Lambda replaces an environment that is in use.
    """
    arrivals = requests_per_second * 3600
    missed = math.exp(-requests_per_second * idle_seconds)
    growth = max(0, environments - max(environments_before, kept))
    replaced = max(0, environments - kept) * 3600 / lifetime_seconds
    after_idling = 0.0 if kept else arrivals * missed
    return min(arrivals, after_idling + (growth + replaced) * (1 - missed))
