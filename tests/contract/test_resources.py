"""Functions, table, parameters and outputs of template.yaml."""

import re

import pytest

from tests.support.permissions import translate_stack
from tests.support.stack import ROOT, find_resources, list_routes, load_template

TEMPLATE = load_template()
FUNCTIONS = find_resources("AWS::Serverless::Function")
GLOBALS = TEMPLATE["Globals"]["Function"]
functions = pytest.mark.parametrize("name", FUNCTIONS)


def test_functions_run_as_they_should_by_default():
    assert GLOBALS["Runtime"] == "python3.13"
    assert ROOT.joinpath(".python-version").read_text().strip() == "3.13"
    assert GLOBALS["MemorySize"] == 1769
    assert GLOBALS["Timeout"] == 29
    assert GLOBALS["Architectures"] == [{"Ref": "Architecture"}]
    assert TEMPLATE["Parameters"]["Architecture"]["Default"] == "arm64"
    assert GLOBALS["Layers"] == [{"Ref": "SharedLayer"}]


@pytest.mark.parametrize(("traces", "mode"), [("on", "Active"), ("off", "PassThrough")])
@functions
def test_traces_are_one_parameters_choice(name, traces, mode):
    function = translate_stack(Traces=traces, ColdStart="warm").resources[name].properties
    assert function["TracingConfig"] == {"Mode": mode}
    assert function["Environment"]["Variables"]["TRACES"] == traces
    assert TEMPLATE["Parameters"]["Traces"]["Default"] == "on"


@functions
def test_no_function_runs_otherwise(name):
    own = {"Runtime", "MemorySize", "Timeout", "Tracing", "Architectures", "Layers", "Handler"}
    # For the function of a route the gateway waits 30 seconds; what no request waits for may take its time.
    allowed = set() if name in {route.function for route in list_routes()} else {"Timeout"}
    assert own & set(FUNCTIONS[name]["Properties"]) <= allowed


@functions
def test_a_function_logs_json_into_a_group_of_its_own(name):
    logging = GLOBALS["LoggingConfig"] | FUNCTIONS[name]["Properties"]["LoggingConfig"]
    assert logging == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": {"Fn::If": ["LogsAtDebug", "DEBUG", "INFO"]},
        "LogGroup": {"Ref": f"{name}LogGroup"},
    }
    group = TEMPLATE["Resources"][f"{name}LogGroup"]
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group.get("Condition") == FUNCTIONS[name].get("Condition")


def test_every_log_group_has_a_retention():
    groups = find_resources("AWS::Logs::LogGroup")
    assert {tuple(group["Properties"]["RetentionInDays"].items()) for group in groups.values()} == {
        (("Ref", "LogRetentionDays"),)
    }
    assert TEMPLATE["Parameters"]["LogRetentionDays"]["Default"] == 30


@functions
def test_a_function_has_an_alarm_beside_it(name):
    alarm = TEMPLATE["Resources"][f"{name}Failures"]
    assert alarm["Type"] == "AWS::CloudWatch::Alarm"
    assert alarm.get("Condition") == FUNCTIONS[name].get("Condition")
    metrics = [of["MetricStat"]["Metric"] for of in alarm["Properties"]["Metrics"] if "MetricStat" in of]
    watched = {of["MetricName"]: {each["Name"]: each["Value"] for each in of["Dimensions"]} for of in metrics}
    expected = {metric: {"FunctionName": {"Ref": name}} for metric in ("Errors", "Throttles")}
    for route in list_routes():
        if route.function == name:
            expected["UnexpectedErrors"] = {"service": "resources-api", "route": route.key}
    assert watched == expected


@functions
def test_a_function_has_its_role_beside_it(name):
    assert FUNCTIONS[name]["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert "Policies" not in FUNCTIONS[name]["Properties"]
    role = TEMPLATE["Resources"][f"{name}Role"]
    assert role["Type"] == "AWS::IAM::Role"
    assert role.get("Condition") == FUNCTIONS[name].get("Condition")


@functions
def test_no_parameter_moves_a_deployed_functions_services(name):
    variables = {
        **GLOBALS["Environment"]["Variables"],
        **FUNCTIONS[name]["Properties"].get("Environment", {}).get("Variables", {}),
    }
    assert variables["AWS_ENDPOINT_URL"] == ""
    assert variables["TOKEN_INTROSPECTION_URL"] == ""
    assert variables["TABLE_NAME"] == {"Ref": "Table"}
    assert "AWS_SAM_LOCAL" not in variables
    assert not [variable for variable in variables if variable.startswith("AWS_ENDPOINT_URL_")]


def test_functions_have_names_to_be_found_by():
    variables = GLOBALS["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": "ServerlessApi/${AWS::StackName}"}
    assert variables["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}


def test_the_table_keeps_what_it_is_given():
    table = find_resources("AWS::DynamoDB::Table")["Table"]
    assert len(find_resources("AWS::DynamoDB::Table")) == 1
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert properties["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert "TableName" not in properties


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_a_parameter_says_what_it_takes_and_has_a_working_default(name):
    parameter = TEMPLATE["Parameters"][name]
    assert len(parameter["Description"]) > 20
    default = parameter["Default"]
    if "AllowedValues" in parameter:
        assert default in parameter["AllowedValues"]
        return
    assert parameter["ConstraintDescription"].startswith("must ")
    if "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], default)
    else:
        assert parameter["MinValue"] <= default <= parameter["MaxValue"]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("AllowedOrigin", ["*", "", "app.example.com", "https://app.example.com/", "https://a.example.com/x"]),
        ("Issuer", ["issuer.example.com", "https://a b", "https://a?b", "ftp://a"]),
        ("Audience", ["a b", " "]),
    ],
)
def test_a_parameter_refuses_what_could_not_work(name, bad):
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert not [value for value in bad if re.fullmatch(pattern, value)]


def test_outputs_are_described_and_hold_no_secret():
    assert {"ApiUrl", "Issuer", "TokenEndpoint", "UserClientId", "MachineClientId", "TableName"} <= set(
        TEMPLATE["Outputs"]
    )
    for output in TEMPLATE["Outputs"].values():
        assert output["Description"]
        assert "ClientSecret}" not in str(output["Value"])
        assert ".ClientSecret'" not in str(output["Value"])
        assert "resolve:secretsmanager" not in str(output["Value"])
        value = output["Value"]
        assert not (
            isinstance(value, dict) and value.get("Fn::GetAtt", ["", ""])[1] in ("ClientSecret", "SecretString")
        )


def test_user_pool_outputs_are_there_only_with_the_pool():
    outputs = TEMPLATE["Outputs"]
    assert {name for name, output in outputs.items() if output.get("Condition") == "MakesUserPool"} >= {
        "TokenEndpoint",
        "UserClientId",
        "MachineClientId",
    }
    for name in ("ApiUrl", "Issuer", "TableName"):
        assert "Condition" not in outputs[name]
