"""The same month, had the stack been set up another way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.benchmarks.cost.bill import Bill, make_bill
from tools.benchmarks.cost.durations import Assumptions, Durations
from tools.benchmarks.cost.prices import Prices
from tools.benchmarks.cost.stack import COLD_START_CHOICES, Stack, read_stack
from tools.benchmarks.cost.traffic import Profile, scale_profile
from tools.benchmarks.cost.usage import Usage, count_usage

LEAST_FACTOR, MOST_FACTOR = 1e-3, 1e3
"""How much less and more traffic than the profile's a break-even is looked for in."""


@dataclass(frozen=True)
class Month:
    """A month's usage and its bill."""

    usage: Usage
    bill: Bill


@dataclass(frozen=True)
class Choice:
    """One of the choices of `ColdStart`.

    Attributes:
        name: as the parameter has it.
        dollars: a month, of everything.
        more: dollars than with `none`.
        cold_starts: requests a month that wait for an environment, of the functions that the choice is for.
        improved: of those that wait with `none`, how many do not wait, or not as long.
        pays_from: requests a month, from which on it is cheaper than `none`; None where it never is.
    """

    name: str
    dollars: float
    more: float
    cold_starts: float
    improved: float
    pays_from: float | None

    @property
    def break_even(self) -> float | None:
        """How many dollars an improved wait has to be worth, for the choice to pay."""
        return self.more / self.improved if self.improved >= 1 else None


@dataclass(frozen=True)
class Alternative:
    """One of two ways to set the stack up.

    Attributes:
        name: of it.
        dollars: a month, of what differs.
        per_million: dollars, of what differs, for a million of the requests that it is about.
    """

    name: str
    dollars: float
    per_million: float


class Calculator:
    """Counts months of one profile."""

    def __init__(
        self,
        profile: Profile,
        prices: Prices,
        durations: Durations,
        assumptions: Assumptions,
        parameters: Mapping[str, str],
        *,
        free_tier: bool = False,
        transfer: bool = False,
    ) -> None:
        """Prepare to count.

        Args:
            profile: of the traffic.
            prices: of the region.
            durations: of the functions.
            assumptions: for the rest.
            parameters: of the stack, over their defaults.
            free_tier: whether to leave out what AWS's free tier covers.
            transfer: whether to charge data transfer to the internet.
        """
        self.profile = profile
        self.prices = prices
        self.durations = durations
        self.assumptions = assumptions
        self.parameters = parameters
        self.free_tier = free_tier
        self.transfer = transfer
        self._stacks = {choice: read_stack({**parameters, "ColdStart": choice}) for choice in COLD_START_CHOICES}

    def count(
        self,
        stack: Stack | None = None,
        *,
        factor: float = 1,
        api: str = "http_api",
        gateway_refuses: bool = True,
    ) -> Month:
        """Count a month of a stack, by default of the one whose parameters were given."""
        chosen = stack or self._stacks[self.parameters.get("ColdStart", COLD_START_CHOICES[0])]
        usage = count_usage(
            chosen,
            scale_profile(self.profile, factor),
            self.durations,
            self.assumptions,
            api=api,
            gateway_refuses=gateway_refuses,
        )
        return Month(usage, make_bill(usage, self.prices, free_tier=self.free_tier, transfer=self.transfer))

    def compare_choices(self) -> list[Choice]:
        """Return all choices of `ColdStart`."""
        months = {name: self.count(stack) for name, stack in self._stacks.items()}
        routes = [route for route, entry in self._stacks["snapstart"].functions.items() if entry.takes_snapshots]
        waits = {name: sum(entry.usage.cold_starts.get(route, 0) for route in routes) for name, entry in months.items()}
        return [
            Choice(
                name=name,
                dollars=month.bill.total,
                more=month.bill.total - months["none"].bill.total,
                cold_starts=waits[name],
                # A restore is a wait too, but a shorter one.
                improved=waits["none"] - (0 if name == "snapstart" else waits[name]),
                pays_from=self._find_break_even(name),
            )
            for name, month in months.items()
        ]

    def _find_break_even(self, choice: str) -> float | None:
        """Return from how many requests a month on a choice is cheaper than `none`, or None where it never is."""
        if choice == "none":
            return None

        def find_difference(factor: float) -> float:
            ours, others = (self.count(self._stacks[name], factor=factor) for name in (choice, "none"))
            return ours.bill.total - others.bill.total

        factor = find_root(find_difference)
        return None if factor is None else factor * self.profile.count_served()

    def compare_apis(self) -> list[Alternative]:
        """Return what an HTTP API and a REST API would cost."""
        alternatives = []
        for name, api in (("HTTP API", "http_api"), ("REST API", "rest_api")):
            dollars = self.count(api=api).bill.sum_by(lambda line: line.service)["API Gateway"]
            requests = self.profile.count_served() + self.profile.count_refused()
            alternatives.append(Alternative(name, dollars, dollars / requests * 1e6))
        return alternatives

    def compare_architectures(self) -> list[Alternative]:
        """Return what Lambda costs on both architectures, were both as fast."""
        alternatives = []
        for architecture in ("arm64", "x86_64"):
            bill = self.count(read_stack({**self.parameters, "Architecture": architecture})).bill
            dollars = bill.sum_by(lambda line: line.service)["Lambda"]
            alternatives.append(Alternative(architecture, dollars, dollars / self.profile.count_served() * 1e6))
        return alternatives

    def compare_refusals(self) -> list[Alternative]:
        """Return what bad tokens and too many requests cost, refused by the gateway and by the functions."""
        alternatives = []
        requests = self.profile.count_refused()
        nothing = self._count_without_refusals().bill.total
        for name, gateway_refuses in (("by the gateway", True), ("by the functions", False)):
            dollars = self.count(gateway_refuses=gateway_refuses).bill.total - nothing
            alternatives.append(Alternative(name, dollars, dollars / requests * 1e6 if requests else 0.0))
        return alternatives

    def _count_without_refusals(self) -> Month:
        good = Profile(**{**vars(self.profile), "unauthorized": 0.0, "throttled": 0.0})
        stack = self._stacks[self.parameters.get("ColdStart", COLD_START_CHOICES[0])]
        usage = count_usage(stack, good, self.durations, self.assumptions)
        return Month(usage, make_bill(usage, self.prices, free_tier=self.free_tier, transfer=self.transfer))


def find_root(difference: Callable[[float], float]) -> float | None:
    """Return the factor at which a difference changes its sign; None where none of those that are tried is it."""
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
