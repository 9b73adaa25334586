"""A function at several memory sizes: figures, cost and recommendation."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tools.benchmarks.cost.formulas import count_billed_seconds, count_gigabyte_seconds, scale_to_memory
from tools.benchmarks.cost.prices import Prices


@dataclass(frozen=True)
class Terms:
    """Criteria for a size.

    Attributes:
        first: limit for the first response of a new environment, in seconds.
        warm: limit for the 95th percentile of warm responses, in seconds.
        prices: prices of a region.
        architecture: `arm64` or `x86_64`.
        waiting: seconds that a request waits for the table, which answers at once here.
        cold_share: share of cold starts.
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
        first: seconds to the first response, for each start.
        warm: seconds to each later response.
        processor: processor seconds of a warm request.
        start: processor seconds to the first response, for each start.
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
        """95th percentile of warm responses."""
        return sorted(self.warm)[math.ceil(0.95 * len(self.warm)) - 1]

    def keeps(self, terms: Terms) -> bool:
        """Return whether the size meets the limits."""
        return self.first_median <= terms.first and self.warm_95 + terms.waiting <= terms.warm

    def charge_million(self, terms: Terms) -> float:
        """Return Lambda's cost of a million requests in dollars."""
        seconds = count_billed_seconds(statistics.mean(self.warm) + terms.waiting)
        used = count_gigabyte_seconds(1e6, seconds, self.memory)
        used += count_gigabyte_seconds(1e6 * terms.cold_share, count_billed_seconds(self.first_median), self.memory)
        duration = terms.prices.charge(f"lambda.duration.{terms.architecture}", used)
        return duration + terms.prices.charge("lambda.requests", 1e6)


def predict_warm(size: Size, full: Size) -> float:
    """Return the warm duration that `make cost` assumes for a size, from the figures of a full processor."""
    return scale_to_memory(full.processor, max(0.0, full.warm_median - full.processor), size.memory)


def recommend(sizes: Sequence[Size], terms: Terms) -> Size:
    """Return the cheapest size that meets the limits, or else the one with the fastest first response."""
    keeping = [size for size in sizes if size.keeps(terms)]
    if not keeping:
        return min(sizes, key=lambda size: size.first_median)
    return min(keeping, key=lambda size: size.charge_million(terms))
