"""How new versions come to serve: what each stage is given, what is tried before, and who may do what for it."""

import re

import pytest

from local_engine.template.intrinsics import ACCOUNT_ID, REGION
from tests.support.permissions import read_role, translate_stack
from tests.support.stack import find_resources, list_routes, load_template

ROUTES = list_routes()
FUNCTIONS = {route.function for route in ROUTES}
STAGES = load_template()["Parameters"]["Stage"]["AllowedValues"]
PREFERENCE = load_template()["Globals"]["Function"]["DeploymentPreference"]


def find(kind, **parameters):
    return {name: of.properties for name, of in translate_stack(**parameters).resources.items() if of.type == kind}


def test_every_routes_function_rolls_out_after_it_was_tried_and_nothing_else_does():
    assert PREFERENCE["Hooks"] == {"PreTraffic": {"Ref": "VerifyVersions"}}
    assert PREFERENCE["Role"] == {"Fn::GetAtt": ["RollOutRole", "Arn"]}
    own = {
        name: function["Properties"].get("DeploymentPreference")
        for name, function in find_resources("AWS::Serverless::Function").items()
    }
    off = {"Enabled": False}
    # What takes a new version back is the function's own alarm, beside the one of all.
    assert PREFERENCE["Alarms"] == [{"Ref": "FunctionsDegraded"}]
    assert own == {name: {"Alarms": [{"Ref": f"{name}Failures"}]} if name in FUNCTIONS else off for name in own}


@pytest.mark.parametrize(
    ("stage", "configuration"),
    [("dev", "AllAtOnce"), ("staging", "Canary10Percent5Minutes"), ("prod", "Canary10Percent5Minutes")],
)
def test_a_stage_rolls_out_as_it_should(stage, configuration):
    groups = find("AWS::CodeDeploy::DeploymentGroup", Stage=stage)
    assert groups.keys() == {f"{function}DeploymentGroup" for function in FUNCTIONS}
    for name, group in groups.items():
        assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{configuration}"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert group["AlarmConfiguration"]["Enabled"] is True
        alarms = [alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]]
        assert alarms == ["FunctionsDegraded", f"{name.removesuffix('DeploymentGroup')}Failures"]
        assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(group["AutoRollbackConfiguration"]["Events"])


@pytest.mark.parametrize("stage", STAGES)
def test_only_prod_refuses_to_lose_table_and_user_pool(stage):
    (table,) = find("AWS::DynamoDB::Table", Stage=stage).values()
    (pool,) = find("AWS::Cognito::UserPool", Stage=stage).values()
    assert table["DeletionProtectionEnabled"] is (stage == "prod")
    assert pool["DeletionProtection"] == ("ACTIVE" if stage == "prod" else "INACTIVE")


def test_the_version_of_every_route_is_tried_with_its_fixture_for_the_status_in_its_document():
    resources = translate_stack().resources
    lines = [
        line.split() for line in translate_stack().functions["VerifyVersions"].environment["VERSIONS"].splitlines()
    ]
    tried = {fixture: (int(status), _find_function(version, resources)) for fixture, status, version in lines}
    assert len(tried) == len(lines)
    assert tried == {route.folder.name: (route.success, route.function) for route in ROUTES}


def _find_function(version, resources):
    """The function of a version, by whatever the local engine gives for it: its ARN or its logical id."""
    arn = re.fullmatch(rf"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:(\w+):\d+", version)
    return arn[1] if arn else resources[version].properties["FunctionName"]


def test_the_hook_may_invoke_what_it_tries_and_report():
    functions = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function"
    groups = f"arn:aws:codedeploy:{REGION}:{ACCOUNT_ID}:deploymentgroup"
    assert read_role("VerifyVersions").resources == {
        "lambda:InvokeFunction": {f"{functions}:{function}:*" for function in FUNCTIONS},
        "codedeploy:PutLifecycleEventHookExecutionStatus": {f"{groups}:ServerlessDeploymentApplication/*"},
    }


def test_codedeploy_may_move_the_aliases_and_invoke_the_hook():
    functions = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function"
    aliases = {f"{functions}:{function}{alias}" for function in FUNCTIONS for alias in ("", ":live")}
    (role,) = [of for name, of in find("AWS::IAM::Role").items() if name == "RollOutRole"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "codedeploy.amazonaws.com"}
    # Of the managed policy AWSCodeDeployRoleForLambdaLimited, what does not concern revisions in S3.
    assert read_role("RollOut").resources == {
        "lambda:GetAlias": aliases,
        "lambda:UpdateAlias": aliases,
        "lambda:GetProvisionedConcurrencyConfig": aliases,
        "lambda:InvokeFunction": {f"{functions}:VerifyVersions"},
        "cloudwatch:DescribeAlarms": {"*"},
    }
