"""A month's metered usage for a traffic profile, by route."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.benchmarks.cost.cold_starts import make_demand
from tools.benchmarks.cost.durations import Assumptions, Duration, Durations
from tools.benchmarks.cost.formulas import (
    MEGABYTES_PER_GIGABYTE,
    count_billed_seconds,
    count_gigabyte_seconds,
    count_metered_requests,
    count_provisioned_seconds,
    count_read_units,
    count_snapshot_seconds,
    count_traces,
    count_write_units,
    scale_to_memory,
)
from tools.benchmarks.cost.records import RECORDS, count_records
from tools.benchmarks.cost.stack import Function, Stack
from tools.benchmarks.cost.traffic import DAYS, HOURS_OF_A_MONTH, Profile, RouteTraffic
from tools.benchmarks.machine import BenchmarkError

REFUSED = "refused by the gateway"
STANDING = "whatever the traffic"
WEEKS = HOURS_OF_A_MONTH / 168
GIGABYTE = 1024**3


@dataclass
class Usage:
    """A month's quantities.

    Attributes:
        quantities: quantities by meter and by route, `REFUSED` or `STANDING`.
        cold_starts: cold starts by route, including restored snapshots.
        requests: requests that reach a function, by route.
    """

    quantities: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    cold_starts: dict[str, float] = field(default_factory=dict)
    requests: dict[str, float] = field(default_factory=dict)

    def add(self, meter: str, route: str, quantity: float) -> None:
        self.quantities[meter, route] += quantity


def count_usage(
    stack: Stack,
    profile: Profile,
    durations: Durations,
    assumptions: Assumptions,
    *,
    api: str = "http_api",
    gateway_refuses: bool = True,
) -> Usage:
    """Return a month's usage.

    Args:
        stack: the stack.
        profile: its traffic.
        durations: its functions' durations.
        assumptions: everything else.
        api: `http_api` or `rest_api`.
        gateway_refuses: whether the gateway rejects bad tokens and excess requests before a function sees them.

    Raises:
        BenchmarkError: the profile has a route that the stack does not have.
    """
    usage = Usage()
    for route, traffic in profile.routes.items():
        if route not in stack.functions or route not in assumptions.operations:
            known = ", ".join(stack.functions)
            raise BenchmarkError(
                f"The profile {profile.name} has a route {route}. The template, or [operations] in assumptions.toml, "
                f"does not; the template has {known}."
            )
        function, operation = stack.functions[route], assumptions.operations[route]
        _Route(usage, route, function, traffic, profile, assumptions).count(durations.operations[operation], operation)
        increment = count_metered_requests(traffic.request_bytes + traffic.response_bytes) if api == "http_api" else 1
        usage.add(f"{api}.requests", route, usage.requests[route] * increment)
    count_records(usage, stack, profile, assumptions)
    _count_refused(usage, stack, profile, assumptions, api, gateway_refuses=gateway_refuses)
    _count_standing(usage, stack, profile, assumptions)
    return usage


@dataclass(frozen=True)
class _Route:
    """Adds one route's usage."""

    usage: Usage
    route: str
    function: Function
    traffic: RouteTraffic
    profile: Profile
    assumptions: Assumptions

    def count(self, duration: Duration, operation: str) -> None:
        requests = self.traffic.count_month()
        self.usage.requests[self.route] = requests
        self.usage.add("lambda.requests", self.route, requests)
        self._count_time(duration, operation)
        self._count_table(requests, operation)
        self._count_telemetry(requests)
        bodies = requests * (self.traffic.response_bytes - self.traffic.not_modified * self._body_bytes())
        self.usage.add("transfer", self.route, bodies / GIGABYTE)

    def _body_bytes(self) -> int:
        """Return the bytes that a response without a body saves; headers take about 250."""
        return max(0, self.traffic.response_bytes - 250)

    def _count_time(self, duration: Duration, operation: str) -> None:
        function, assumptions, add = self.function, self.assumptions, self.usage.add
        valid = 1 - self.traffic.invalid
        # A creation with a key claims the key first.
        calls = valid * (1 + (self.traffic.idempotent if operation == "create" else 0))
        warm = count_billed_seconds(scale_to_memory(duration.warm, calls * assumptions.table_wait, function.memory))
        start = assumptions.restore if function.takes_snapshots else scale_to_memory(duration.start, 0, function.memory)
        memory = function.memory / MEGABYTES_PER_GIGABYTE
        cold_starts, before = 0.0, 0
        for day in DAYS:
            for hour in range(24):
                rate = self.traffic.count_requests(day, hour) / 3600
                demand = make_demand(rate, self.profile.burst, warm, assumptions.idle)
                environments = demand.environments
                provisioned = self._count_provisioned(day, hour, environments)
                cold_starts += demand.count_cold_starts(
                    before=before, kept=provisioned or function.kept_warm, lifetime_seconds=assumptions.lifetime
                )
                before = environments
                if provisioned:
                    # The average counts, because bursts are short.
                    share = make_demand(rate, 1, warm, assumptions.idle).find_share(provisioned)
                    standing = provisioned * memory * count_provisioned_seconds(3600) * WEEKS
                    add(f"lambda.provisioned.{function.architecture}", self.route, standing)
                else:
                    share = 0.0
                used = count_gigabyte_seconds(rate * 3600 * WEEKS, warm, function.memory)
                add(f"lambda.provisioned_duration.{function.architecture}", self.route, used * share)
                add(f"lambda.duration.{function.architecture}", self.route, used * (1 - share))
                if function.traced:
                    add("traces", self.route, count_traces(rate) * 3600 * WEEKS)
        cold_starts *= WEEKS
        self.usage.cold_starts[self.route] = cold_starts
        starting = count_gigabyte_seconds(cold_starts, count_billed_seconds(start), function.memory)
        add(f"lambda.duration.{function.architecture}", self.route, starting)
        if function.takes_snapshots:
            # Each version replaces the previous one, so one snapshot is cached all the time.
            standing = count_snapshot_seconds(HOURS_OF_A_MONTH * 3600 / assumptions.versions) * assumptions.versions
            add("lambda.snapshot_cache", self.route, memory * standing)
            add("lambda.snapshot_restore", self.route, memory * cold_starts)

    def _count_provisioned(self, day: str, hour: int, environments: int) -> int:
        """Return the provisioned environments in an hour, with target tracking."""
        provisioned = self.function.provisioned
        if provisioned is None or (day, hour) not in provisioned.hours:
            return 0
        return max(provisioned.least, min(provisioned.most, math.ceil((environments - 1) / provisioned.target)))

    def _count_table(self, requests: float, operation: str) -> None:
        size = self.profile.item_bytes
        valid = requests * (1 - self.traffic.invalid)
        if operation not in ("query", "get"):
            self.usage.add("dynamodb.writes", self.route, valid * self.assumptions.index_writes)
        match operation:
            case "query":
                # One more than the page, which tells whether another page follows.
                units = count_read_units((self.traffic.items + 1) * size, consistent=True)
                self.usage.add("dynamodb.reads", self.route, valid * units)
            case "get":
                self.usage.add("dynamodb.reads", self.route, valid * count_read_units(size, consistent=True))
            case "create":
                # With a key: a claim, and a transaction that writes the resource and the key's own item.
                plain, key = count_write_units(size), self.assumptions.idempotency_item
                in_transaction = (count_write_units(entry, transactional=True) for entry in (size, key))
                keyed = count_write_units(key) + sum(in_transaction)
                share = self.traffic.idempotent
                self.usage.add("dynamodb.writes", self.route, valid * (plain * (1 - share) + keyed * share))
            case _:
                self.usage.add("dynamodb.writes", self.route, valid * count_write_units(size))

    def _count_telemetry(self, requests: float) -> None:
        self.usage.add("logs.ingested", self.route, requests * self.assumptions.function_log / GIGABYTE)


