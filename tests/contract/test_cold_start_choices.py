"""What the parameter `ColdStart` and the settings of concurrency put into the stack."""

import pytest

from tests.support.permissions import find_refusals, find_translated, list_names, read_role, translate_stack
from tests.support.stack import list_routes, load_template
from tests.support.templates import read_settings

pytestmark = pytest.mark.slow

TEMPLATE = load_template()
FUNCTIONS = {route.function for route in list_routes()}
CHOICES = TEMPLATE["Parameters"]["ColdStart"]["AllowedValues"]
READINESS = read_settings("stacks/readiness.yaml")


def find(choice, kind):
    return find_translated(kind, ColdStart=choice)


def list_frozen(choice):
    functions = find(choice, "AWS::Lambda::Function")
    return list_names(
        name
        for name, function in functions.items()
        if function.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
    )


def list_provisioned(choice):
    aliases = find(choice, "AWS::Lambda::Alias").values()
    return {alias["FunctionName"] for alias in aliases if "ProvisionedConcurrencyConfig" in alias}


def list_warmed():
    warmer = find("warm", "AWS::Lambda::Function")["Readiness/WarmFunctions"]
    return warmer["Environment"]["Variables"]["WARM_FUNCTIONS"].split()


def test_nothing_costs_money_at_rest_by_default():
    assert TEMPLATE["Parameters"]["ColdStart"]["Default"] == "none"
    assert not [name for name in translate_stack().resources if name.startswith("Readiness")]
    assert not list_frozen("none")
    assert not list_provisioned("none")
    assert not [
        item for item in find("none", "AWS::Lambda::Function").values() if "ReservedConcurrentExecutions" in item
    ]


def test_each_choice_is_about_the_same_functions():
    names = {arn.split(":")[-2] for arn in list_warmed()}
    assert list_frozen("snapstart") == list_provisioned("provisioned")
    assert names == list_frozen("snapstart") < list_names(FUNCTIONS)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_function_has_a_snapshot_or_provisioned_environments_and_never_both(choice):
    assert bool(list_frozen(choice)) == (choice == "snapstart")
    assert bool(list_provisioned(choice)) == (choice == "provisioned")
    functions = find(choice, "AWS::Lambda::Function").values()
    # SnapStart takes neither of these.
    assert not [function for function in functions if function.keys() & {"EphemeralStorage", "FileSystemConfigs"}]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_gateway_calls_aliases(choice):
    aliases = find(choice, "AWS::Lambda::Alias")
    assert {alias["FunctionName"] for alias in aliases.values()} == list_names(FUNCTIONS)
    assert {alias["Name"] for alias in aliases.values()} == {"live"}
    (api,) = find(choice, "AWS::ApiGatewayV2::Api").values()
    uris = [
        operation["x-amazon-apigateway-integration"]["uri"]
        for path in api["Body"]["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict) and "x-amazon-apigateway-integration" in operation
    ]
    assert len(uris) == len(FUNCTIONS)
    assert all(uri.endswith(":live/invocations") for uri in uris)


def test_provisioned_environments_follow_business_hours_and_use():
    targets = find("provisioned", "AWS::ApplicationAutoScaling::ScalableTarget")
    names = list_provisioned("provisioned")
    assert {target["ResourceId"] for target in targets.values()} == {f"function:{name}:live" for name in names}
    least, most = read_settings()["ProvisionedConcurrency"]["dev"], READINESS["MaxProvisionedConcurrency"]["dev"]
    for target in targets.values():
        start, end = target["ScheduledActions"]
        assert start["Timezone"] == end["Timezone"] == READINESS["BusinessTimeZone"]["dev"]
        hour, days = READINESS["BusinessHoursStart"]["dev"], READINESS["BusinessDays"]["dev"]
        assert start["Schedule"] == f"cron(0 {hour} ? * {days} *)"
        assert end["Schedule"] == f"cron(0 {READINESS['BusinessHoursEnd']['dev']} ? * * *)"
        started = {name: int(value) for name, value in start["ScalableTargetAction"].items()}
        assert started == {"MinCapacity": least, "MaxCapacity": most}
        assert end["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
    policies = find("provisioned", "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert len({policy["ScalingTargetId"] for policy in policies.values()}) == len(targets)
    for policy in policies.values():
        assert policy["PolicyType"] == "TargetTrackingScaling"
        metric = policy["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
        assert metric == {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}


def test_warming_invokes_the_functions_every_five_minutes():
    schedules = find("warm", "AWS::Scheduler::Schedule")
    (schedule,) = [schedule for name, schedule in schedules.items() if name.startswith("Readiness/")]
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    variables = find("warm", "AWS::Lambda::Function")["Readiness/WarmFunctions"]["Environment"]["Variables"]
    assert str(variables["WARM_ENVIRONMENTS"]) == str(READINESS["WarmEnvironments"]["dev"])
    allowed = read_role("Readiness/WarmFunctions", ColdStart="warm").resources
    assert allowed == {"lambda:InvokeFunction": set(list_warmed())}


def test_concurrency_can_be_reserved_for_each_function_of_a_stage():
    reserved = {
        name: function.reserved_concurrency
        for name, function in translate_stack(ReservedConcurrency="7").functions.items()
    }
    assert all(reserved[function] == 7 for function in FUNCTIONS)


def test_provisioned_environments_are_not_reserved():
    # Lambda refuses to provision more environments than are reserved.
    stack = translate_stack(ReservedConcurrency="1", ColdStart="provisioned")
    assert not [function for function in stack.functions.values() if function.reserved_concurrency is not None]


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_is_taken_with_the_defaults(choice):
    assert find_refusals(ColdStart=choice) == []


@pytest.mark.parametrize("stage", TEMPLATE["Parameters"]["Stage"]["AllowedValues"])
def test_the_settings_of_a_stage_fit_together(stage):
    assert 1 <= read_settings()["ProvisionedConcurrency"][stage] <= READINESS["MaxProvisionedConcurrency"][stage]
    assert READINESS["BusinessHoursStart"][stage] != READINESS["BusinessHoursEnd"][stage]
    assert all(0 <= READINESS[name][stage] <= 23 for name in ("BusinessHoursStart", "BusinessHoursEnd"))
    assert 0 <= float(read_settings()["DebugSampleRate"][stage]) <= 1
