"""How many environments a function needs at some traffic, and how many of its requests meet none that is ready.

Lambda documents that an environment serves one request at a time, is kept for a while when idle, and is replaced every
few hours even when busy («Understanding the Lambda execution environment lifecycle»). It does not document how long,
nor which of several idle environments gets a request; the times are assumptions, and the one that was used last is
taken to get it. Requests are taken to arrive independently of each other.
"""

import math
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Demand:
    """What a function's environments have to do in an hour.

    Attributes:
        rates: requests a second of the first environment, of the second, which gets those that find the first busy, and
            so on.
        busy: environments that work at the same time, on average.
        idle_seconds: for how long Lambda keeps an environment that has nothing to do.
    """

    rates: tuple[float, ...]
    busy: float
    idle_seconds: float

    @property
    def environments(self) -> int:
        """How many environments stand: those that get a request at least as often as they would be given up."""
        return sum(rate * self.idle_seconds >= 1 for rate in self.rates)

    def find_share(self, environments: int) -> float:
        """Return the share of the work that so many environments do, if they get every request that they can take."""
        if not self.busy:
            return 0.0
        # The next environment gets a request as often as all of these are busy.
        busy = sum(self.rates[1 : environments + 1]) / self.rates[0]
        return min(1.0, busy / self.busy) if environments < len(self.rates) else 1.0

    def count_cold_starts(self, *, before: int, kept: int, lifetime_seconds: float) -> float:
        """Return how many requests of the hour wait for the start of an environment.

        Args:
            before: environments that stood in the hour before.
            kept: environments that are there in any case, by provisioned concurrency or by warming.
            lifetime_seconds: after which Lambda replaces an environment that is in use.
        """
        given_up, replaced = 0.0, 0.0
        for rate in self.rates[kept:]:
            # Where gaps between requests are exponential, this share of them is longer than an idle environment lives.
            missed = math.exp(-rate * self.idle_seconds)
            given_up += rate * 3600 * missed
            replaced += (1 - missed) * 3600 / lifetime_seconds
        growth = max(0, self.environments - max(before, kept))
        return min(sum(self.rates[:1]) * 3600, given_up + replaced + growth)


@lru_cache(maxsize=4096)
def make_demand(requests_per_second: float, burst: float, seconds: float, idle_seconds: float) -> Demand:
    """Return what a function's environments have to do.

    How many are busy when a request arrives has a Poisson distribution (an infinite-server queue).

    Args:
        requests_per_second: that arrive, on average.
        burst: by how much the busiest moments exceed the average.
        seconds: that a request takes.
        idle_seconds: for how long Lambda keeps an environment that has nothing to do.
    """
    if not requests_per_second:
        return Demand((), 0, idle_seconds)
    mean = requests_per_second * burst * seconds
    # Far below the mean all are busy all the time: nothing is to be summed there.
    count = max(0, math.floor(mean - 8 * math.sqrt(mean)))
    rates = [requests_per_second] * (count + 1)
    probability = math.exp(-mean + count * math.log(mean) - math.lgamma(count + 1))
    beyond = 1.0
    while (beyond := beyond - probability) * requests_per_second * idle_seconds > 1e-3:
        rates.append(requests_per_second * beyond)
        count += 1
        probability *= mean / count
    return Demand(tuple(rates), mean, idle_seconds)
