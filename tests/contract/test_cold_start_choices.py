"""What the parameter `ColdStart` puts into the stack, and what the template refuses."""

import pytest

from tests.support.permissions import find_refusals, read_role, translate_stack
from tests.support.stack import find_resources, list_routes, load_template

TEMPLATE = load_template()
HOT = ["ListResources", "GetResource"]
FUNCTIONS = [route.function for route in list_routes()]
# Those that a parameter reserves environments for; a function may do without one.
RESERVABLE = [
    name
    for name, function in find_resources("AWS::Serverless::Function").items()
    if "ReservedConcurrentExecutions" in function["Properties"]
]
CHOICES = TEMPLATE["Parameters"]["ColdStart"]["AllowedValues"]


def find(choice, kind, **parameters):
    return {
        name: of.properties
        for name, of in translate_stack(ColdStart=choice, **parameters).resources.items()
        if of.type == kind
    }


def test_nothing_costs_money_at_rest_by_default():
    assert TEMPLATE["Parameters"]["ColdStart"]["Default"] == "none"
    assert not find("none", "AWS::ApplicationAutoScaling::ScalableTarget")
    assert not find("none", "AWS::Scheduler::Schedule")
    for function in find("none", "AWS::Lambda::Function").values():
        assert function.get("SnapStart", {"ApplyOn": "None"}) == {"ApplyOn": "None"}
        assert "ReservedConcurrentExecutions" not in function
    assert not [of for of in find("none", "AWS::Lambda::Alias").values() if "ProvisionedConcurrencyConfig" in of]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_function_has_a_snapshot_or_provisioned_environments_and_never_both(choice):
    functions = find(choice, "AWS::Lambda::Function")
    frozen = {name for name, of in functions.items() if of.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"}
    aliases = find(choice, "AWS::Lambda::Alias").values()
    provisioned = {of["FunctionName"] for of in aliases if "ProvisionedConcurrencyConfig" in of}
    assert frozen == (set(HOT) if choice == "snapstart" else set())
    assert provisioned == (set(HOT) if choice == "provisioned" else set())
    # SnapStart takes neither of these.
    assert not [of for of in functions.values() if of.keys() & {"EphemeralStorage", "FileSystemConfigs"}]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_gateway_calls_aliases(choice):
    aliases = find(choice, "AWS::Lambda::Alias")
    assert {of["FunctionName"] for of in aliases.values()} == set(FUNCTIONS)
    assert {of["Name"] for of in aliases.values()} == {"live"}
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
    hours = {"BusinessHoursStart": "6", "BusinessHoursEnd": "20", "BusinessDays": "MON-SAT"}
    numbers = {"ProvisionedConcurrency": "3", "MaxProvisionedConcurrency": "30"}
    given = {**hours, **numbers, "BusinessTimeZone": "Europe/Berlin"}
    targets = find("provisioned", "AWS::ApplicationAutoScaling::ScalableTarget", **given)
    assert {of["ResourceId"] for of in targets.values()} == {f"function:{name}:live" for name in HOT}
    for target in targets.values():
        start, end = target["ScheduledActions"]
        assert start["Timezone"] == end["Timezone"] == "Europe/Berlin"
        assert (start["Schedule"], end["Schedule"]) == ("cron(0 6 ? * MON-SAT *)", "cron(0 20 ? * * *)")
        assert start["ScalableTargetAction"] == {"MinCapacity": "3", "MaxCapacity": "30"}
        assert end["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
    policies = find("provisioned", "AWS::ApplicationAutoScaling::ScalingPolicy", **given)
    assert {of["ScalingTargetId"] for of in policies.values()} == set(targets)
    for policy in policies.values():
        assert policy["PolicyType"] == "TargetTrackingScaling"
        metric = policy["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
        assert metric == {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}


def test_warming_invokes_the_functions_that_people_wait_for_every_five_minutes():
    (schedule,) = find("warm", "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    function = find("warm", "AWS::Lambda::Function")["WarmFunctions"]
    variables = function["Environment"]["Variables"]
    warmed = variables["WARM_FUNCTIONS"].split()
    assert [arn.split(":")[-2:] for arn in warmed] == [[name, "live"] for name in HOT]
    assert str(variables["WARM_ENVIRONMENTS"]) == "2"
    assert read_role("WarmFunctions", ColdStart="warm").resources == {"lambda:InvokeFunction": set(warmed)}


@pytest.mark.parametrize("function", RESERVABLE)
def test_what_is_reserved_for_a_function_is_a_parameter_of_its_own(function):
    functions = find("none", "AWS::Lambda::Function", **{f"{function}Reserved": "7"})
    assert {name for name, of in functions.items() if of.get("ReservedConcurrentExecutions") == "7"} == {function}


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_is_taken_with_the_defaults(choice):
    assert find_refusals(ColdStart=choice) == []


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"BusinessHoursStart": "8", "BusinessHoursEnd": "8"}, {"BusinessHoursStart", "BusinessHoursEnd"}),
        ({"ListResourcesReserved": "5"}, {"ListResourcesReserved"}),
        ({"GetResourceReserved": "5"}, {"GetResourceReserved"}),
    ],
    ids=["no business hours", "list reserved", "get reserved"],
)
def test_what_aws_would_refuse_is_refused_with_a_sentence(parameters, named):
    (sentence,) = find_refusals(ColdStart="provisioned", **parameters)
    assert all(name in sentence for name in named)
    assert find_refusals(ColdStart="none", **parameters) == []
