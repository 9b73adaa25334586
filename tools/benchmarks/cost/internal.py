"""What the internal API's gateway saves if it gets the same traffic: by rejecting bad bodies, and by its cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.benchmarks.cost.formulas import count_gigabyte_seconds
from tools.benchmarks.cost.traffic import DAYS, HOURS_OF_A_MONTH, Profile, RouteTraffic, scale_route

if TYPE_CHECKING:
    from tools.benchmarks.cost.comparisons import Calculator

_WEEKS = HOURS_OF_A_MONTH / 168


@dataclass(frozen=True)
class InternalSavings:
    """What the gateway saves in a month, in Lambda and DynamoDB at list prices.

    Attributes:
        invalid: requests whose bodies the gateway rejects.
        rejected: dollars that it saves.
        cache: dollars that the smallest cache costs.
        hits: share of the reads that it answers.
        saved: dollars that it saves, less what it costs to refresh it.
        pays_from: hits a month that would pay for the cache.
    """

    invalid: float
    rejected: float
    cache: float
    hits: float
    saved: float
    pays_from: float


def estimate_savings(calculator: "Calculator") -> InternalSavings:
    """Return what the internal API would save if a profile's requests went there."""
    routes, prices = calculator.profile.routes, calculator.prices
    reads = {name: route for name, route in routes.items() if name.startswith("GET ")}
    writes = {name: route for name, route in routes.items() if name not in reads}
    months = {name: route.count_month() for name, route in routes.items()}
    valid = {name: scale_route(route, 1 - route.invalid, invalid=0.0) for name, route in writes.items()}
    changes = sum(route.count_month() for route in valid.values())
    hits = {name: count_hits(calculator, route) for name, route in reads.items()}
    # Each change has the resource and the first page read again.
    left = {name: scale_route(route, 1 + (changes - hits[name]) / months[name]) for name, route in reads.items()}
    memory = next(iter(calculator.stack.functions.values())).memory
    refresh = count_gigabyte_seconds(1, calculator.assumptions.refresh, memory)
    refreshing = changes * (
        prices.charge("lambda.requests", 1)
        + prices.charge("lambda.duration.arm64", refresh)
        + prices.charge("rest_api.requests", len(reads))
    )
    half = {name: scale_route(route, 0.5) for name, route in reads.items()}
    each = _save(calculator, half) / sum(months[name] / 2 for name in reads)
    cache = prices.charge("rest_api.cache", HOURS_OF_A_MONTH)
    return InternalSavings(
        invalid=sum(months[name] * route.invalid for name, route in writes.items()),
        rejected=_save(calculator, valid),
        cache=cache,
        hits=sum(hits.values()) / sum(months[name] for name in reads),
        saved=_save(calculator, left) - refreshing,
        pays_from=cache / each,
    )


def _save(calculator: "Calculator", routes: Mapping[str, RouteTraffic]) -> float:
    """Return what functions and the table cost less if other numbers of requests reach them."""
    changed = Profile(**{**vars(calculator.profile), "routes": {**calculator.profile.routes, **routes}})
    before, after = (
        calculator.count(profile=profile, free_tier=False).bill.sum_by(lambda line: line.service)
        for profile in (calculator.profile, changed)
    )
    return sum(before[service] - after[service] for service in ("Lambda", "DynamoDB"))


def count_hits(calculator: "Calculator", route: RouteTraffic) -> float:
    """Return a month's hits of a route whose requests are independent and spread evenly over its keys.

    An entry answers what arrives within its time: if `n` requests do on average, the share is `n / (1 + n)`.
    """
    profile = calculator.profile
    # A user reads one page, and the items on it.
    items = 1 if route.items else max(entry.items for entry in profile.routes.values())
    seconds = calculator.stack.page_cache if route.items else calculator.stack.item_cache
    hits = 0.0
    for day in DAYS:
        for hour in range(24):
            requests = route.count_requests(day, hour)
            arrivals = requests / (profile.users * items) * seconds / 3600
            hits += requests * arrivals / (1 + arrivals)
    return hits * _WEEKS