def _count_refused(
    usage: Usage, stack: Stack, profile: Profile, assumptions: Assumptions, api: str, *, gateway_refuses: bool
) -> None:
    refused = profile.count_refused()
    if assumptions.refused_are_charged or not gateway_refuses:
        usage.add(f"{api}.requests", REFUSED, refused)
    if not gateway_refuses:
        function = next(iter(stack.functions.values()))
        seconds = count_billed_seconds(scale_to_memory(assumptions.refusal, 0, function.memory))
        usage.add("lambda.requests", REFUSED, refused)
        used = count_gigabyte_seconds(refused, seconds, function.memory)
        usage.add(f"lambda.duration.{function.architecture}", REFUSED, used)
        usage.add("logs.ingested", REFUSED, refused * assumptions.function_log / GIGABYTE)
        if function.traced:
            # The first request of each second is already counted.
            usage.add("traces", REFUSED, refused * 0.05)
    if stack.access_log:
        for route, requests in {**usage.requests, REFUSED: refused}.items():
            usage.add("logs.ingested", route, requests * assumptions.access_log / GIGABYTE)


def _count_standing(usage: Usage, stack: Stack, profile: Profile, assumptions: Assumptions) -> None:
    for route, traffic in profile.routes.items():
        metrics = assumptions.metrics_of_function + (assumptions.metrics_of_route if stack.detailed_metrics else 0)
        usage.add("metrics", route, metrics * _count_share_of_hours(traffic))
        if stack.uses_kms:
            usage.add("kms.requests", route, _count_key_requests(traffic))
    of_service = assumptions.metrics_of_service + stack.filtered_metrics
    usage.add("metrics", STANDING, of_service * _count_share_of_hours(*profile.routes.values()))
    # The age of events; failed entries are an exception.
    usage.add("metrics", RECORDS, _count_share_of_hours(*profile.routes.values()))
    stored = profile.stored_items * (profile.item_bytes + assumptions.item_overhead) / GIGABYTE
    usage.add("dynamodb.storage", STANDING, stored)
    if stack.recovers:
        usage.add("dynamodb.recovery", STANDING, stored)
    if stack.has_users:
        usage.add("users", STANDING, profile.users)
    if stack.token_minutes:
        # A process keeps its token until shortly before it expires, and then reads the secret for the next.
        tokens = profile.machine_hours * 60 / (stack.token_minutes - assumptions.renew_before / 60)
        usage.add("machine_tokens", STANDING, tokens)
        usage.add("secrets.calls", STANDING, tokens)
    count_idle(stack, assumptions, usage)
    kept = stack.retention_days / (HOURS_OF_A_MONTH / 24) * assumptions.log_compression
    for (meter, route), quantity in list(usage.quantities.items()):
        if meter == "logs.ingested":
            usage.add("logs.stored", route, quantity * kept)


