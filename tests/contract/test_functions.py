"""Rules for every function of the stack, its logs, the table, the parameters and the outputs."""

import json
import re

import pytest

from tests.support.internal import list_internal_routes
from tests.support.permissions import find_translated, list_functions, translate_stack
from tests.support.stack import ROOT, find_resources, list_routes, list_templates, load_template

TEMPLATE = load_template()
WHOLE = {"ColdStart": "warm", "CacheSize": '"0.5"', "Intelligence": "on"}
ROUTED = {route.function for route in list_routes()}
STREAMING = {"Streaming/AnswerQuestion", "Streaming/AuthorizeToken", "Streaming/ExportData"}
INTERNAL = {route.function for route in list_internal_routes()}
SERVING = ROUTED | STREAMING | INTERNAL
"""Functions whose failures a gateway answers with 5xx, which alarms watch."""
# Properties that every routed function has in common. Background functions may differ.
SHARED = {"Runtime", "MemorySize", "Timeout", "Tracing", "Architectures", "Layers", "Handler", "LoggingConfig"}
SHARED |= {"PermissionsBoundary", "AutoPublishAlias", "DeploymentPreference"}
functions = pytest.mark.parametrize("name", list_functions())
stages = pytest.mark.parametrize("stage", TEMPLATE["Parameters"]["Stage"]["AllowedValues"])


def read_function(name, **parameters):
    return translate_stack(**WHOLE, **parameters).resources[name].properties


@functions
def test_a_function_runs_as_all_do(name):
    function = read_function(name)
    assert function["Runtime"] == f"python{ROOT.joinpath('.python-version').read_text().strip()}"
    assert (function["Handler"], function["MemorySize"]) == ("app.handler", 1769)
    # The gateway waits 30 seconds for the function of a route.
    assert function["Timeout"] == 29 or name not in ROUTED | INTERNAL
    assert function["Architectures"] == ["arm64"]
    assert read_function(name, Architecture="x86_64")["Architectures"] == ["x86_64"]
    assert len(function["Layers"]) == 1


@pytest.mark.parametrize("template", list_templates())
def test_what_functions_share_stands_in_globals(template):
    for name, function in find_resources("AWS::Serverless::Function", template).items():
        own = function["Properties"].keys() & SHARED
        assert own <= (set() if name in ROUTED else {"Timeout"})
        assert "IgnoreGlobals" not in function or name not in ROUTED


@pytest.mark.parametrize("template", list_templates())
def test_a_template_with_functions_has_the_shared_layer_and_publishes_with_it(template):
    layers = find_resources("AWS::Serverless::LayerVersion", template)
    assert bool(layers) == bool(find_resources("AWS::Serverless::Function", template))
    for layer in layers.values():
        assert (ROOT / template).parent.joinpath(layer["Properties"]["ContentUri"]).resolve() == ROOT / "layers/shared"
        assert layer["Properties"]["PublishLambdaVersion"] is True
        assert layer["Metadata"] == {"BuildMethod": "makefile"}


@functions
def test_a_function_logs_json_into_the_stacks_one_group(name):
    assert read_function(name)["LoggingConfig"]["LogFormat"] == "JSON"
    assert read_function(name)["LoggingConfig"]["LogGroup"] == "FunctionLogGroup"


