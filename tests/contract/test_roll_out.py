"""How new versions start to serve: what each stage does, what is tried before, and who may do what for it."""

import json
import re
import tomllib

import pytest

from local_engine.template import ACCOUNT_ID, REGION
from tests.support.permissions import find_translated
from tests.support.stack import ROOT, find_resources, list_routes, load_template

FUNCTIONS = {route.function for route in list_routes()}
STAGES = load_template()["Parameters"]["Stage"]["AllowedValues"]
PREFERENCE = load_template()["Globals"]["Function"]["DeploymentPreference"]


def test_every_routes_function_rolls_out_after_it_was_tried_and_nothing_else_does():
    assert PREFERENCE["Hooks"] == {"PreTraffic": {"Ref": "VerifyVersions"}}
    assert PREFERENCE["Role"] == {"Fn::GetAtt": ["RollOutRole", "Arn"]}
    assert PREFERENCE["Alarms"] == [{"Ref": "FunctionsDegraded"}]
    for name, function in find_resources("AWS::Serverless::Function").items():
        assert ("DeploymentPreference" in function.get("IgnoreGlobals", ())) == (name not in FUNCTIONS)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_rolls_out_as_its_setting_says(stage):
    configuration = load_template()["Mappings"]["Stages"]["RollOut"][stage]
    groups = find_translated("AWS::CodeDeploy::DeploymentGroup", Stage=stage)
    assert groups.keys() == {f"{function}DeploymentGroup" for function in FUNCTIONS}
    for group in groups.values():
        assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{configuration}"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": "FunctionsDegraded"}]}
        assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(group["AutoRollbackConfiguration"]["Events"])


def test_versions_shift_gradually_where_callers_depend_on_them():
    shifts = load_template()["Mappings"]["Stages"]["RollOut"]
    assert shifts["dev"] == "AllAtOnce"
    assert all(shifts[stage].startswith(("Canary", "Linear")) for stage in STAGES if stage != "dev")


@pytest.mark.parametrize("stage", STAGES)
def test_only_prod_refuses_to_lose_tables_and_user_pool(stage):
    tables = find_translated("AWS::DynamoDB::Table", Stage=stage).values()
    (pool,) = find_translated("AWS::Cognito::UserPool", Stage=stage).values()
    assert {table["DeletionProtectionEnabled"] for table in tables} == {stage == "prod"}
    assert pool["DeletionProtection"] == ("ACTIVE" if stage == "prod" else "INACTIVE")


def test_codedeploy_may_move_the_aliases_of_this_stack_and_invoke_the_hook():
    role = find_translated("AWS::IAM::Role")["RollOutRole"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": f"codedeploy.{REGION}.amazonaws.com"}
    (policy,) = role["Policies"]
    functions, alarms = policy["PolicyDocument"]["Statement"]
    # Of the managed policy AWSCodeDeployRoleForLambdaLimited, what does not concern revisions in S3.
    assert functions["Resource"] == f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:local-*"
    assert set(functions["Action"]) == {
        "lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:InvokeFunction"
    }  # fmt: skip
    assert (alarms["Action"], alarms["Resource"]) == ("cloudwatch:DescribeAlarms", "*")


def test_failures_are_counted_where_a_function_that_fails_at_import_is_seen():
    """The gateway's access log, on which neither the API nor an alias depends."""
    metric_filter = find_translated("AWS::Logs::MetricFilter")["FunctionFailures"]
    api = find_translated("AWS::ApiGatewayV2::Stage")["ApiApiGatewayDefaultStage"]
    assert api["AccessLogSettings"]["DestinationArn"].endswith(f":log-group:{metric_filter['LogGroupName']}:*")
    for field in ("status", "integrationError"):
        assert f"$.{field} " in metric_filter["FilterPattern"]
        assert f'"{field}":"$context.' in api["AccessLogSettings"]["Format"]
    (transformation,) = metric_filter["MetricTransformations"]
    metrics = find_translated("AWS::CloudWatch::Alarm")["FunctionsDegraded"]["Metrics"]
    watched = [entry["MetricStat"]["Metric"] for entry in metrics if "MetricStat" in entry]
    assert {"Namespace": transformation["MetricNamespace"], "MetricName": transformation["MetricName"]} in watched


def test_a_stacks_name_is_short_enough_to_prefix_its_functions_names():
    """CloudFormation shortens a generated name of more than 64 characters; roles find functions by the whole prefix."""
    profiles = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    names = re.findall(r'"stack_name": "([^"]+)"', json.dumps(profiles))
    assert names
    assert max(map(len, names)) <= 25
