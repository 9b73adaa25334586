"""The same month with alternative settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.benchmarks.cost.bill import Bill, make_bill
from tools.benchmarks.cost.durations import Assumptions, Durations
from tools.benchmarks.cost.prices import Prices
from tools.benchmarks.cost.records import count_erasure, count_export, count_import
from tools.benchmarks.cost.stack import COLD_START_CHOICES, Stack, read_stack
from tools.benchmarks.cost.traffic import Profile, scale_profile
from tools.benchmarks.cost.usage import Usage, count_idle, count_usage

STAGES = ("dev", "staging", "prod")

LEAST_FACTOR, MOST_FACTOR = 1e-3, 1e3
"""Range of traffic factors in which a break-even is searched."""


@dataclass(frozen=True)
class Month:
    """A month's usage and its bill."""

    usage: Usage
    bill: Bill


@dataclass(frozen=True)
class Choice:
    """A value of `ColdStart`.

    Attributes:
        name: the value.
        dollars: total for a month.
        more: dollars more than with `none`.
        cold_starts: cold starts a month of the functions that the setting affects.
        improved: cold starts that `none` has and this value avoids or shortens.
        pays_from: requests a month from which it is cheaper than `none`; None if it never is.
    """

    name: str
    dollars: float
    more: float
    cold_starts: float
    improved: float
    pays_from: float | None

    @property
    def break_even(self) -> float | None:
        """Dollars that an improved cold start must be worth for the value to pay off."""
        return self.more / self.improved if self.improved >= 1 else None


@dataclass(frozen=True)
class Alternative:
    """One of two alternatives.

    Attributes:
        name: name of the alternative.
        dollars: a month's cost of what differs.
        per_million: cost of what differs for a million of the affected requests.
    """

    name: str
    dollars: float
    per_million: float


@dataclass(frozen=True)
class Standing:
    """What a stage costs while nobody calls it.

    Attributes:
        stage: the stage.
        retention_days: for which it keeps its logs.
        dollars: a month at list prices.
    """

    stage: str
    retention_days: int
    dollars: float


@dataclass(frozen=True)
class Job:
    """A job that is no request.

    Attributes:
        name: what it is.
        dollars: at list prices.
    """

    name: str
    dollars: float


