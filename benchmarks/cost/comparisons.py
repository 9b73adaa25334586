"""The same month, had the stack been set up another way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.cost.bill import Bill, make_bill
from benchmarks.cost.durations import Assumptions, Durations
from benchmarks.cost.prices import Prices
from benchmarks.cost.stack import COLD_START_CHOICES, Stack, read_stack
from benchmarks.cost.traffic import Profile, scale_profile
from benchmarks.cost.usage import Usage, count_usage

LEAST_FACTOR, MOST_FACTOR = 1e-3, 100.0
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
        starting: seconds that such a request waits at least: what is computed, or the restore.
    """

    name: str
    dollars: float
    more: float
    cold_starts: float
    starting: float


@dataclass(frozen=True)
class BreakEven:
    """From which traffic on one choice is as cheap as another one.

    Attributes:
        choice: of `ColdStart`.
        against: another one.
        requests: a month, at which both cost the same; None where one is dearer at any traffic that was tried.
        cheaper_above: which of both is cheaper with more traffic, or at any.
    """

    choice: str
    against: str
    requests: float | None
    cheaper_above: str


@dataclass(frozen=True)
class Alternative:
    """One of two ways to set the stack up.

    Attributes:
        name: of it.
        dollars: a month, of what differs.
        per_million: dollars, of what differs, for a million requests.
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
        routes = [route for route, of in self._stacks["snapstart"].functions.items() if of.takes_snapshots]
        return [
            Choice(
                name,
                month.bill.total,
                month.bill.total - months["none"].bill.total,
                sum(month.usage.cold_starts.get(route, 0) for route in routes),
                self.assumptions.restore if name == "snapstart" else self.durations.operations["query"].start,
            )
            for name, month in months.items()
        ]

    def find_break_evens(self) -> Iterator[BreakEven]:
        """Return the break-even of each choice with `none`, and of the dearer ones with `snapstart`."""
        pairs = [("snapstart", "none"), ("provisioned", "none"), ("warm", "none")]
        pairs += [("warm", "snapstart"), ("provisioned", "snapstart")]
        for choice, against in pairs:

            def difference(factor: float, choice: str = choice, against: str = against) -> float:
                dearer, cheaper = (self.count(self._stacks[name], factor=factor) for name in (choice, against))
                return dearer.bill.total - cheaper.bill.total

            factor = find_root(difference)
            above = difference(factor * 2 if factor else MOST_FACTOR)
            requests = factor and sum(self.count(factor=factor).usage.requests.values())
            yield BreakEven(choice, against, requests, choice if above < 0 else against)

    def compare_apis(self) -> list[Alternative]:
        """Return what an HTTP API and a REST API would cost."""
        alternatives = []
        for name, api in (("HTTP API", "http_api"), ("REST API", "rest_api")):
            lines = [line for line in self.count(api=api).bill.lines if line.service == "API Gateway"]
            alternatives.append(self._make_alternative(name, sum(line.dollars for line in lines)))
        return alternatives

    def compare_architectures(self) -> list[Alternative]:
        """Return what Lambda costs on both architectures, were both as fast."""
        alternatives = []
        for architecture in ("arm64", "x86_64"):
            bill = self.count(read_stack({**self.parameters, "Architecture": architecture})).bill
            alternatives.append(self._make_alternative(architecture, bill.sum_by(lambda line: line.service)["Lambda"]))
        return alternatives

    def compare_refusals(self) -> list[Alternative]:
        """Return what bad tokens and too many requests cost, refused by the gateway and by the functions."""
        alternatives = []
        for name, gateway_refuses in (("by the gateway", True), ("by the functions", False)):
            total = self.count(gateway_refuses=gateway_refuses).bill.total
            nothing = self._without_refusals().bill.total
            alternatives.append(Alternative(name, total - nothing, _per_million(total - nothing, self.profile)))
        return alternatives

    def _without_refusals(self) -> Month:
        good = Profile(**{**vars(self.profile), "unauthorized": 0.0, "throttled": 0.0})
        stack = self._stacks[self.parameters.get("ColdStart", COLD_START_CHOICES[0])]
        usage = count_usage(stack, good, self.durations, self.assumptions)
        return Month(usage, make_bill(usage, self.prices, free_tier=self.free_tier, transfer=self.transfer))

    def _make_alternative(self, name: str, dollars: float) -> Alternative:
        return Alternative(name, dollars, dollars / self.profile.count_served() * 1e6)


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


def _per_million(dollars: float, profile: Profile) -> float:
    refused = profile.count_refused()
    return dollars / refused * 1e6 if refused else 0.0