def count_idle(stack: Stack, assumptions: Assumptions, usage: Usage | None = None) -> Usage:
    """Add, or return, a month's usage of a stack that nobody calls."""
    usage = usage or Usage()
    usage.add("secrets", STANDING, stack.secrets)
    if stack.rotations:
        rotations = stack.rotations * HOURS_OF_A_MONTH / 24
        usage.add("secrets.calls", STANDING, rotations * assumptions.calls_of_rotation)
        usage.add("machine_tokens", STANDING, rotations)
    usage.add("alarms", STANDING, stack.alarm_metrics + stack.policies * assumptions.alarms_of_policy)
    usage.add("query_alarms", STANDING, stack.queried_metrics)
    usage.add("composite_alarms", STANDING, stack.composite_alarms)
    usage.add("dashboards", STANDING, stack.dashboards)
    usage.add("sns.publishes", STANDING, assumptions.notifications)
    usage.add("sns.emails", STANDING, assumptions.notifications)
    # A message is sent, received and deleted.
    usage.add("sqs.requests", STANDING, 3 * assumptions.dead_letters)
    polls = assumptions.polls_of_queue * 60 * HOURS_OF_A_MONTH
    usage.add("sqs.requests", STANDING, stack.queue_functions * polls)
    if stack.warming:
        _count_warming(usage, stack, assumptions)
    return usage


def _count_key_requests(traffic: RouteTraffic) -> float:
    """Return a month's requests to KMS: DynamoDB asks for a caller's key after five minutes without a request.

    This counts one in each five minutes with requests, which is the most it can be.

    Source: "DynamoDB encryption at rest: How it works", Amazon DynamoDB Developer Guide.
    """
    rates = [traffic.count_requests(day, hour) / 12 for day in DAYS for hour in range(24)]
    return sum(12 * (1 - math.exp(-rate)) for rate in rates) * WEEKS


def _count_share_of_hours(*routes: RouteTraffic) -> float:
    """Return the share of hours in which a route has requests; a metric is charged for these only."""
    requests = [sum(route.count_requests(day, hour) for route in routes) for day in DAYS for hour in range(24)]
    return sum(1 - math.exp(-entry) for entry in requests) * WEEKS / HOURS_OF_A_MONTH


def _count_warming(usage: Usage, stack: Stack, assumptions: Assumptions) -> None:
    assert stack.warming
    times = HOURS_OF_A_MONTH * 60 / stack.warming.minutes
    usage.add("scheduler", STANDING, times)
    usage.add("lambda.requests", STANDING, times)
    architecture = next(iter(stack.functions.values())).architecture
    warming = count_gigabyte_seconds(times, count_billed_seconds(assumptions.warming), stack.warming.memory)
    usage.add(f"lambda.duration.{architecture}", STANDING, warming)
    usage.add("logs.ingested", STANDING, times * assumptions.function_log / GIGABYTE)
    usage.add("traces", STANDING, times)  # including the warmed functions' segments
    for function in stack.functions.values():
        answers = times * function.kept_warm * assumptions.warm_rounds
        usage.add("lambda.requests", STANDING, answers)
        used = count_gigabyte_seconds(answers, count_billed_seconds(assumptions.warm_answer), function.memory)
        usage.add(f"lambda.duration.{function.architecture}", STANDING, used)
        usage.add("logs.ingested", STANDING, answers * assumptions.function_log / 2 / GIGABYTE)


def sum_by_meter(usage: Usage) -> Mapping[str, float]:
    """Return a month's quantities by meter."""
    totals: defaultdict[str, float] = defaultdict(float)
    for (meter, _), quantity in usage.quantities.items():
        totals[meter] += quantity
    return totals
