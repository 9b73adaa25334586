"""What template.yaml says of the machine client, beyond what holds for every function and role."""

import json
from typing import Any

import boto3
import pytest

from local_engine.services import keep_secret, start_services
from tests.support.stack import find_resources, load_template


def find_condition(logical_id: str) -> str | None:
    return load_template()["Resources"][logical_id].get("Condition")


@pytest.mark.parametrize(
    "logical_id",
    [
        "MachineClientSecret",
        "RotateClientSecret",
        "RotateClientSecretLogGroup",
        "RotateClientSecretPermission",
    ],
)
def test_rotation_belongs_to_the_stacks_own_user_pool(logical_id: str) -> None:
    assert find_condition(logical_id) == "MakesUserPool"


def test_secret_starts_without_a_value_that_an_update_could_bring_back() -> None:
    properties = find_resources("AWS::SecretsManager::Secret")["MachineClientSecret"]["Properties"]
    assert properties["SecretString"] == "{}"
    assert "GenerateSecretString" not in properties


def test_secret_rotates_at_once_and_every_30_days() -> None:
    template = load_template()
    rotation = find_resources("AWS::SecretsManager::RotationSchedule")["MachineClientSecretRotation"]["Properties"]
    assert rotation["RotationRules"] == {"AutomaticallyAfterDays": {"Ref": "SecretRotationDays"}}
    assert rotation["RotateImmediatelyOnUpdate"] is True
    assert template["Parameters"]["SecretRotationDays"]["Default"] == 30
    assert find_condition("MachineClientSecretRotation") == "RotatesSecret"
    assert {"Condition": "MakesUserPool"} in template["Conditions"]["RotatesSecret"]["Fn::And"]


def test_only_secrets_manager_may_rotate_and_only_this_secret() -> None:
    permission = find_resources("AWS::Lambda::Permission")["RotateClientSecretPermission"]["Properties"]
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert permission["SourceArn"] == {"Ref": "MachineClientSecret"}


def test_no_value_of_the_template_is_a_secret() -> None:
    text = json.dumps(load_template(), default=str)
    assert "ClientSecret.ClientSecret" not in text
    assert "{{resolve:" not in text
    # `Fn::GetAtt: [MachineClient, ClientSecret]` would be the secret that Cognito makes with the client.
    assert list(find_attributes(load_template(), "MachineClient")) == []


def find_attributes(value: Any, logical_id: str) -> Any:
    if isinstance(value, dict):
        if "Fn::GetAtt" in value and logical_id in value["Fn::GetAtt"]:
            yield value
        for part in value.values():
            yield from find_attributes(part, logical_id)
    elif isinstance(value, list):
        for part in value:
            yield from find_attributes(part, logical_id)


def test_tokens_are_short_lived_as_the_parameter_says() -> None:
    parameter = load_template()["Parameters"]["MachineTokenMinutes"]
    assert (parameter["Default"], parameter["MinValue"], parameter["MaxValue"]) == (15, 5, 1440)
    client = find_resources("AWS::Cognito::UserPoolClient")["MachineClient"]["Properties"]
    assert client["AccessTokenValidity"] == {"Ref": "MachineTokenMinutes"}
    assert client["TokenValidityUnits"] == {"AccessToken": "minutes"}


def test_local_secret_replaces_that_of_an_earlier_start() -> None:
    services = start_services()
    try:
        for value in ("first", "second"):
            keep_secret("machine-client/Api", value, services.endpoint)
        client = boto3.client(
            "secretsmanager",
            endpoint_url=services.endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        assert client.get_secret_value(SecretId="machine-client/Api")["SecretString"] == "second"
    finally:
        services.stop()
