"""The parts of the stack that cost money, read from the template and its nested applications after SAM's transform."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local_engine.gateway import read_routes
from local_engine.template import Stack as Template
from local_engine.template import TemplateError, load_template
from tools.benchmarks.cost.traffic import DAYS
from tools.benchmarks.machine import ROOT, BenchmarkError

COLD_START_CHOICES = ("none", "snapstart", "provisioned", "warm")

_CRON = re.compile(r"cron\(0 (\d+) \? \* (\S+) \*\)")
_MINUTES = re.compile(r"rate\((\d+) minutes?\)")


@dataclass(frozen=True)
class Provisioned:
    """Provisioned concurrency of a function in some hours of the week.

    Attributes:
        least: minimum environments.
        most: maximum environments, which target tracking may add.
        target: utilization at which target tracking adds environments.
        hours: days and hours in which it is provisioned.
    """

    least: int
    most: int
    target: float
    hours: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Function:
    """A function behind a route.

    Attributes:
        name: logical ID.
        memory: MB.
        architecture: `arm64` or `x86_64`.
        traced: whether its invocations are traced.
        takes_snapshots: whether it starts from a snapshot.
        provisioned: provisioned concurrency, or None.
        kept_warm: the number of environments that are kept warm.
    """

    name: str
    memory: int
    architecture: str
    traced: bool
    takes_snapshots: bool
    provisioned: Provisioned | None
    kept_warm: int


@dataclass(frozen=True)
class Warming:
    """The schedule that keeps environments warm.

    Attributes:
        minutes: interval.
        memory: MB of the function that warms the others.
    """

    minutes: int
    memory: int


@dataclass(frozen=True)
class Stack:
    """What is charged.

    Attributes:
        functions: by route, as `METHOD path`.
        warming: the warming schedule, or None.
        detailed_metrics: whether the gateway writes metrics for each route.
        access_log: whether the gateway writes a log line for each request.
        retention_days: of the logs.
        recovers: whether the table has point-in-time recovery.
        uses_kms: whether a KMS key of the account encrypts the table.
        has_users: whether the stack has a user pool.
        token_minutes: life of a machine client's token; None without machine clients.
        secrets: secrets in Secrets Manager.
        rotations: rotations of secrets in a day.
        policies: target-tracking policies, each with its own alarms.
        alarm_metrics: metrics that alarms watch; each is charged as an alarm.
        queried_metrics: metrics that alarms' queries analyze; each is charged as an alarm.
        filtered_metrics: custom metrics that metric filters write.
        composite_alarms: alarms over other alarms.
        dashboards: CloudWatch dashboards.
        stream_functions: functions that get each change from the table's stream.
        queue_functions: functions that get messages of a queue.
        audit_days: for which the audit trail keeps an entry.
        page_cache: seconds for which the internal API's cache keeps a page; 0 without that API.
        item_cache: the same for one item.
    """

    functions: Mapping[str, Function]
    warming: Warming | None
    detailed_metrics: bool
    access_log: bool
    retention_days: int
    recovers: bool
    uses_kms: bool
    has_users: bool
    token_minutes: float | None
    secrets: int
    rotations: float
    policies: int
    alarm_metrics: int
    queried_metrics: int
    filtered_metrics: int
    composite_alarms: int
    dashboards: int
    stream_functions: int
    queue_functions: int
    audit_days: int
    page_cache: float
    item_cache: float


def read_stack(parameters: Mapping[str, str], path: Path = ROOT / "template.yaml") -> Stack:
    """Read a template.

    Args:
        parameters: parameters that override the defaults.
        path: the template.

    Raises:
        BenchmarkError: the template cannot be read, or has no HTTP API.
    """
    try:
        template = _load(path, tuple(sorted(parameters.items())))
        if not template.apis:
            raise BenchmarkError("The template has no HTTP API.")
        logical_ids = {function.name: logical_id for logical_id, function in template.functions.items()}
        served = list(read_routes(template.apis[0].document))
        if refusals := [route.refusal for route in served if route.refusal]:
            raise BenchmarkError(" ".join(refusals))
        routes = {route.key: logical_ids[route.function_name] for route in served}
    except TemplateError as error:
        raise BenchmarkError(str(error)) from error
    (stage,) = _find(template, "AWS::ApiGatewayV2::Stage").values()
    # Those of a nested application are the part's own.
    ((table_name, table),) = (entry for entry in _find(template, "AWS::DynamoDB::Table").items() if "/" not in entry[0])
    if table.get("BillingMode") != "PAY_PER_REQUEST":
        raise BenchmarkError("The table has provisioned capacity; only on-demand capacity is supported.")
    retention = [int(group.get("RetentionInDays", 3653)) for group in _find(template, "AWS::Logs::LogGroup").values()]
    return Stack(
        functions={route: _read_function(template, name) for route, name in routes.items()},
        warming=_read_warming(template),
        detailed_metrics=bool((stage.get("DefaultRouteSettings") or {}).get("DetailedMetricsEnabled")),
        access_log="AccessLogSettings" in stage,
        retention_days=max(retention, default=0),
        recovers=bool((table.get("PointInTimeRecoverySpecification") or {}).get("PointInTimeRecoveryEnabled")),
        # Without a key's name it is the AWS managed key, whose requests are charged too.
        uses_kms=bool((table.get("SSESpecification") or {}).get("SSEEnabled")),
        has_users=bool(_find(template, "AWS::Cognito::UserPool")),
        token_minutes=_read_token_minutes(template),
        secrets=len(_find(template, "AWS::SecretsManager::Secret")),
        rotations=sum(
            1 / float(schedule["RotationRules"]["AutomaticallyAfterDays"])
            for schedule in _find(template, "AWS::SecretsManager::RotationSchedule").values()
        ),
        policies=len(_find(template, "AWS::ApplicationAutoScaling::ScalingPolicy")),
        alarm_metrics=sum(map(_count_metrics, _find(template, "AWS::CloudWatch::Alarm").values())),
        queried_metrics=len(routes) * sum(map(_count_queries, _find(template, "AWS::CloudWatch::Alarm").values())),
        filtered_metrics=sum(
            len(metric_filter["MetricTransformations"])
            for metric_filter in _find(template, "AWS::Logs::MetricFilter").values()
        ),
        composite_alarms=len(_find(template, "AWS::CloudWatch::CompositeAlarm")),
        dashboards=len(_find(template, "AWS::CloudWatch::Dashboard")),
        stream_functions=_count_mappings(template, f":table/{table_name}/stream/"),
        queue_functions=_count_mappings(template, ":sqs:"),
        audit_days=max(
            (
                int(function.environment["AUDIT_RETENTION_DAYS"])
                for function in template.functions.values()
                if "AUDIT_RETENTION_DAYS" in function.environment
            ),
            default=0,
        ),
        page_cache=_find_cache_seconds(template, "resources"),
        item_cache=_find_cache_seconds(template, "{id}"),
    )


def _find_cache_seconds(template: Template, last: str) -> float:
    """Return how long the cache of a REST API keeps responses of a path with this last segment; 0 if there is none."""
    for stage in _find(template, "AWS::ApiGateway::Stage").values():
        for setting in stage.get("MethodSettings", ()):
            if setting["ResourcePath"].rpartition("~1")[2] == last and "CacheTtlInSeconds" in setting:
                return float(setting["CacheTtlInSeconds"])
    return 0.0


@cache
def _load(path: Path, parameters: tuple[tuple[str, str], ...]) -> Template:
    return load_template(path, dict(parameters))


def _find(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource.properties for name, resource in template.resources.items() if resource.type == kind}


def _count_mappings(template: Template, source: str) -> int:
    """Return how many event source mappings read from a source whose ARN has this part."""
    mappings = _find(template, "AWS::Lambda::EventSourceMapping").values()
    return sum(source in str(mapping.get("EventSourceArn")) for mapping in mappings)


def _count_metrics(alarm: Mapping[str, Any]) -> int:
    """Return how many metrics an alarm lists."""
    return sum("MetricStat" in metric for metric in alarm["Metrics"]) if "Metrics" in alarm else 1


def _count_queries(alarm: Mapping[str, Any]) -> int:
    """Return how many Metrics Insights queries an alarm has; each analyzes a metric of each route."""
    return sum(str(metric.get("Expression")).lstrip().startswith("SELECT") for metric in alarm.get("Metrics") or ())


def _read_token_minutes(template: Template) -> float | None:
    """Return the shortest life of the tokens that a user pool gives to machine clients."""
    minutes = {"minutes": 1.0, "hours": 60.0, "days": 1440.0, "seconds": 1 / 60}
    return min(
        (
            float(client.get("AccessTokenValidity", 1))
            * minutes[client.get("TokenValidityUnits", {}).get("AccessToken", "hours")]
            for client in _find(template, "AWS::Cognito::UserPoolClient").values()
            if "client_credentials" in (client.get("AllowedOAuthFlows") or ())
        ),
        default=None,
    )


def _read_function(template: Template, logical_id: str) -> Function:
    properties = template.resources[logical_id].properties
    name = template.functions[logical_id].name
    return Function(
        name=logical_id,
        memory=int(properties.get("MemorySize", 128)),
        architecture=(properties.get("Architectures") or ["x86_64"])[0],
        traced=(properties.get("TracingConfig") or {}).get("Mode") == "Active",
        takes_snapshots=(properties.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions",
        provisioned=_read_provisioned(template, name),
        kept_warm=sum(
            int(variables.get("WARM_ENVIRONMENTS", 0))
            for variables in _warming_variables(template)
            if f":{name}:" in variables["WARM_FUNCTIONS"]
        ),
    )


def _read_provisioned(template: Template, name: str) -> Provisioned | None:
    for alias in _find(template, "AWS::Lambda::Alias").values():
        config = alias.get("ProvisionedConcurrencyConfig")
        if alias.get("FunctionName") != name or not config:
            continue
        least = most = int(config["ProvisionedConcurrentExecutions"])
        target, hours = 1.0, frozenset((day, hour) for day in DAYS for hour in range(24))
        for logical_id, scalable in _find(template, "AWS::ApplicationAutoScaling::ScalableTarget").items():
            if scalable["ResourceId"] == f"function:{name}:{alias['Name']}":
                least, most, hours = _read_schedule(scalable)
                target = _read_target(template, logical_id)
        return Provisioned(least, most, target, hours)
    return None


def _read_schedule(scalable: Mapping[str, Any]) -> tuple[int, int, frozenset[tuple[str, int]]]:
    """Return minimum, maximum and hours of a target that one scheduled action scales out and another scales in."""
    starts: list[tuple[int, frozenset[str], Mapping[str, Any]]] = []
    end = 24
    for action in scalable["ScheduledActions"]:
        matched = _CRON.fullmatch(action["Schedule"])
        if not matched:
            raise BenchmarkError(f"The schedule {action['Schedule']} of provisioned concurrency is not supported.")
        hour, capacity = int(matched[1]), action["ScalableTargetAction"]
        if int(capacity["MinCapacity"]):
            starts.append((hour, _read_days(matched[2]), capacity))
        else:
            end = hour
    ((start, days, capacity),) = starts
    hours = {
        (DAYS[(DAYS.index(day) + hour // 24) % 7], hour % 24)
        for day in days
        for hour in range(start, end if end > start else end + 24)
    }
    return int(capacity["MinCapacity"]), int(capacity["MaxCapacity"]), frozenset(hours)


def _read_days(days: str) -> frozenset[str]:
    """Return the days in a cron expression such as `MON-FRI` or `MON,WED`."""
    found: set[str] = set()
    for part in days.split(","):
        first, _, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {DAYS[day % 7] for day in range(start, end + 1 + (7 if end < start else 0))}
    return frozenset(found)


def _read_target(template: Template, scalable: str) -> float:
    for policy in _find(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values():
        # `Ref` puts a hyphen between a nested application and its resource.
        if policy["ScalingTargetId"] == scalable.replace("/", "-"):
            return float(policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"])
    return 1.0


def _warming_variables(template: Template) -> list[dict[str, str]]:
    functions = _find(template, "AWS::Lambda::Function").values()
    variables = [(function.get("Environment") or {}).get("Variables") or {} for function in functions]
    return [each for each in variables if "WARM_FUNCTIONS" in each]


def _read_warming(template: Template) -> Warming | None:
    for schedule in _find(template, "AWS::Scheduler::Schedule").values():
        matched = _MINUTES.fullmatch(schedule["ScheduleExpression"])
        functions = {function.arn: function for function in template.functions.values()}
        if matched and _warming_variables(template):
            return Warming(int(matched[1]), functions[schedule["Target"]["Arn"]].memory)
    return None
