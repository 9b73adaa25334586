"""A month's bill: what usage costs at a region's prices."""

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
        """Return dollars by service, by route, or by what else a line tells."""
        sums: defaultdict[str, float] = defaultdict(float)
        for line in self.lines:
            sums[key(line)] += line.dollars
        return sums


def make_bill(usage: Usage, prices: Prices, *, free_tier: bool = False, transfer: bool = False) -> Bill:
    """Price a month.

    A meter with tiers is priced for the whole stack; each route then bears its share.

    Args:
        usage: of the month.
        prices: of the region.
        free_tier: whether to leave out what AWS's free tier covers.
        transfer: whether to charge data transfer to the internet.
    """
    totals = sum_by_meter(usage)
    dollars = {
        meter: prices.charge(meter, total, free_tier=free_tier)
        for meter, total in totals.items()
        if total and (transfer or meter != "transfer")
    }
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
