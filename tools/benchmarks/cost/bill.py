"""A month's bill: usage at a region's prices."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.benchmarks.cost.prices import Prices
from tools.benchmarks.cost.usage import Usage, sum_by_meter


@dataclass(frozen=True)
class Line:
    """One line of a bill."""

    service: str
    item: str
    route: str
    quantity: float
    unit: str
    dollars: float


@dataclass(frozen=True)
class Bill:
    """A month's bill."""

    lines: tuple[Line, ...]

    @property
    def total(self) -> float:
        return sum(line.dollars for line in self.lines)

    def sum_by(self, key: Callable[[Line], str]) -> Mapping[str, float]:
        """Return dollars by a key of the lines, such as the service or the route."""
        sums: defaultdict[str, float] = defaultdict(float)
        for line in self.lines:
            sums[key(line)] += line.dollars
        return sums


def make_bill(usage: Usage, prices: Prices, *, free_tier: bool = True) -> Bill:
    """Price a month.

    Price tiers apply to the whole stack; each route then carries its share.

    Args:
        usage: the month's usage.
        prices: the region's prices.
        free_tier: whether to subtract what AWS's free tier gives every month.
    """
    totals = sum_by_meter(usage)
    dollars = {meter: prices.charge(meter, total, free_tier=free_tier) for meter, total in totals.items() if total}
    lines = [
        Line(
            prices.meters[meter].service,
            prices.meters[meter].item,
            route,
            quantity,
            prices.meters[meter].unit,
            dollars[meter] * quantity / totals[meter],
        )
        for (meter, route), quantity in usage.quantities.items()
        if quantity and meter in dollars
    ]
    return Bill(tuple(lines))
