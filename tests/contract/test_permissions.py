"""Each function's statements allow exactly what its code sends, and its boundary caps everything else."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from local_engine.template import ACCOUNT_ID, REGION
from local_engine.testing import free_port, poll
from tests.support.dynamodb import DynamoDB, Refusal
from tests.support.gateway import ENVIRONMENT, Answer, Gateway, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.items import call, find_path, find_source
from tests.support.permissions import (
    ALWAYS_MANAGED,
    LOG_ACTIONS,
    MANAGED_POLICIES,
    TRACE_ACTIONS,
    allows,
    as_list,
    find_translated,
    list_functions,
    read_role,
    translate_stack,
)
from tests.support.secret_rotation_aws import AWS, STEPS, Function
from tests.support.stack import find_resources, list_creators, list_routes
from tests.support.tables import TABLES, create_table

FUNCTIONS = {route.key: route.function for route in list_routes()}
# What a function without policies may do is nothing.
WITHOUT_POLICIES = {"Streaming/AuthorizeToken"} | {
    name
    for name, function in find_resources("AWS::Serverless::Function").items()
    if "Policies" not in function["Properties"]
}
# With these parameters each function of the template is in the stack.
ALL_FUNCTIONS = {"ColdStart": "warm", "CacheSize": '"0.5"', "Intelligence": "on"}
STACK_NAME = "local"
# The functions of one stack with their versions, deployment groups of one application, streams of a log group or table,
# the reads of the internal API.
PARTS_OF_ONE = re.compile(
    rf"arn:aws:(lambda:[^*]*:function:{STACK_NAME}-|codedeploy:[^*]*:deploymentgroup:\w+/|logs:[^*]*:log-group:\w+:"
    rf"|dynamodb:[^*]*:table/[\w-]+/(stream|index)/|s3:::[\w-]+/|execute-api:[^*]*:Internal-InternalApi/v1/GET/users/"
    rf"|scheduler:[^*]*:schedule/[\w-]+/|iam::\d+:role/{STACK_NAME}-)\*"
)
TOO_LARGE = Refusal("ValidationException", message="Item size has exceeded the maximum allowed size")


class RecordingGateway(Gateway):
    """The API, and what each of its functions asks of IAM."""

    def __init__(self, handlers: Mapping[str, Any], requests: list[Request]) -> None:
        super().__init__(handlers)
        self._requests = requests
        self.used: dict[str, set[str]] = defaultdict(set)

    def invoke(self, event: Mapping[str, Any]) -> Answer:
        before = len(self._requests)
        answer = super().invoke(event)
        for request in self._requests[before:]:
            self.used[FUNCTIONS[event["routeKey"]]] |= _actions(request)
        return answer


def _actions(request: Request) -> set[str]:
    if request.target.startswith("/model/"):
        return {"bedrock:InvokeModel"}
    if "X-Amz-Target" not in request.headers:
        return {{"PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}[request.method]}
    operation = request.headers["X-Amz-Target"].partition(".")[2]
    if operation == "TransactWriteItems":
        # It has no action of its own: each part needs the one of its name («Using IAM with DynamoDB transactions»,
        # Amazon DynamoDB Developer Guide).
        kinds = [kind for item in json.loads(request.body)["TransactItems"] for kind in item]
        return {"dynamodb:ConditionCheckItem" if kind == "ConditionCheck" else f"dynamodb:{kind}Item" for kind in kinds}
    return {f"dynamodb:{operation}"}


@contextmanager
def _record(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[tuple[RecordingGateway, DynamoDB]]:
    # Some settings are read when a request needs them.
    for name, value in {**ENVIRONMENT, **environment}.items():
        monkeypatch.setenv(name, value)
    with DynamoDB() as dynamodb, httpx.Client(base_url=dynamodb.url, trust_env=False) as forward:

        def answer(request: Request) -> Reply:
            passed = forward.request(
                request.method, request.target, content=request.body, headers=list(request.headers.items())
            )
            return make_reply(passed.content, passed.status_code)

        table = boto3.client("dynamodb", region_name=ENVIRONMENT["AWS_REGION"], endpoint_url=dynamodb.url)
        for variable in TABLES:
            create_table(table, ENVIRONMENT[variable])
        try:
            with (
                Server(answer) as recorder,
                import_functions({"AWS_ENDPOINT_URL": recorder.url, **environment}) as handlers,
            ):
                yield RecordingGateway(handlers, recorder.requests), dynamodb
        finally:
            for variable in TABLES:
                table.delete_table(TableName=ENVIRONMENT[variable])


def _use_every_route(api: RecordingGateway, dynamodb: DynamoDB) -> None:
    """Make each function send every kind of call that it can."""
    for creator in filter(lambda route: route.takes("Idempotency-Key"), list_creators()):
        key = {"Idempotency-Key": "once"}
        first, again = call(creator, api.send, headers=key), call(creator, api.send, headers=key)
        assert (first.status, again.body) == (creator.success, first.body)
        # A rejected write releases its idempotency key.
        dynamodb.fail("TransactWriteItems", TOO_LARGE)
        assert call(creator, api.send, headers={"Idempotency-Key": "refused"}).status == 413
    for route in list_routes():
        assert call(route, api.send).status == route.success
        if route.takes("sort"):
            # Another order comes from an index, and the items from the table.
            call(find_source(route), api.send)
            assert call(route, api.send, query={"sort": "updatedAt"}).status == route.success


def test_statements_allow_what_the_routes_functions_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with _record(monkeypatch) as (api, dynamodb):
        _use_every_route(api, dynamodb)
    used = {function: set() for function in FUNCTIONS.values()} | api.used
    allowed = {function: set(read_role(function, Intelligence="on").resources) for function in FUNCTIONS.values()}
    assert used == allowed


@pytest.mark.slow
def test_statements_allow_what_enriching_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}/"
    settings = {"ENRICHMENT_URL": unreachable, "CIRCUIT_THRESHOLD": "1", "CIRCUIT_RESET_SECONDS": "1"}
    parameters = {"EnrichmentUrl": unreachable, "Intelligence": "on"}
    allowed = {function: set(read_role(function, **parameters).resources) for function in FUNCTIONS.values()}
    with _record(monkeypatch, **settings) as (api, dynamodb):
        _use_every_route(api, dynamodb)

        # Made before, so that the half-open circuit probes through the function that has yet to show its calls.
        paths = {route: find_path(route, api.send) for route in list_routes()}

        def has_used_all() -> bool:
            for route, path in paths.items():
                if not allowed[route.function] <= api.used[route.function]:
                    call(route, api.send, path)
            return all(allowed[function] <= api.used[function] for function in allowed)

        # Whether the service is back is asked again only when the circuit has been open for a while.
        poll(has_used_all, f"the roles allow {allowed}, and of this is used: {api.used}", seconds=60)
    assert api.used == allowed


@pytest.mark.slow
def test_the_rotations_role_allows_what_a_rotation_does(tmp_path: Path) -> None:
    aws, used = AWS(), set()
    with Function(aws, tmp_path / "function.log") as function:
        # Cognito keeps two secrets a client, so a later rotation has to delete one first.
        for _ in range(3):
            version = aws.begin_rotation()
            for step in STEPS:
                assert function.run(step, version) == 0
                used |= set(function.calls)
    used -= {"/oauth2/token"}  # authenticated with the client's secret, not by IAM
    assert used == {action.partition(":")[2] for action in read_role("Identity/RotateClientSecret").resources}


@pytest.mark.parametrize("function", list_functions())
def test_a_function_has_a_role_that_only_lambda_can_assume(function: str) -> None:
    resources = translate_stack(**ALL_FUNCTIONS).resources
    name = f"{function}Role"
    assert resources[function].properties["Role"] == f"arn:aws:iam::{ACCOUNT_ID}:role/{find_name(name, resources)}"
    (statement,) = resources[name].properties["AssumeRolePolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": ["lambda.amazonaws.com"]},
        "Action": ["sts:AssumeRole"],
    }


def test_every_role_has_a_boundary_except_those_of_codedeploy_and_api_gateway() -> None:
    roles = find_translated("AWS::IAM::Role", **ALL_FUNCTIONS)
    unbounded = {name for name, role in roles.items() if "PermissionsBoundary" not in role}
    assert unbounded == {"RollOutRole", "Streaming/GatewayLogRole", "Internal/GatewayLogRole"}


def test_an_export_reads_tables_and_the_authorizer_reaches_nothing() -> None:
    tables = {
        f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}"
        for name in ("Table", "Records-AuditTable", "Records-Erasure-ErasureLedger")
    }
    assert read_role("Streaming/ExportData").resources == {"dynamodb:Query": tables}
    assert not read_role("Streaming/AuthorizeToken").resources


def test_answers_reach_the_table_its_index_and_two_models_if_there_are_answers() -> None:
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/Table"
    model = f"arn:aws:bedrock:{REGION}::foundation-model/"
    allowed = {
        **{f"dynamodb:{action}": {table} for action in ("BatchGetItem", "GetItem", "UpdateItem")},
        "dynamodb:SearchVectors": {f"{table}/index/VectorsA"},
        "bedrock:InvokeModel": {f"{model}amazon.titan-embed-text-v2:0"},
        "bedrock:InvokeModelWithResponseStream": {f"{model}amazon.nova-lite-v1:0"},
    }
    assert read_role("Streaming/AnswerQuestion", Intelligence="on").resources == allowed
    guardrail = f"arn:aws:bedrock:{REGION}:{ACCOUNT_ID}:guardrail/abc"
    guarded = read_role("Streaming/AnswerQuestion", Intelligence="on", Guardrail='"abc:1"').resources
    assert guarded == {**allowed, "bedrock:ApplyGuardrail": {guardrail}}
    assert not read_role("Streaming/AnswerQuestion").resources


def test_a_function_of_the_internal_api_may_do_what_its_twin_of_the_other_api_may() -> None:
    twins = {"List": "ListResources"} | {verb: f"{verb}Resource" for verb in ("Create", "Get", "Update", "Delete")}
    for url in ("", "https://enrichment.example.com/"):
        for verb, twin in twins.items():
            own = f"Internal/{verb}User{twin.removeprefix(verb)}"
            allowed = read_role(twin, EnrichmentUrl=url).resources
            if verb == "List":
                # It lists everything, newest first, and so reads no index.
                allowed = {"dynamodb:Query": {arn for arn in allowed["dynamodb:Query"] if "/index/" not in arn}}
            assert read_role(own, EnrichmentUrl=url).resources == allowed, verb


@pytest.mark.parametrize("schedule", ["Identity/RotateClientSecretRetirement", "Readiness/WarmFunctionsSchedule"])
def test_a_schedules_boundary_lets_it_invoke_its_function(schedule: str) -> None:
    resources = translate_stack(**ALL_FUNCTIONS).resources
    role = read_role(schedule, **ALL_FUNCTIONS)
    target = resources[schedule].properties["Target"]
    assert target["RoleArn"].endswith(f":role/{find_name(f'{schedule}Role', resources)}")
    assert role.own == {
        "lambda:InvokeFunction": {target["Arn"]},
        "sqs:SendMessage": {target["DeadLetterConfig"]["Arn"]},
    }
    assert all(role.may(action, resource) for action, resources in role.own.items() for resource in resources)


@pytest.mark.parametrize("function", list_functions())
def test_sam_attaches_only_the_managed_policies_that_the_boundary_caps(function: str) -> None:
    # Those of its triggers' kinds come on top.
    managed = read_role(function, **ALL_FUNCTIONS).managed
    assert ALWAYS_MANAGED <= managed <= MANAGED_POLICIES.keys()


@pytest.mark.parametrize("function", list_functions())
def test_a_role_reaches_the_stacks_own_log_group_and_no_other(function: str) -> None:
    role = read_role(function, **ALL_FUNCTIONS)
    # `:*` are the streams of the group: what both actions are about («CloudWatch Logs resources and operations», Amazon
    # CloudWatch Logs User Guide).
    group = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:FunctionLogGroup"
    for action in LOG_ACTIONS:
        assert role.boundary[action] == {f"{group}:*"}
        assert role.may(action, f"{group}:log-stream:today")
        assert not role.may(action, f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:other:log-stream:today")
    assert not role.may("logs:CreateLogGroup", group)
    assert all(role.may(action, "*") for action in TRACE_ACTIONS)


@pytest.mark.parametrize("function", list_functions())
def test_a_boundary_lets_pass_what_the_function_states(function: str) -> None:
    role = read_role(function, **ALL_FUNCTIONS, EnrichmentUrl="https://enrichment.example.com/")
    assert role.resources or role.managed - ALWAYS_MANAGED or function in WITHOUT_POLICIES
    for action, resources in role.own.items():
        for resource in resources:
            # The reader names a role without the stack, whose name is the start of its name in AWS.
            named = resource.replace(":role/", f":role/{STACK_NAME}-")
            assert allows(role.boundary, action, named), f"the boundary denies {action} on {resource}"


def test_every_boundary_of_tables_lets_dynamodb_use_its_key() -> None:
    for name, policy in find_translated("AWS::IAM::ManagedPolicy", **ALL_FUNCTIONS).items():
        statements = [statement for statement in policy["PolicyDocument"]["Statement"] if isinstance(statement, dict)]
        actions = {action for each in statements for action in as_list(each["Action"])}
        conditions = [each["Condition"] for each in statements if "kms:Decrypt" in as_list(each["Action"])]
        via_dynamodb = {"StringEquals": {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}}
        uses_tables = any(action.startswith("dynamodb:") for action in actions)
        assert (via_dynamodb in conditions) == uses_tables, name
        if actions & {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}:
            assert actions >= {"kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}, name


@pytest.mark.parametrize("function", list_functions())
def test_a_failed_event_goes_to_the_dead_letter_queue_alone(function: str) -> None:
    sent = read_role(function, **ALL_FUNCTIONS).own.get("sqs:SendMessage", frozenset())
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:DeadLetters"
    assert (queue in sent) == has_failure_destination(function)
    # To any other queue it sends on purpose, and so knows its URL.
    known = translate_stack(**ALL_FUNCTIONS).functions[function].environment.values()
    urls = {str(value).rpartition("/")[2] for value in known if str(value).startswith("http")}
    assert {arn.rpartition(":")[2] for arn in sent - {queue}} <= urls


def has_failure_destination(function: str) -> bool:
    """Return whether a function has a destination for failed events, of asynchronous invocations or of a stream."""
    resources = translate_stack(**ALL_FUNCTIONS).resources
    settings = [
        item.properties
        for item in resources.values()
        if item.type == "AWS::Lambda::EventInvokeConfig"
        or (item.type == "AWS::Lambda::EventSourceMapping" and "DestinationConfig" in item.properties)
    ]
    return any(setting["FunctionName"] == find_name(function, resources) for setting in settings)


@pytest.mark.parametrize("function", list_functions())
def test_statements_name_every_action_and_every_resource(function: str) -> None:
    role = read_role(function, **ALL_FUNCTIONS)
    for action, resources in [*role.own.items(), *role.boundary.items()]:
        assert "*" not in action
        wide = [resource for resource in resources if "*" in resource and not PARTS_OF_ONE.fullmatch(resource)]
        assert not wide or action in TRACE_ACTIONS


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_a_routes_function_reaches_the_stacks_own_tables_and_files_and_nothing_else(function: str) -> None:
    allowed = read_role(function, EnrichmentUrl="https://enrichment.example.com/", Intelligence="on").resources
    # A search also reaches one index and one model.
    own = re.compile(
        rf"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/(Table(/index/\w+)?|Records-[\w-]+)"
        rf"|arn:aws:s3:::records-[\w-]+/\*|arn:aws:bedrock:{REGION}::foundation-model/amazon.titan-embed-text-v2:0"
    )
    assert allowed or function in WITHOUT_POLICIES
    assert [arn for resources in allowed.values() for arn in resources if not own.fullmatch(arn)] == []


def test_the_hook_may_do_what_its_code_does() -> None:
    code_deploy = f"arn:aws:codedeploy:{REGION}:{ACCOUNT_ID}"
    groups = f"{code_deploy}:deploymentgroup:ServerlessDeploymentApplication/*"
    stack = translate_stack()
    stack_id = stack.functions["VerifyVersions"].environment["STACK_ID"]
    assert read_role("VerifyVersions").resources == {
        "lambda:InvokeFunction": {f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{STACK_NAME}-*"},
        "codedeploy:GetDeployment": {groups},
        "codedeploy:GetApplicationRevision": {f"{code_deploy}:application:ServerlessDeploymentApplication"},
        "codedeploy:PutLifecycleEventHookExecutionStatus": {groups},
        "cloudformation:ListStackResources": {stack_id},
    }


def find_name(logical_id: str, resources: Mapping[str, Any]) -> str:
    """The physical name of a function or role."""
    stack = translate_stack(**ALL_FUNCTIONS)
    return stack.functions[logical_id].name if logical_id in stack.functions else logical_id.replace("/", "-")