@pytest.mark.parametrize(("level", "passed"), [("DEBUG", "DEBUG"), ("INFO", "INFO"), ("ERROR", "INFO")])
@functions
def test_lambda_lets_every_line_pass_that_the_functions_write(name, level, passed):
    function = translate_stack(LogLevel=level, **WHOLE).resources[name].properties
    # Some requests of a route are sampled at level DEBUG.
    expected = passed if name not in ROUTED | {"VerifyVersions"} else "DEBUG"
    assert function["LoggingConfig"]["ApplicationLogLevel"] == expected
    assert function["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == level


@stages
def test_no_log_outlives_thirty_days_by_default(stage):
    groups = find_translated("AWS::Logs::LogGroup", Stage=stage).values()
    assert groups
    assert all(int(group["RetentionInDays"]) <= 30 for group in groups)


@stages
def test_what_is_erased_is_gone_everywhere_within_thirty_days(stage):
    tables = find_translated("AWS::DynamoDB::Table", Stage=stage)
    windows = {
        name: int(table["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"])
        for name, table in tables.items()
        if name in {"Table", "Records/Erasure/ErasureLedger"}
    }
    # A step of an erasure that takes longer than this has left the queue, and is a dead letter.
    processing = find_translated("AWS::SQS::Queue")["Records/Erasure/ErasureQueue"]["MessageRetentionPeriod"] / 86_400
    assert windows["Table"] + processing < 30
    # The ledger names the user until the table's window has ended, and then its own backups do.
    assert windows["Table"] + processing + windows["Records/Erasure/ErasureLedger"] < 30


def test_a_consumer_of_a_queue_follows_the_pattern():
    functions, queues = (
        find_translated(kind, **WHOLE).values() for kind in ("AWS::Lambda::Function", "AWS::SQS::Queue")
    )
    timeouts = {function["FunctionName"]: function["Timeout"] for function in functions}
    attributes = {queue["QueueName"]: queue for queue in queues if "QueueName" in queue}
    mappings = find_translated("AWS::Lambda::EventSourceMapping", **WHOLE)
    consumers = [mapping for mapping in mappings.values() if ":sqs:" in mapping["EventSourceArn"]]
    assert len(consumers) >= 4
    for consumer in consumers:
        queue = attributes[consumer["EventSourceArn"].rpartition(":")[2]]
        assert queue["VisibilityTimeout"] >= 6 * timeouts[consumer["FunctionName"]], queue
        assert consumer["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert consumer["ScalingConfig"]["MaximumConcurrency"] >= 2
        # What is of no use after minutes expires instead.
        assert "RedrivePolicy" in queue or queue["MessageRetentionPeriod"] <= 600, queue


@pytest.mark.parametrize(("traces", "mode"), [("on", "Active"), ("off", "PassThrough")])
@functions
def test_traces_are_one_setting(name, traces, mode):
    function = translate_stack(Traces=f'"{traces}"', **WHOLE).resources[name].properties
    assert function["TracingConfig"] == {"Mode": mode}
    assert name not in ROUTED or function["Environment"]["Variables"]["TRACES"] == traces


@functions
def test_no_parameter_moves_a_deployed_functions_services(name):
    variables = read_function(name)["Environment"]["Variables"]
    assert variables["AWS_ENDPOINT_URL"] == ""
    assert variables.get("TOKEN_INTROSPECTION_URL", "") == ""
    assert variables.get("TABLE_NAME", "Table") == "Table"
    assert "AWS_SAM_LOCAL" not in variables
    assert not [variable for variable in variables if variable.startswith("AWS_ENDPOINT_URL_")]


def test_the_authorizer_of_the_api_that_streams_knows_each_route_with_the_scopes_of_its_handler():
    known = json.loads(read_function("Streaming/AuthorizeToken")["Environment"]["Variables"]["ROUTE_SCOPES"])
    expected = {}
    for function in find_resources("AWS::Serverless::Function", "stacks/streaming.yaml").values():
        folder = (ROOT / "stacks" / function["Properties"]["CodeUri"]).resolve()
        for event in function["Properties"].get("Events", {}).values():
            (scope,) = re.findall(r'@streaming_endpoint\(scope="(.+)"\)', (folder / "app.py").read_text())
            action, _, noun = scope.partition(":")
            route = event["Properties"]["Method"].upper() + event["Properties"]["Path"]
            expected[route] = [scope, f"{noun}/{action}"]
    assert known == expected


@functions
def test_a_function_is_watched(name):
    """A failing route shows in the gateway's metrics; a background function has an alarm on its own errors."""
    if name in SERVING:
        return
    physical = translate_stack(**WHOLE).functions[name].name
    alarms = find_translated("AWS::CloudWatch::Alarm", **WHOLE).values()
    metrics = [
        metric
        for alarm in alarms
        for metric in [
            alarm,
            *(entry["MetricStat"]["Metric"] for entry in alarm.get("Metrics", ()) if "MetricStat" in entry),
        ]
    ]
    watched = {
        (metric.get("Namespace"), metric.get("MetricName"), dimension["Value"])
        for metric in metrics
        for dimension in metric.get("Dimensions", ())
    }
    assert ("AWS/Lambda", "Errors", physical) in watched


def test_an_alarm_watches_every_route_of_the_gateway():
    (query,) = translate_stack().resources["Operations/RouteFailures"].properties["Metrics"]
    assert """WHERE ApiId = 'Api' GROUP BY "Method", "Resource" ORDER BY""" in query["Expression"]
    assert 'SUM("5xx")' in query["Expression"]
    assert TEMPLATE["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]["DetailedMetricsEnabled"] is True


def test_an_alarm_watches_the_api_that_streams():
    metrics = translate_stack().resources["Streaming/StreamingFailed"].properties["Metrics"]
    (gateway, function) = (metric["MetricStat"]["Metric"] for metric in metrics if "MetricStat" in metric)
    assert (gateway["MetricName"], gateway["Dimensions"]) == (
        "5XXError",
        [{"Name": "ApiName", "Value": "local-streaming"}],
    )
    (variables,) = {read_function(name)["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] for name in STREAMING}
    assert (function["MetricName"], function["Dimensions"]) == (
        "ServerErrors",
        [{"Name": "service", "Value": variables}],
    )


def test_an_alarm_watches_the_internal_api():
    alarm = translate_stack().resources["Internal/InternalFailed"].properties
    assert (alarm["MetricName"], alarm["Dimensions"]) == ("5XXError", [{"Name": "ApiName", "Value": "local-internal"}])


@pytest.mark.parametrize("kind", ["AWS::DynamoDB::Table", "AWS::Cognito::UserPool"])
def test_data_and_users_stay_when_the_stack_is_deleted_but_not_when_its_creation_fails(kind):
    kept = [resource for template in list_templates() for resource in find_resources(kind, template).values()]
    assert kept
    policies = [(resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) for resource in kept]
    assert set(policies) == {("RetainExceptOnCreate", "Retain")}


def test_the_table_keeps_what_it_is_given():
    ((name, table),) = find_resources("AWS::DynamoDB::Table").items()
    assert name == "Table"
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert [key["AttributeName"] for key in properties["KeySchema"]] == ["pk", "sk"]
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
        # Cognito takes http in callback URLs for localhost alone («AWS::Cognito::UserPoolClient»).
        ("AllowedOrigin", ["http://app.example.com", "http://localhost.example.com", "http://127.0.0.1:3000"]),
        ("Issuer", ["issuer.example.com", "https://a b", "https://a?b", "ftp://a"]),
        # API Gateway fetches the issuer's keys over https; `make run` also from an issuer on the same machine.
        ("Issuer", ["http://issuer.example.com/", "http://localhost.example.com/", "http://127.0.0.1.example.com/"]),
        ("Audience", ["a b", " "]),
    ],
)
def test_a_parameter_refuses_what_could_not_work(name, bad):
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert not [value for value in bad if re.fullmatch(pattern, value)]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("AllowedOrigin", ["https://app.example.com", "https://app.example.com:8443", "http://localhost:5173"]),
        ("Issuer", ["https://tenant.eu.auth0.com/", "http://127.0.0.1:3000/_local/issuer", "http://localhost:8080/a"]),
    ],
)
def test_a_parameter_takes_what_works(name, good):
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert [value for value in good if re.fullmatch(pattern, value)] == good


@pytest.mark.parametrize("template", list_templates())
def test_a_setting_has_a_value_for_each_stage(template):
    for setting, values in load_template(template).get("Mappings", {}).get("Stages", {}).items():
        assert list(values) == TEMPLATE["Parameters"]["Stage"]["AllowedValues"], setting


@pytest.mark.parametrize("application", find_resources("AWS::Serverless::Application"))
def test_a_nested_application_gets_each_parameter_that_it_declares(application):
    block = find_resources("AWS::Serverless::Application")[application]["Properties"]
    declared = load_template(block["Location"])["Parameters"]
    required = {name for name, parameter in declared.items() if "Default" not in parameter}
    assert required <= block["Parameters"].keys() <= declared.keys()
    assert all(parameter["Description"] for parameter in declared.values())


@pytest.mark.parametrize("template", list_templates())
def test_outputs_are_described_and_hold_no_secret(template):
    for output in load_template(template).get("Outputs", {}).values():
        assert output["Description"]
        value = output["Value"]
        assert "ClientSecret}" not in str(value)
        assert "resolve:secretsmanager" not in str(value)
        assert not (
            isinstance(value, dict) and value.get("Fn::GetAtt", ["", ""])[1] in ("ClientSecret", "SecretString")
        )


def test_user_pool_outputs_are_there_only_with_the_pool():
    for name, output in TEMPLATE["Outputs"].items():
        reads_identity = isinstance(output["Value"], dict) and output["Value"].get("Fn::GetAtt", [""])[0] == "Identity"
        assert (output.get("Condition") == "MakesUserPool") == reads_identity, name


@pytest.mark.parametrize(("named", "caller"), [("hashed", "-"), ("plain", "$context.authorizer.claims.sub")])
def test_access_logs_are_lines_of_json(named, caller):
    stage = translate_stack(CallerInLogs=named).resources["ApiApiGatewayDefaultStage"]
    text = stage.properties["AccessLogSettings"]["Format"]
    assert "\n" not in text.strip()
    line = json.loads(text)
    # The gateway inserts values unquoted, and "-" for a missing one.
    assert json.loads(re.sub(r"\$context\.[A-Za-z.]+", "-", text)).keys() == line.keys()
    assert {"requestId", "status", "route", "integrationError", "authorizerError"} <= set(line)
    # The gateway cannot hash.
    assert line["caller"] == caller
    assert "uthorization" not in text
    group = translate_stack(CallerInLogs=named).resources["AccessLogGroup"].properties["LogGroupName"]
    assert stage.properties["AccessLogSettings"]["DestinationArn"].endswith(f":log-group:{group}:*")
