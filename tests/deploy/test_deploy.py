"""The stack deployed with SAM: complete, working, with the rights it needs and no others; changed and deleted."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployment import Deployment, is_emulated, load_event
from tests.deploy.emulator import REGION, Emulator
from tests.deploy.execution_role import ACCOUNT_CALLS, assume_role, list_secret_calls, list_table_calls
from tests.support.permissions import LOG_ACTIONS, list_functions, read_role, translate_stack
from tests.support.stack import ROOT, Route, list_creators, list_routes, load_template
from tools.stack import DeployedStack
from tools.targets import Client, find_deployed

ROUTES = {route.key: route for route in list_routes()}
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
DEPLOYED = [name for name in list_functions() if name in translate_stack().resources]
LOG_GROUP = "AWS::Logs::LogGroup"
TABLES = [name for name, entry in translate_stack().resources.items() if entry.type == "AWS::DynamoDB::Table"]
TRAIL = "Records/AuditTable"
WITH_TRAIL = {
    "Records/RecordChanges": {"dynamodb:PutItem"},
    "ListAuditEntries": {"dynamodb:Query"},
    "Streaming/ExportData": {"dynamodb:Query"},
}
EXAMPLES = (ROOT / "examples/resources.json").read_text()
REQUESTS = [name for name, event in FIXTURES.items() if "routeKey" in event]


def test_every_resource_of_the_template_is_deployed(deployment: Deployment) -> None:
    declared = Counter(
        resource.type
        for resource in translate_stack().resources.values()
        if is_emulated(resource.type, resource.properties)
    )
    assert Counter(resource["ResourceType"] for resource in deployment.resources.values()) == declared
    assert {resource["ResourceStatus"] for resource in deployment.resources.values()} == {"CREATE_COMPLETE"}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_function_answers_its_fixture(deployment: Deployment, name: str) -> None:
    _seed(deployment)
    event = FIXTURES[name]
    route = ROUTES[event["routeKey"]]
    if route.creator:
        event = _find_own(deployment, route)
    elif route in list_creators():
        # An erasure deletes what its user has.
        event = load_event(route.function, name)
    answer = deployment.invoke(route.function, event)
    # A part that is off by default is not there.
    assert answer["statusCode"] == (404 if event.get("optional") else route.success), answer
    if answer["body"]:
        body = json.loads(answer["body"])
        asked = event.get("pathParameters", {}) | (route.body if route.model else {})
        assert body == body | asked, "the answer is about another resource than the request"


def test_the_rotation_has_what_its_function_needs(deployment: Deployment) -> None:
    secret = deployment.find("Identity/MachineClientSecret")
    described = deployment.emulator.client("secretsmanager").describe_secret(SecretId=secret)
    (current,) = described["VersionIdsToStages"]
    # The emulator's Cognito has clients of one secret only, so what can be repeated is the end of a rotation.
    event = FIXTURES["rotate_client_secret"] | {"SecretId": secret, "ClientRequestToken": current}
    assert deployment.invoke("Identity/RotateClientSecret", event) is None


@pytest.mark.parametrize("function", DEPLOYED)
def test_a_role_can_do_what_its_policies_say_and_nothing_else(
    deployment: Deployment, others: dict[str, str], function: str
) -> None:
    _check_role(deployment, others, function)


@pytest.mark.parametrize("function", DEPLOYED)
def test_a_role_writes_into_the_functions_log_group_and_no_other(deployment: Deployment, function: str) -> None:
    # Simulated, since for a call the emulator looks for a policy on the log group, and AWS for one on its streams. The
    # simulation leaves boundaries out, so the role's policies and its boundary are asked one after the other.
    iam = deployment.emulator.client("iam")
    role = iam.get_role(RoleName=deployment.find(f"{function}Role"))["Role"]
    account = role["Arn"].split(":")[4]
    boundary = iam.get_policy(PolicyArn=role["PermissionsBoundary"]["PermissionsBoundaryArn"])["Policy"]
    version = iam.get_policy_version(PolicyArn=boundary["Arn"], VersionId=boundary["DefaultVersionId"])
    document = json.dumps(version["PolicyVersion"]["Document"])
    groups = {name for name, resource in deployment.resources.items() if resource["ResourceType"] == LOG_GROUP}
    allowed = set()
    for group in groups:
        stream = f"arn:aws:logs:{REGION}:{account}:log-group:{deployment.find(group)}:log-stream:today"
        about = {"ActionNames": [*LOG_ACTIONS, "logs:CreateLogGroup", "logs:DeleteLogStream"], "ResourceArns": [stream]}
        answers = [
            iam.simulate_principal_policy(PolicySourceArn=role["Arn"], **about),
            iam.simulate_custom_policy(PolicyInputList=[document], **about),
        ]
        decisions = [
            {result["EvalActionName"] for result in answer["EvaluationResults"] if result["EvalDecision"] == "allowed"}
            for answer in answers
        ]
        allowed |= {(group, action) for action in set.intersection(*decisions)}
    assert allowed == {("FunctionLogGroup", action) for action in LOG_ACTIONS}


def test_the_guided_deployment_asks_few_questions(deployment: Deployment) -> None:
    # Name, region, eleven parameters, and what the SAM CLI itself asks.
    assert deployment.questions <= 21


def test_a_stack_is_updated_in_place_and_leaves_its_table_when_deleted(
    emulator: Emulator, packaged: Path, others: dict[str, str]
) -> None:
    deployment = Deployment(emulator, packaged, "serverless-api-updated")
    deployment.deploy("--config-env", "dev")
    _seed(deployment)
    before, keys = deployment.resources, deployment.list_keys()
    assert keys

    # A write that the service is asked about reads and writes the state of its circuit, which its role must now allow.
    parameters = {"EnrichmentUrl": "https://127.0.0.1:9/", "ColdStart": "warm"}
    parameters |= {"AllowedRegions": f"eu-central-1,{REGION}"}
    deployment.deploy("--config-env", "dev", **parameters)
    after = deployment.resources
    # The routes are served by published versions: new values take effect in new versions of all functions.
    changed = {
        name for name in after if after[name]["PhysicalResourceId"] != before.get(name, {}).get("PhysicalResourceId")
    }
    published = {name[: name.index("Version")] for name in changed if "Version" in name}
    assert published == {route.function for route in list_routes()}
    assert deployment.list_keys() == keys
    for function in ("CreateResource", "UpdateResource"):
        _check_role(deployment, others, function, **parameters)
    answer = deployment.invoke("UpdateResource", FIXTURES["update_resource"])
    assert answer["statusCode"] == 200
    warm = deployment.invoke("Readiness/WarmFunctions", FIXTURES["warm_functions"])
    assert {arn.rpartition(":")[2] for arn in warm} == {"live"}
    assert all(warm.values()), "no environment has answered"

    table = deployment.find("Table")
    deployment.delete()
    stacks = emulator.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
    assert deployment.name not in {stack["StackName"] for stack in stacks["StackSummaries"]}
    functions = emulator.client("lambda").list_functions()["Functions"]
    assert not [item for item in functions if item["FunctionName"].startswith(f"{deployment.name}-")]
    items = emulator.client("dynamodb").scan(TableName=table)["Items"]
    # The user pool is retained too (tests/contract), but the emulator deletes whatever a nested application has.
    assert keys <= {item["sk"]["S"] for item in items}


def test_the_smoke_test_finds_all_that_it_needs_in_the_stack(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployment.emulator.environment.items():
        monkeypatch.setenv(name, value)
    # The emulator has no rotation, which would write it.
    secret = {
        "SecretId": deployment.find("Identity/MachineClientSecret"),
        "SecretString": '{"clientSecret": "rotated"}',
    }
    deployment.emulator.client("secretsmanager").put_secret_value(**secret)
    stack = DeployedStack(deployment.name, REGION)
    target = find_deployed(stack, {})
    client_id = deployment.find("Identity/MachineClient")
    assert target.client == Client(client_id, "rotated", stack.read_outputs()["TokenEndpoint"], {})
    assert target.url == stack.read_outputs()["ApiUrl"]
    # By default there is no search.
    expected = {name for name, output in load_template()["Outputs"].items() if output.get("Condition") != "Searches"}
    assert expected <= stack.read_outputs().keys()


def test_the_outputs_name_what_the_stack_has(deployment: Deployment) -> None:
    stack = deployment.emulator.client("cloudformation").describe_stacks(StackName=deployment.name)["Stacks"][0]
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
    for output, resource in {
        "TableName": "Table",
        "UserClientId": "Identity/UserClient",
        "MachineClientId": "Identity/MachineClient",
        "MachineClientSecretArn": "Identity/MachineClientSecret",
        "AlarmTopicArn": "AlarmTopic",
        "PagingTopicArn": "Operations/PagingTopic",
        "EventBusName": "Records/EventBus",
    }.items():
        assert outputs[output] == deployment.find(resource)
    assert deployment.find("Api") in outputs["ApiUrl"]
    assert deployment.find("Identity/UserPool") in outputs["Issuer"]
    assert outputs["DashboardUrl"].endswith(f"#dashboards/dashboard/{deployment.find('Operations/Dashboard')}")
    queues = outputs["DeadLetterQueueUrls"].split(",")
    assert deployment.find("DeadLetters") in queues
    assert all(deployment.emulator.client("sqs").get_queue_attributes(QueueUrl=queue) for queue in queues)


def test_production_does_not_lose_its_table_and_user_pool(emulator: Emulator, packaged: Path) -> None:
    deployment = Deployment(emulator, packaged, "production")
    deployment.deploy("--config-env", "prod", Stage="prod")
    dynamodb, table = emulator.client("dynamodb"), deployment.find("Table")
    with pytest.raises(dynamodb.exceptions.ClientError, match="deletion protection"):
        dynamodb.delete_table(TableName=table)
    pool = emulator.client("cognito-idp").describe_user_pool(UserPoolId=deployment.find("Identity/UserPool"))
    assert pool["UserPool"]["DeletionProtection"] == "ACTIVE"
    stack = emulator.client("cloudformation").describe_stacks(StackName=deployment.name)["Stacks"][0]
    assert {"Key": "stage", "Value": "prod"} in stack["Tags"]


def test_people_are_created_by_an_administrator_and_machines_get_their_own_flow(deployment: Deployment) -> None:
    cognito, pool = deployment.emulator.client("cognito-idp"), deployment.find("Identity/UserPool")
    # What the emulator stores; it lets anyone sign up all the same.
    config = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["AdminCreateUserConfig"]
    assert config["AllowAdminCreateUserOnly"] in (True, "true")
    email = [{"Name": "email", "Value": "first@example.com"}, {"Name": "email_verified", "Value": "true"}]
    user = cognito.admin_create_user(UserPoolId=pool, Username="first@example.com", UserAttributes=email)["User"]
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    flows = {}
    for client in ("UserClient", "MachineClient"):
        key = {"UserPoolId": pool, "ClientId": deployment.find(f"Identity/{client}")}
        described = cognito.describe_user_pool_client(**key)["UserPoolClient"]
        flows[client] = described["AllowedOAuthFlows"], sorted(described["ExplicitAuthFlows"])
    assert flows == {
        "UserClient": (["code"], ["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"]),
        "MachineClient": (["client_credentials"], ["ALLOW_REFRESH_TOKEN_AUTH"]),
    }


def test_a_stack_whose_creation_failed_leaves_nothing_and_can_be_created_again(
    emulator: Emulator, packaged: Path
) -> None:
    failing = json.loads(packaged.read_text())
    # Fails last, by a signal that never comes.
    failing["Resources"] |= {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Never": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "DependsOn": ["Table", "Identity", "Operations"],
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "1"},
        },
    }
    path = packaged.with_name("failing.json")
    path.write_text(json.dumps(failing))
    name = "serverless-api-retried"
    Deployment(emulator, path, name).refuse("--config-env", "dev")
    pages = emulator.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=name)
    events = [event for page in pages for event in page["StackEvents"]]
    made = {event["LogicalResourceId"] for event in events if event["ResourceStatus"] == "CREATE_COMPLETE"}
    assert {"Table", "Identity"} <= made
    assert "DELETE_SKIPPED" not in {event["ResourceStatus"] for event in events}
    tables = emulator.client("dynamodb").list_tables()["TableNames"]
    assert not [table for table in tables if table.startswith(name)]
    pools = emulator.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
    assert not [pool for pool in pools if pool["Name"].startswith(name)]

    deployment = Deployment(emulator, packaged, name)
    deployment.delete()
    deployment.deploy("--config-env", "dev")
    table = deployment.find("Table")
    deployment.delete()
    assert table in emulator.client("dynamodb").list_tables()["TableNames"]


def test_a_stack_is_refused_in_a_region_that_is_not_allowed(emulator: Emulator, packaged: Path) -> None:
    deployment = Deployment(emulator, packaged, "elsewhere")
    said = deployment.refuse(AllowedRegions="eu-central-1,eu-west-1")
    assert load_template()["Rules"]["RegionIsAllowed"]["Assertions"][0]["AssertDescription"] in said
    tables = emulator.client("dynamodb").list_tables()["TableNames"]
    assert not [table for table in tables if table.startswith("elsewhere-")]


@pytest.fixture(scope="session")
def others(emulator: Emulator) -> dict[str, str]:
    """A table and a secret of the same account that are none of the stack's business."""
    table = emulator.client("dynamodb").create_table(
        TableName="other-table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    secret = emulator.client("secretsmanager").create_secret(Name="other-secret", SecretString="{}")
    return {"table": table["TableDescription"]["TableName"], "secret": secret["ARN"]}


def _seed(deployment: Deployment) -> None:
    """Put the resources that the fixtures speak of into the stack's table."""
    requests = {deployment.find(table): items for table, items in json.loads(EXAMPLES).items()}
    deployment.emulator.client("dynamodb").batch_write_item(RequestItems=requests)


def _find_own(deployment: Deployment, route: Route) -> dict[str, Any]:
    """Have a user create what a route's path names, and return the route's event about it."""
    assert route.creator
    creation = load_event(route.creator.function, route.function)
    # A key that another test has used would have that one's item.
    creation["headers"].pop("idempotency-key", None)
    created = json.loads(deployment.invoke(route.creator.function, creation)["body"])
    return load_event(route.function, route.function) | {"pathParameters": {"id": created["id"]}}


def _check_role(deployment: Deployment, others: dict[str, str], function: str, **parameters: str) -> None:
    stated = read_role(function, **parameters).resources
    calls = ACCOUNT_CALLS.copy()
    if "Identity/MachineClientSecret" in deployment.resources:
        calls |= list_secret_calls(deployment.find("Identity/MachineClientSecret"))
    calls_elsewhere = list_table_calls(others["table"]) | list_secret_calls(others["secret"])
    with assume_role(deployment, function) as role:
        allowed = {action for action, call in calls.items() if role.may(call)}
        allowed_elsewhere = {action for action, call in calls_elsewhere.items() if role.may(call)}
        allowed_in = {
            table: {action for action, call in list_table_calls(deployment.find(table)).items() if role.may(call)}
            for table in TABLES
        }
    assert allowed == stated.keys() & calls.keys()
    assert not allowed_elsewhere
    for table, actions in allowed_in.items():
        name = f":table/{table.replace('/', '-')}"
        own = {action for action, arns in stated.items() if any(arn.endswith(name) for arn in arns)}
        assert actions == own & list_table_calls(table).keys(), table
    # One role appends to the trail, two read it, and none changes or deletes an entry.
    assert allowed_in[TRAIL] == WITH_TRAIL.get(function, set())
