"""Models how many environments a function needs for its traffic, and how many requests are cold starts.

Lambda documents that an environment serves one request at a time, is kept for a while when idle, and is replaced every
few hours even when busy ("Understanding the Lambda execution environment lifecycle"). It documents neither the times
nor which idle environment gets a request. The times are assumptions, the most recently used environment gets the
request, and requests arrive independently of each other.
"""

import math
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Demand:
    """Load of a function's environments in an hour.

    Attributes:
        rates: requests per second for the first environment, for the second, which serves those that find the first one
            busy, and so on.
        busy: average number of busy environments.
        idle_seconds: how long Lambda keeps an idle environment.
    """

    rates: tuple[float, ...]
    busy: float
    idle_seconds: float

    @property
    def environments(self) -> int:
        """The number of environments that get requests often enough to be kept."""
        return sum(rate * self.idle_seconds >= 1 for rate in self.rates)

    def find_share(self, environments: int) -> float:
        """Return the share of the load that a number of environments can serve."""
        if not self.busy:
            return 0.0
        # The next environment gets a request whenever all of these are busy.
        busy = sum(self.rates[1 : environments + 1]) / self.rates[0]
        return min(1.0, busy / self.busy) if environments < len(self.rates) else 1.0

    def count_cold_starts(self, *, before: int, kept: int, lifetime_seconds: float) -> float:
        """Return the number of cold starts in the hour.

        Args:
            before: environments in the previous hour.
            kept: environments kept ready by provisioned concurrency or warming.
            lifetime_seconds: how long Lambda keeps a busy environment.
        """
        given_up, replaced = 0.0, 0.0
        for rate in self.rates[kept:]:
            # With exponential gaps between requests, this share of the gaps outlasts an idle environment.
            missed = math.exp(-rate * self.idle_seconds)
            given_up += rate * 3600 * missed
            replaced += (1 - missed) * 3600 / lifetime_seconds
        growth = max(0, self.environments - max(before, kept))
        return min(sum(self.rates[:1]) * 3600, given_up + replaced + growth)


@lru_cache(maxsize=4096)
def make_demand(requests_per_second: float, burst: float, seconds: float, idle_seconds: float) -> Demand:
    """Return the load of a function's environments.

    The number of busy environments at a request's arrival has a Poisson distribution (an infinite-server queue).

    Args:
        requests_per_second: average rate.
        burst: the factor by which the busiest moments exceed the average.
        seconds: duration of a request.
        idle_seconds: how long Lambda keeps an idle environment.
    """
    if not requests_per_second:
        return Demand((), 0, idle_seconds)
    mean = requests_per_second * burst * seconds
    # Far below the mean, all environments are busy all the time.
    count = max(0, math.floor(mean - 8 * math.sqrt(mean)))
    rates = [requests_per_second] * (count + 1)
    probability = math.exp(-mean + count * math.log(mean) - math.lgamma(count + 1))
    beyond = 1.0
    while (beyond := beyond - probability) * requests_per_second * idle_seconds > 1e-3:
        rates.append(requests_per_second * beyond)
        count += 1
        probability *= mean / count
    return Demand(tuple(rates), mean, idle_seconds)
