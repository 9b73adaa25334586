"""`make cost`: its formulas and prices against the examples that AWS's own price pages calculate.

The price files name the pages. Their examples are for US East (N. Virginia).
"""

import json
import math
import random
import re
import tomllib
from bisect import bisect_right
from dataclasses import replace
from datetime import date

import pytest

from tests.support.gateway import ENVIRONMENT
from tests.support.metric_references import list_references
from tests.support.permissions import translate_stack
from tests.support.programs import run_tool
from tests.support.stack import list_routes
from tests.support.templates import write_variant
from tools.benchmarks.cost.bill import make_bill
from tools.benchmarks.cost.cold_starts import make_demand
from tools.benchmarks.cost.comparisons import Calculator, find_root
from tools.benchmarks.cost.durations import Duration, Durations, load_assumptions
from tools.benchmarks.cost.formulas import (
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
from tools.benchmarks.cost.internal import count_hits, estimate_savings
from tools.benchmarks.cost.prices import DIRECTORY, load_prices
from tools.benchmarks.cost.records import RECORDS, compare_write_units, count_export
from tools.benchmarks.cost.search import estimate_search
from tools.benchmarks.cost.stack import COLD_START_CHOICES, _count_metrics, _count_queries, read_stack
from tools.benchmarks.cost.traffic import load_profile
from tools.benchmarks.cost.usage import Usage, count_usage, sum_by_meter
from tools.benchmarks.machine import ROOT, BenchmarkError
from tools.benchmarks.tune.measurements import Size, Terms, recommend
from tools.benchmarks.tune.power_tuning import list_fixtures, make_input

pytestmark = pytest.mark.slow
ALARM = "AWS::CloudWatch::Alarm"
PRICES = load_prices("us-east-1")
PROFILES = sorted((ROOT / "tools/benchmarks/traffic").glob("*.toml"))
DURATIONS = Durations({name: Duration(0.002, 0.15) for name in ("query", "get", "create", "update", "delete")}, "test")


# Each is a worked example of AWS's: what it uses, whether it subtracts the free tier, and dollars by meter.
EXAMPLES = {
    "Lambda, example 1, mobile application backend: 3 million requests of 120 ms with 1536 MB": (
        {
            "lambda.duration.x86_64": count_gigabyte_seconds(3e6, count_billed_seconds(0.120), 1536),
            "lambda.requests": 3e6,
        },
        True,
        {"lambda.duration.x86_64": 2.33, "lambda.requests": 0.40},
    ),
    "Lambda, example 2, streaming telemetry: 7.44 million requests of 2 s with 1 GB": (
        {
            "lambda.requests": 7.44e6,
            "lambda.duration.x86_64": count_gigabyte_seconds(7.44e6, count_billed_seconds(2), 1024),
        },
        False,
        {"lambda.requests": 1.49, "lambda.duration.x86_64": 248.00},
    ),
    "Lambda, provisioned concurrency, example 1: 100 environments of 1536 MB for 8 hours": (
        {
            "lambda.provisioned.x86_64": 100 * 1536 / 1024 * count_provisioned_seconds(8 * 3600),
            "lambda.requests": 3e6,
            "lambda.provisioned_duration.x86_64": count_gigabyte_seconds(5e5, 0.1, 1536),
            "lambda.duration.x86_64": count_gigabyte_seconds(2.5e6, 0.12, 1536),
        },
        True,
        {
            "lambda.provisioned.x86_64": 18.00,
            "lambda.requests": 0.40,
            "lambda.provisioned_duration.x86_64": 0.73,
            "lambda.duration.x86_64": 0.83,
        },
    ),
    "Lambda, provisioned concurrency, example 2: 7 environments of 4 GB for a day, 2 million requests of 280 ms": (
        {
            "lambda.provisioned.x86_64": 7 * 4 * count_provisioned_seconds(24 * 3600),
            "lambda.provisioned_duration.x86_64": count_gigabyte_seconds(2e6, 0.28, 4096),
            "lambda.requests": 2e6,
        },
        False,
        {"lambda.provisioned.x86_64": 10.08, "lambda.provisioned_duration.x86_64": 21.78, "lambda.requests": 0.40},
    ),
    "Lambda, SnapStart: a version of 1 GB that is active for 31 days, restored for 1 % of 7.44 million requests": (
        {"lambda.snapshot_cache": count_snapshot_seconds(31 * 24 * 3600), "lambda.snapshot_restore": 74_400},
        False,
        {"lambda.snapshot_cache": 4.03, "lambda.snapshot_restore": 10.40},
    ),
    "API Gateway, HTTP API: 300 million requests at $1.00 and 132 million at $0.90": (
        {"http_api.requests": 432e6},
        False,
        {"http_api.requests": 418.80},
    ),
    "API Gateway, REST API: 5 million requests": ({"rest_api.requests": 5e6}, False, {"rest_api.requests": 17.50}),
    "DynamoDB, on demand: 3.55 million writes and strongly consistent reads of up to 1 KB": (
        {
            "dynamodb.writes": 3.55e6 * count_write_units(1024),
            "dynamodb.reads": 3.55e6 * count_read_units(1024, consistent=True),
        },
        False,
        {"dynamodb.writes": 2.22, "dynamodb.reads": 0.44},
    ),
    "DynamoDB, storage: the first 25 GB are free, then $0.25": (
        {"dynamodb.storage": 27},
        True,
        {"dynamodb.storage": 0.50},
    ),
    "X-Ray, example 1: 2,000 requests an hour for 31 days, of which 10 % are sampled": (
        {"traces": 2000 * 24 * 31 * 0.1},
        True,
        {"traces": 0.24},
    ),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_worked_example(example):
    quantities, free_tier, dollars = example
    charged = {meter: PRICES.charge(meter, quantity, free_tier=free_tier) for meter, quantity in quantities.items()}
    assert charged == pytest.approx(dollars, abs=0.0051)


def test_the_price_files_say_which_prices_a_worked_example_holds():
    assert {name for name, meter in PRICES.meters.items() if meter.example} == {
        meter for quantities, _, _ in EXAMPLES.values() for meter in quantities
    }


@pytest.mark.parametrize("region", sorted(path.stem for path in DIRECTORY.glob("*.toml")))
def test_every_price_has_a_source_and_a_date(region):
    prices = load_prices(region)
    assert {meter.service for meter in prices.meters.values()} == prices.sources.keys()
    assert all(address.startswith("https://aws.amazon.com/") for address in prices.sources.values())
    date.fromisoformat(prices.dated)


def test_a_snapshot_is_charged_for_three_hours_at_least():
    assert count_snapshot_seconds(60) == 3 * 3600


def test_provisioned_concurrency_is_rounded_up_to_five_minutes():
    assert [count_provisioned_seconds(entry) for entry in (1, 300, 301)] == [300, 300, 600]


@pytest.mark.parametrize(("seconds", "billed"), [(0.12, 0.12), (0.0001, 0.001), (0.0121, 0.013), (2, 2)])
def test_duration_is_rounded_up_to_a_millisecond(seconds, billed):
    assert count_billed_seconds(seconds) == billed


def test_http_api_is_metered_in_increments_of_512_kb():
    """«a request with 513 KB of data is metered as two requests»."""
    assert [count_metered_requests(kilobytes * 1024) for kilobytes in (0, 1, 512, 513)] == [1, 1, 1, 2]


def test_read_and_write_units():
    """«Key terms» of the page: reads of 8 KB, and writes of 1 KB and 3 KB."""
    eight = 8 * 1024
    assert count_read_units(eight, consistent=True) == 2
    assert count_read_units(eight, consistent=False) == 1
    assert count_read_units(eight, consistent=True, transactional=True) == 4
    assert [count_write_units(size * 1024) for size in (1, 3)] == [1, 3]
    assert count_write_units(3 * 1024, transactional=True) == 6


# --- what AWS has no example of


def test_half_the_memory_doubles_what_is_computed_and_not_what_is_waited_for():
    assert scale_to_memory(0.01, 0.005, 1769) == pytest.approx(0.015)
    assert scale_to_memory(0.01, 0.005, 1769 // 2) == pytest.approx(0.025, rel=1e-3)
    assert scale_to_memory(0.01, 0.005, 10_240) == pytest.approx(0.015)


def test_traces_are_nearly_all_where_requests_are_rare_and_one_in_twenty_where_they_are_many():
    assert count_traces(0.001) == pytest.approx(0.001, rel=1e-3)
    assert count_traces(1000) == pytest.approx(1 + 0.05 * 999, rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "seconds", "hours"),
    [(0.001, 0.02, 60), (0.01, 0.02, 60), (0.1, 0.2, 60), (2, 0.05, 60), (20, 0.1, 10)],
)
def test_cold_starts_are_those_of_a_simulated_function(rate, seconds, hours):
    """Within a factor of two of a simulation, request by request, of environments that are kept 420 s without work."""
    idle = 420
    demand = make_demand(rate, 1, seconds, idle)
    expected = demand.count_cold_starts(before=demand.environments, kept=0, lifetime_seconds=math.inf)
    colds, most = simulate(rate, seconds, idle, hours)
    assert abs(most - demand.environments) <= 3
    assert expected / 2 - 0.2 <= colds / hours <= expected * 2 + 0.2


def test_no_request_waits_where_enough_environments_are_kept():
    demand = make_demand(2, 1, 0.05, 420)
    assert demand.count_cold_starts(before=0, kept=len(demand.rates), lifetime_seconds=7200) == 0


def test_provisioned_environments_do_the_work_that_fits_them():
    """Of five that are busy on average, ten do nearly all; of a hundred, ten are always busy."""
    assert make_demand(50, 1, 0.1, 420).find_share(10) == pytest.approx(0.99, abs=0.01)
    assert make_demand(1000, 1, 0.1, 420).find_share(10) == pytest.approx(0.10, abs=0.001)
    assert make_demand(0.01, 1, 0.1, 420).find_share(2) == 1


def simulate(rate, seconds, idle, hours):
    """Cold starts, and the most environments at once; a request takes the environment that was used last."""
    generator = random.Random(5)
    # In order, because every request takes the same time.
    free_at: list[float] = []
    now, colds, most = 0.0, 0, 0
    while now < hours * 3600:
        now += generator.expovariate(rate)
        while free_at and now - free_at[0] >= idle:
            free_at.pop(0)
        if ready := bisect_right(free_at, now):
            free_at.pop(ready - 1)
        else:
            colds += 1
        free_at.append(now + seconds)
        most = max(most, len(free_at))
    return colds, most


def test_the_factor_at_which_two_costs_are_equal_is_found():
    assert find_root(lambda factor: factor - 7) == pytest.approx(7, rel=0.01)
    assert find_root(lambda factor: factor + 7) is None


def test_every_choice_of_cold_start_is_read_from_the_template():
    stacks = {choice: read_stack({"ColdStart": choice}) for choice in COLD_START_CHOICES}
    lists = {choice: stack.functions["GET /api/v1/resources"] for choice, stack in stacks.items()}
    assert [choice for choice, entry in lists.items() if entry.takes_snapshots] == ["snapstart"]
    assert [choice for choice, entry in lists.items() if entry.provisioned] == ["provisioned"]
    assert [choice for choice, entry in lists.items() if entry.kept_warm] == ["warm"]
    assert [choice for choice, entry in stacks.items() if entry.warming] == ["warm"]
    assert lists["none"].architecture == "arm64"


def test_alarms_are_charged_by_the_metrics_that_they_watch():
    """Amazon CloudWatch pricing, "Alarms": a Metrics Insights query alarm is charged for each metric it analyzes."""
    stack = read_stack({})
    alarms = [entry.properties for entry in translate_stack(LogLevel="INFO").resources.values() if entry.type == ALARM]
    queries = [alarm for alarm in alarms if "SELECT" in json.dumps(alarm)]
    assert len(queries) == 1
    assert (_count_metrics(queries[0]), _count_queries(queries[0])) == (0, 1)
    wide = [alarm for alarm in alarms if len(alarm.get("Metrics", ())) > 3]
    assert wide
    for alarm in wide:
        assert _count_metrics(alarm) == sum("MetricStat" in metric for metric in alarm["Metrics"])
    assert stack.alarm_metrics == sum(map(_count_metrics, alarms)) > len(alarms)
    assert stack.queried_metrics == len(stack.functions)
    assert stack.filtered_metrics == 1


def test_provisioned_concurrency_stands_in_business_hours_alone():
    hours = {"BusinessDays": '"MON,WED"', "BusinessHoursStart": "22", "BusinessHoursEnd": "2"}
    with write_variant(**hours) as template:
        provisioned = read_stack({"ColdStart": "provisioned"}, template).functions["GET /api/v1/resources"].provisioned
    nights = {("MON", 22), ("MON", 23), ("TUE", 0), ("TUE", 1), ("WED", 22), ("WED", 23), ("THU", 0), ("THU", 1)}
    assert provisioned
    assert provisioned.hours == nights
    assert (provisioned.least, provisioned.most, provisioned.target) == (2, 10, 0.7)


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("region", sorted(path.stem for path in DIRECTORY.glob("*.toml")))
def test_routes_and_services_add_up_to_the_bill(file, region):
    usage = count_usage(read_stack({}), load_profile(file), DURATIONS, load_assumptions())
    bill = make_bill(usage, load_prices(region))
    assert sum(bill.sum_by(lambda line: line.service).values()) == pytest.approx(bill.total)
    assert sum(bill.sum_by(lambda line: line.route).values()) == pytest.approx(bill.total)
    # A stack without search embeds nothing.
    assert {line.service for line in bill.lines} == load_prices(region).sources.keys() - {"Bedrock"}
    assert not [line for line in bill.lines if "vector" in line.item]
    assert 0 < bill.total < make_bill(usage, load_prices(region), free_tier=False).total


def test_refusing_at_the_gateway_is_cheaper():
    stack, profile = read_stack({}), load_profile(ROOT / "tools/benchmarks/traffic/consumer_app.toml")
    totals = [
        make_bill(count_usage(stack, profile, DURATIONS, load_assumptions(), gateway_refuses=refuses), PRICES).total
        for refuses in (True, False)
    ]
    assert totals[0] < totals[1]


def test_busy_provisioned_concurrency_is_cheaper_than_duration_on_demand_from_60_percent_on():
    standing = PRICES.charge("lambda.provisioned.arm64", 1)
    spared = PRICES.charge("lambda.duration.arm64", 1) - PRICES.charge("lambda.provisioned_duration.arm64", 1)
    assert standing / spared == pytest.approx(0.6, rel=1e-3)


def count_lines(parameters=(), **changes):
    """Return a month's dollars by item of the product for offices, with changes to its profile."""
    profile = replace(load_profile(ROOT / "tools/benchmarks/traffic/business_hours.toml"), **changes)
    usage = count_usage(read_stack(dict(parameters)), profile, DURATIONS, load_assumptions())
    return make_bill(usage, PRICES).sum_by(lambda line: line.item)


def test_users_cost_nothing_up_to_ten_thousand():
    assert count_lines(users=10_000)["active users (Essentials)"] == 0
    assert count_lines(users=10_100)["active users (Essentials)"] == pytest.approx(1.50)


def test_a_process_takes_a_token_shortly_before_the_last_one_expires():
    """730 hours with tokens of 15 minutes, renewed 30 s early, and one token in each rotation of 30 days."""
    tokens = 730 * 60 / 14.5 + 730 / 24 / 30
    assert count_lines(machine_hours=730)["machine tokens"] == pytest.approx(tokens * 0.00225)
    external = {"Issuer": "https://issuer.example.com/", "Audience": "api"}
    assert "machine tokens" not in count_lines(external, machine_hours=730)


def test_shorter_tokens_cost_more():
    with write_variant(MachineTokenMinutes="60") as template:
        assert read_stack({}, template).token_minutes == 60
    assert read_stack({}).token_minutes == 15


def test_kms_is_asked_once_in_five_minutes_for_each_function_at_most():
    profile = load_profile(ROOT / "tools/benchmarks/traffic/consumer_app.toml")
    requests = sum_by_meter(count_usage(read_stack({}), profile, DURATIONS, load_assumptions()))["kms.requests"]
    assert requests == pytest.approx(5 * 12 * 730, rel=0.01)


def test_a_stack_that_keeps_its_logs_longer_pays_for_it():
    profile = load_profile(PROFILES[0])
    kept = []
    for days in ("30", "365"):
        with write_variant(LogRetentionDays=days) as template:
            usage = count_usage(read_stack({}, template), profile, DURATIONS, load_assumptions())
        kept.append(sum_by_meter(usage)["logs.stored"])
    assert kept[1] == pytest.approx(kept[0] * 365 / 30)


@pytest.mark.parametrize(
    ("size", "units"),
    [
        (600, {"create": (1, 4), "update": (1, 4), "delete": (1, 5)}),
        (1060, {"create": (1, 5), "update": (1, 5), "delete": (1, 6)}),
    ],
)
def test_each_change_takes_index_writes_and_an_entry_and_a_deletion_the_end_of_its_mark(size, units):
    compared = compare_write_units(size, load_assumptions())
    assert {operation: (entry.before, entry.after) for operation, entry in compared.items()} == units


def test_a_change_is_an_event_a_message_and_an_entry():
    """Nothing that only reads adds to them."""
    profile = load_profile(ROOT / "tools/benchmarks/traffic/business_hours.toml")
    stack, assumptions = read_stack({}), load_assumptions()
    usage = count_usage(stack, profile, DURATIONS, assumptions)
    writes = [route for route in profile.routes if assumptions.operations[route] in ("create", "update", "delete")]
    changes = sum(profile.routes[route].count_month() * (1 - profile.routes[route].invalid) for route in writes)
    deletes = profile.routes["DELETE /api/v1/resources/{id}"].count_month()
    assert usage.quantities["eventbridge.events", RECORDS] == pytest.approx(changes)
    assert usage.quantities["dynamodb.writes", RECORDS] == pytest.approx(changes + deletes)
    assert changes < usage.quantities["sqs.requests", RECORDS] <= 3 * changes
    reading = replace(profile, routes={route: entry for route, entry in profile.routes.items() if route not in writes})
    usage = count_usage(stack, reading, DURATIONS, assumptions)
    assert not usage.quantities["eventbridge.events", RECORDS]
    assert not usage.quantities["lambda.requests", RECORDS]


def test_the_stack_has_two_functions_behind_its_stream_and_keeps_the_trail():
    stack = read_stack({})
    assert (stack.stream_functions, stack.audit_days) == (2, 30)
    assert stack.queue_functions >= 1


def test_an_export_is_streamed_in_responses_that_end_where_the_function_ends_them():
    assumptions, profile = load_assumptions(), load_profile(PROFILES[0])
    (limit,) = re.findall(
        r"^MAX_BYTES = ([\d_]+)$", (ROOT / "functions/export_data/export.py").read_text(), re.MULTILINE
    )
    assert assumptions.export_response == int(limit)
    usage = Usage()
    items = math.ceil(2.5 * int(limit) / (profile.item_bytes + assumptions.audit_entry))
    count_export(usage, read_stack({}), profile, assumptions, items)
    used = sum_by_meter(usage)
    # Responses of 202, 202 and 101 MB.
    assert used["lambda.requests"] == 3
    assert used["rest_api.requests"] == 20 + 20 + 10
    assert used["lambda.streamed"] * 1024**3 == pytest.approx(2.5 * int(limit) - 3 * 6 * 1024**2, abs=2_000)
    assert used["dynamodb.reads"] == pytest.approx(2.5 * int(limit) / 4096, abs=3)
    seconds = used["lambda.streamed"] * 1024 / 2
    assert sum(value for name, value in used.items() if name.startswith("lambda.duration")) == pytest.approx(
        count_gigabyte_seconds(1, seconds, 1769), rel=0.001
    )


def test_items_and_entries_have_the_sizes_that_are_assumed():
    """Their JSON is somewhat longer than DynamoDB's own form («Item sizes and formats»)."""
    assumptions = load_assumptions()
    writer = {"door": "api", "request": "CnlbBdRDtDq5Uts=", "at": 1795694861000}
    assert len("writer" + json.dumps(writer)) == pytest.approx(assumptions.writer_attribute, rel=0.3)


def test_each_stage_costs_something_without_a_caller():
    calculator = Calculator(load_profile(PROFILES[0]), PRICES, DURATIONS, load_assumptions(), {})
    for standing in calculator.compare_stages():
        assert standing.dollars > 3 + 0.40, "the dashboard and the secret"
    assert calculator.count().bill.total == calculator.count(read_stack({"Stage": "prod"})).bill.total


def test_a_cache_answers_what_arrives_again_within_its_time():
    """Simulated: an entry begins with a request that it can't answer, and ends after its time."""
    profile = load_profile(ROOT / "tools/benchmarks/traffic/consumer_app.toml")
    busy = replace(profile, users=400)
    calculator = Calculator(busy, PRICES, DURATIONS, load_assumptions(), {})
    route = busy.routes["GET /api/v1/resources"]
    chance, hits, requests = random.Random(1), 0, 0
    for day in ("MON", "SAT"):
        for hour in range(24):
            now = expires = 0.0
            while (now := now + chance.expovariate(route.count_requests(day, hour) / busy.users / 3600)) < 8 * 3600:
                # Weighted as the days of a week.
                weight = 5 if day == "MON" else 2
                requests += weight
                hits += weight if now < expires else 0
                expires = expires if now < expires else now + calculator.stack.page_cache
    assert calculator.stack.page_cache == 15
    assert count_hits(calculator, route) / route.count_month() == pytest.approx(hits / requests, rel=0.03)


def test_the_internal_apis_gateway_saves_what_bad_bodies_cost_and_its_cache_seldom_pays():
    for file in PROFILES:
        savings = estimate_savings(Calculator(load_profile(file), PRICES, DURATIONS, load_assumptions(), {}))
        assert 0 < savings.rejected < savings.invalid * 2e-6
        assert savings.hits < 0.05
        assert savings.saved < savings.cache == pytest.approx(14.6)


def test_search_costs_a_share_of_each_change_and_cents_at_rest():
    for file in PROFILES:
        calculator = Calculator(load_profile(file), PRICES, DURATIONS, load_assumptions(), {})
        cost = estimate_search(calculator)
        # 60 tokens of $0.02 a million, for each change.
        assert cost.model == pytest.approx(cost.changes * 1.2e-6)
        assert 0 < cost.vectors < cost.changes * 2e-5
        assert 0 < cost.standing < 1
        # A million times 1,000 KB, of $0.002 a GB, and the rest.
        assert 1.9 < cost.searches < 10


def test_the_dashboard_shows_more_metrics_than_a_free_one():
    """Amazon CloudWatch pricing, "Free tier": three dashboards of up to 50 metrics each."""
    stack = translate_stack()
    shown = [entry for entry in list_references(stack) if entry.place not in stack.resources]
    found = [len(stack.functions) if None in entry.dimensions.values() else 1 for entry in shown]
    assert sum(found) > 50
    assert PRICES.meters["dashboards"].free == 0


def test_the_item_of_a_key_is_as_large_as_assumed(api, table):
    api.create({"name": "n" * 100, "type": "A"}, headers={"Idempotency-Key": "k" * 200})
    items = table.scan(TableName=ENVIRONMENT["TABLE_NAME"])["Items"]
    (key,) = [item for item in items if item["sk"]["S"].startswith("idempotency#")]
    assert 300 < measure(key) <= load_assumptions().idempotency_item


def measure(value):
    """Return about the bytes that DynamoDB stores («DynamoDB item sizes and formats», DynamoDB Developer Guide)."""
    match value:
        case {"S": text} if len(value) == 1:
            return len(text)
        case {"N": _} if len(value) == 1:
            return 21
        case {"M": members} if len(value) == 1:
            return 3 + measure(members)
        case _:
            return sum(len(name) + 1 + measure(member) for name, member in value.items())


def test_price_files_have_the_same_meters():
    meters = [set(tomllib.loads(file.read_text())["meters"]) for file in DIRECTORY.glob("*.toml")]
    assert all(entry == meters[0] for entry in meters)


def run_cost(*arguments):
    return run_tool("benchmarks.cost", *map(str, arguments))


def test_json_and_plot(tmp_path):
    plot = tmp_path / "cost.svg"
    done = run_cost("internal_tool", "--json", "--plot", plot)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert document["total"] == pytest.approx(sum(document["services"].values()))
    assert [choice["name"] for choice in document["choices"]] == list(COLD_START_CHOICES)
    assert "prefers-color-scheme: dark" in plot.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--region", "moon-1"], "There are no prices for moon-1"),
        (["missing.toml"], "There is no profile missing.toml"),
        (["internal_tool", "--parameters", "ColdStart"], "'ColdStart' is not a parameter"),
        (["internal_tool", "--parameters", "Colour=red"], "has no parameter 'Colour'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments, sentence):
    done = run_cost(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_with_a_route_that_the_template_lacks_is_refused(tmp_path):
    file = tmp_path / "profile.toml"
    text = (ROOT / "tools/benchmarks/traffic/internal_tool.toml").read_text()
    file.write_text(text.replace('"DELETE /api/v1/resources/{id}"', '"DELETE /api/v1/things"'))
    with pytest.raises(BenchmarkError, match="has a route DELETE /api/v1/things"):
        count_usage(read_stack({}), load_profile(file), DURATIONS, load_assumptions())


@pytest.mark.parametrize(
    "change", [("[requests]", "[other]"), ("share = 0.45", "share = []"), ("throttled = 0.0", "throttled = 2")]
)
def test_what_is_no_profile_is_refused(change, tmp_path):
    file = tmp_path / "profile.toml"
    file.write_text((ROOT / "tools/benchmarks/traffic/internal_tool.toml").read_text().replace(*change))
    with pytest.raises(BenchmarkError, match="is not a traffic profile"):
        load_profile(file)


# --- make tune


TERMS = Terms(first=1, warm=0.05, prices=PRICES, architecture="arm64", waiting=0.005, cold_share=0.01)


def make_size(memory, first, warm):
    return Size(memory, [first], [warm], processor=0.002, start=[0.15])


def test_the_cheapest_size_that_is_quick_enough_is_recommended():
    sizes = [make_size(128, 3.0, 0.02), make_size(512, 0.6, 0.006), make_size(1769, 0.2, 0.005)]
    assert recommend(sizes, TERMS).memory == 512
    assert recommend(sizes, replace(TERMS, first=0.3)).memory == 1769
    assert recommend(sizes, replace(TERMS, first=0.1)).memory == 1769
    assert recommend(sizes, replace(TERMS, first=5)).memory == 128


def test_a_million_requests_are_charged_as_lambda_does():
    size = make_size(1024, 0.2, 0.005)
    # Each is billed 10 ms, and the start of every hundredth 200 ms more, with 1 GB.
    expected = (1e6 * 0.010 + 1e4 * 0.2) * 0.0000133334 + 0.20
    assert size.charge_million(TERMS) == pytest.approx(expected)


def test_ninety_five_of_a_hundred_answers():
    size = Size(512, [0.5], [number / 1000 for number in range(1, 101)], 0.002, [0.15])
    assert size.warm_95 == 0.095


@pytest.mark.parametrize("fixture", list_fixtures(), ids=lambda fixture: fixture.stem)
def test_power_tuning_inputs_hold_the_fixtures(fixture):
    content = make_input("arn:aws:lambda:us-east-1:123456789012:function:Some", fixture, [128, 512])
    assert content["payload"]["routeKey"] == json.loads(fixture.read_text())["routeKey"]
    assert "idempotency-key" not in content["payload"]["headers"]
    assert content["powerValues"] == [128, 512]
    assert content["strategy"] in ("cost", "speed", "balanced")
    assert content["num"] >= 5


def test_every_route_has_a_power_tuning_input():
    assert {fixture.stem for fixture in list_fixtures()} == {route.folder.name for route in list_routes()}
