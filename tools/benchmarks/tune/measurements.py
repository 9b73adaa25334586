"""A function at several memory sizes: what was measured, what it would cost, and which size is recommended."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tools.benchmarks.cost.formulas import count_billed_seconds, count_gigabyte_seconds, scale_to_memory
from tools.benchmarks.cost.prices import Prices


@dataclass(frozen=True)
class Terms:
    """On which a size is judged.

    Attributes:
        first: seconds that the first answer of a new environment may take.
        warm: seconds that 95 of 100 warm answers may take.
        prices: of a region.
        architecture: `arm64` or `x86_64`, whose prices hold.
        waiting: seconds that a request waits for the table, which answers at once here.
        cold_share: of the requests, that start an environment.
    """

    first: float
    warm: float
    prices: Prices
    architecture: str
    waiting: float
    cold_share: float


@dataclass(frozen=True)
class Size:
    """A memory size.

    Attributes:
        memory: MB.
        first: seconds to the first answer, of each start.
        warm: seconds to each later answer.
        processor: seconds of processor time of one warm request.
        start: seconds of processor time to the first answer, of each start.
    """

    memory: int
    first: Sequence[float]
    warm: Sequence[float]
    processor: float
    start: Sequence[float]

    @property
    def first_median(self) -> float:
        return statistics.median(self.first)

    @property
    def warm_median(self) -> float:
        return statistics.median(self.warm)

    @property
    def warm_95(self) -> float:
        """The time that 95 of 100 warm answers keep."""
        return sorted(self.warm)[math.ceil(0.95 * len(self.warm)) - 1]

    def keeps(self, terms: Terms) -> bool:
        """Return whether the size is as quick as it has to be."""
        return self.first_median <= terms.first and self.warm_95 + terms.waiting <= terms.warm

    def charge_million(self, terms: Terms) -> float:
        """Return the dollars of Lambda for a million requests."""
        seconds = count_billed_seconds(statistics.mean(self.warm) + terms.waiting)
        used = count_gigabyte_seconds(1e6, seconds, self.memory)
        used += count_gigabyte_seconds(1e6 * terms.cold_share, count_billed_seconds(self.first_median), self.memory)
        duration = terms.prices.charge(f"lambda.duration.{terms.architecture}", used)
        return duration + terms.prices.charge("lambda.requests", 1e6)


def predict_warm(size: Size, full: Size) -> float:
    """Return the warm time that `make cost` would take for a size, from what was measured with a whole processor."""
    return scale_to_memory(full.processor, max(0.0, full.warm_median - full.processor), size.memory)


def recommend(sizes: Sequence[Size], terms: Terms) -> Size:
    """Return the cheapest size that is quick enough, or where none is the one with the quickest first answer."""
    keeping = [size for size in sizes if size.keeps(terms)]
    if not keeping:
        return min(sizes, key=lambda size: size.first_median)
    return min(keeping, key=lambda size: size.charge_million(terms))