class Calculator:
    """Calculates months of one profile."""

    def __init__(
        self,
        profile: Profile,
        prices: Prices,
        durations: Durations,
        assumptions: Assumptions,
        parameters: Mapping[str, str],
        *,
        free_tier: bool = True,
    ) -> None:
        """Read the stack with every value of `ColdStart`.

        Args:
            profile: the traffic.
            prices: the region's prices.
            durations: the functions' durations.
            assumptions: everything else.
            parameters: parameters of the stack that override the defaults; the stage is prod by default.
            free_tier: whether the bill subtracts what AWS's free tier gives every month.
        """
        self.profile = profile
        self.prices = prices
        self.durations = durations
        self.assumptions = assumptions
        self.parameters = {"Stage": "prod", **parameters}
        self.free_tier = free_tier
        self._stacks = {choice: read_stack({**self.parameters, "ColdStart": choice}) for choice in COLD_START_CHOICES}

    def count(
        self,
        stack: Stack | None = None,
        *,
        profile: Profile | None = None,
        factor: float = 1,
        api: str = "http_api",
        gateway_refuses: bool = True,
        free_tier: bool | None = None,
    ) -> Month:
        """Return a month of a stack, by default of the one with the given parameters and with the profile's traffic."""
        usage = count_usage(
            stack or self.stack,
            scale_profile(profile or self.profile, factor),
            self.durations,
            self.assumptions,
            api=api,
            gateway_refuses=gateway_refuses,
        )
        is_free = self.free_tier if free_tier is None else free_tier
        return Month(usage, make_bill(usage, self.prices, free_tier=is_free))

    @property
    def stack(self) -> Stack:
        """The stack with the given parameters."""
        return self._stacks[self.parameters.get("ColdStart", COLD_START_CHOICES[0])]

    def compare_stages(self) -> list[Standing]:
        """Return what each stage's stack costs while nobody calls it, at list prices."""
        standings = []
        for stage in STAGES:
            stack = read_stack({**self.parameters, "Stage": stage})
            bill = make_bill(count_idle(stack, self.assumptions), self.prices, free_tier=False)
            standings.append(Standing(stage, stack.retention_days, bill.total))
        return standings

    def compare_jobs(self) -> list[Job]:
        """Return what an import, an erasure and an export cost, at list prices."""
        stack = self._stacks[COLD_START_CHOICES[0]]
        jobs = []
        for name, count_job, number in (
            ("an import of 100,000 lines", count_import, 100_000),
            ("an erasure of a user with 100,000 items", count_erasure, 100_000),
            ("an export of a user with 100,000 items", count_export, 100_000),
        ):
            usage = Usage()
            count_job(usage, stack, self.profile, self.assumptions, number)
            jobs.append(Job(name, make_bill(usage, self.prices, free_tier=False).total))
        return jobs

    def compare_choices(self) -> list[Choice]:
        """Return all values of `ColdStart`."""
        months = {name: self.count(stack) for name, stack in self._stacks.items()}
        routes = [route for route, entry in self._stacks["snapstart"].functions.items() if entry.takes_snapshots]
        waits = {name: sum(entry.usage.cold_starts.get(route, 0) for route in routes) for name, entry in months.items()}
        return [
            Choice(
                name=name,
                dollars=month.bill.total,
                more=month.bill.total - months["none"].bill.total,
                cold_starts=waits[name],
                # A restore is a shorter wait.
                improved=waits["none"] - (0 if name == "snapstart" else waits[name]),
                pays_from=self._find_break_even(name),
            )
            for name, month in months.items()
        ]

    def _find_break_even(self, choice: str) -> float | None:
        """Return the requests a month from which a value is cheaper than `none`; None if it never is."""
        if choice == "none":
            return None

        def find_difference(factor: float) -> float:
            ours, others = (self.count(self._stacks[name], factor=factor) for name in (choice, "none"))
            return ours.bill.total - others.bill.total

        factor = find_root(find_difference)
        return None if factor is None else factor * self.profile.count_served()

    def compare_apis(self) -> list[Alternative]:
        """Return the cost of an HTTP API and of a REST API, at list prices."""
        alternatives = []
        for name, api in (("HTTP API", "http_api"), ("REST API", "rest_api")):
            bill = self.count(api=api, free_tier=False).bill
            dollars = bill.sum_by(lambda line: line.service)["API Gateway"]
            alternatives.append(Alternative(name, dollars, dollars / self.profile.count_served() * 1e6))
        return alternatives

    def compare_architectures(self) -> list[Alternative]:
        """Return Lambda's cost on both architectures at list prices, assuming equal speed."""
        alternatives = []
        for architecture in ("arm64", "x86_64"):
            bill = self.count(read_stack({**self.parameters, "Architecture": architecture}), free_tier=False).bill
            dollars = bill.sum_by(lambda line: line.service)["Lambda"]
            alternatives.append(Alternative(architecture, dollars, dollars / self.profile.count_served() * 1e6))
        return alternatives

    def compare_refusals(self) -> list[Alternative]:
        """Return the cost, at list prices, of rejecting bad requests at the gateway and in the functions."""
        alternatives = []
        requests = self.profile.count_refused()
        nothing = self._count_without_refusals().bill.total
        for name, gateway_refuses in (("by the gateway", True), ("by the functions", False)):
            dollars = self.count(gateway_refuses=gateway_refuses, free_tier=False).bill.total - nothing
            alternatives.append(Alternative(name, dollars, dollars / requests * 1e6 if requests else 0.0))
        return alternatives

    def _count_without_refusals(self) -> Month:
        good = Profile(**{**vars(self.profile), "unauthorized": 0.0, "throttled": 0.0})
        usage = count_usage(self.stack, good, self.durations, self.assumptions)
        return Month(usage, make_bill(usage, self.prices, free_tier=False))


def find_root(difference: Callable[[float], float]) -> float | None:
    """Return the factor at which a difference changes its sign; None if there is none in the range."""
    low = LEAST_FACTOR
    while low < MOST_FACTOR and (difference(low) > 0) == (difference(low * 4) > 0):
        low *= 4
    if low >= MOST_FACTOR:
        return None
    high = low * 4
    for _ in range(12):
        middle = (low * high) ** 0.5
        if (difference(low) > 0) == (difference(middle) > 0):
            low = middle
        else:
            high = middle
    return high
