"""Calls of AWS services with the credentials of a function's execution role."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.deploy.deployment import Deployment, invoke_function
from tests.deploy.emulator import REGION

# Only Lambda can assume the role, so its credentials come from a function.
_CODE = """
import os

def handler(event, context):
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""
_REFUSALS = {"AccessDenied", "AccessDeniedException"}
# Keeps the descriptions of services, which take longer to read than a call.
_SESSION = boto3.Session(region_name=REGION)

type Call = tuple[str, str, dict[str, Any]]
"""Service, method of its client, parameters."""


class ExecutionRole:
    """An execution role's credentials."""

    def __init__(self, url: str, credentials: list[str]) -> None:
        key, secret, token = credentials
        options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
        config = Config(retries={"total_max_attempts": 1})
        self._connect = cache(partial(_SESSION.client, endpoint_url=url, config=config, **options))

    def may(self, call: Call) -> bool:
        """Return whether the role is allowed a call; errors other than a denial count as allowed."""
        service, method, parameters = call
        try:
            getattr(self._connect(service), method)(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"] not in _REFUSALS
        return True


@contextmanager
def assume_role(deployment: Deployment, function: str) -> Iterator[ExecutionRole]:
    """Yield the execution role of a function, given its logical ID."""
    functions = deployment.emulator.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("app.py", _CODE)
    role = functions.get_function_configuration(FunctionName=deployment.find(function))["Role"]
    name = f"{deployment.name}-role-of-{function.replace('/', '-')}"
    functions.create_function(
        FunctionName=name, Role=role, Runtime="python3.13", Handler="app.handler", Code={"ZipFile": archive.getvalue()}
    )
    try:
        yield ExecutionRole(deployment.emulator.url, invoke_function(deployment.emulator, name, {}))
    finally:
        functions.delete_function(FunctionName=name)


_KEY = {"pk": {"S": "none"}, "sk": {"S": "none"}}
_CHECK = {"Key": _KEY, "ConditionExpression": "attribute_not_exists(pk)"}
_PARTITION = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": _KEY["pk"]}}


def list_table_calls(table: str) -> dict[str, Call]:
    """Return a call on a table for each DynamoDB action that a role could be granted by mistake."""
    name = {"TableName": table}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "BatchGetItem": ("batch_get_item", {"RequestItems": {table: {"Keys": [_KEY]}}}),
        "BatchWriteItem": ("batch_write_item", {"RequestItems": {table: [{"DeleteRequest": {"Key": _KEY}}]}}),
        "ConditionCheckItem": ("transact_write_items", {"TransactItems": [{"ConditionCheck": name | _CHECK}]}),
        "CreateBackup": ("create_backup", name | {"BackupName": "none"}),
        "DeleteItem": ("delete_item", name | {"Key": _KEY}),
        "DeleteTable": ("delete_table", name),
        "DescribeTable": ("describe_table", name),
        "GetItem": ("get_item", name | {"Key": _KEY}),
        "PartiQLSelect": ("execute_statement", {"Statement": f'SELECT * FROM "{table}"'}),
        "PutItem": ("put_item", name | {"Item": _KEY}),
        "Query": ("query", name | _PARTITION),
        "Scan": ("scan", name),
        "UpdateItem": ("update_item", name | {"Key": _KEY}),
        "UpdateTable": ("update_table", name | {"DeletionProtectionEnabled": False}),
        "UpdateTimeToLive": (
            "update_time_to_live",
            name | {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expiresAt"}},
        ),
    }
    return {f"dynamodb:{action}": ("dynamodb", *call) for action, call in calls.items()}


def list_secret_calls(secret: str) -> dict[str, Call]:
    """Return a call on a secret for each Secrets Manager action that a role could be granted by mistake."""
    name = {"SecretId": secret}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "DeleteSecret": ("delete_secret", name),
        "DescribeSecret": ("describe_secret", name),
        "GetResourcePolicy": ("get_resource_policy", name),
        "GetSecretValue": ("get_secret_value", name | {"VersionId": "0" * 32}),
        "ListSecretVersionIds": ("list_secret_version_ids", name),
        "PutSecretValue": ("put_secret_value", name | {"SecretString": "{}", "VersionStages": ["TRIED"]}),
        "RotateSecret": ("rotate_secret", name),
        "UpdateSecret": ("update_secret", name | {"Description": "tried"}),
        "UpdateSecretVersionStage": ("update_secret_version_stage", name | {"VersionStage": "TRIED"}),
    }
    return {f"secretsmanager:{action}": ("secretsmanager", *call) for action, call in calls.items()}


ACCOUNT_CALLS: dict[str, Call] = {
    "cognito-idp:ListUserPools": ("cognito-idp", "list_user_pools", {"MaxResults": 1}),
    "iam:ListRoles": ("iam", "list_roles", {}),
    "lambda:ListFunctions": ("lambda", "list_functions", {}),
    "logs:DescribeLogGroups": ("logs", "describe_log_groups", {}),
    "s3:ListAllMyBuckets": ("s3", "list_buckets", {}),
    "secretsmanager:ListSecrets": ("secretsmanager", "list_secrets", {}),
    "sqs:ListQueues": ("sqs", "list_queues", {}),
    "ssm:DescribeParameters": ("ssm", "describe_parameters", {}),
}
"""Calls that list an account's resources. No function sends one."""
