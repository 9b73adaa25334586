"""The machine client in stacks/identity.yaml, beyond what holds for every function and role."""

import json
from typing import Any

import boto3

from local_engine.services import keep_secret, start_services
from tests.support.stack import find_resources, load_template

IDENTITY = "stacks/identity.yaml"


def find(kind: str, logical_id: str) -> Any:
    return find_resources(kind, IDENTITY)[logical_id]["Properties"]


def read_settings(name: str) -> set[Any]:
    """A setting of all stages."""
    return set(load_template(IDENTITY)["Mappings"]["Stages"][name].values())


def test_the_nested_application_belongs_to_the_stacks_own_user_pool() -> None:
    applications = find_resources("AWS::Serverless::Application").values()
    (identity,) = [each for each in applications if each["Properties"]["Location"] == IDENTITY]
    assert identity["Condition"] == "MakesUserPool"


def test_secret_starts_without_a_value_that_an_update_could_bring_back() -> None:
    properties = find("AWS::SecretsManager::Secret", "MachineClientSecret")
    assert properties["SecretString"] == "{}"
    assert "GenerateSecretString" not in properties


def test_secret_rotates_at_once_and_every_30_days() -> None:
    rotation = find("AWS::SecretsManager::RotationSchedule", "MachineClientSecretRotation")
    setting = {"Fn::FindInMap": ["Stages", "SecretRotationDays", {"Ref": "Stage"}]}
    assert rotation["RotationRules"] == {"AutomaticallyAfterDays": setting}
    assert rotation["RotateImmediatelyOnUpdate"] is True
    assert read_settings("SecretRotationDays") == {30}


def test_only_secrets_manager_may_rotate_and_only_this_secret() -> None:
    permission = find("AWS::Lambda::Permission", "RotateClientSecretPermission")
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert permission["SourceArn"] == {"Ref": "MachineClientSecret"}


def test_no_value_of_the_template_is_a_secret() -> None:
    template = load_template(IDENTITY)
    text = json.dumps(template, default=str)
    assert "ClientSecret.ClientSecret" not in text
    assert "{{resolve:" not in text
    # `Fn::GetAtt: [MachineClient, ClientSecret]` would be the secret that Cognito makes with the client.
    assert list(find_attributes(template, "MachineClient")) == []


def find_attributes(value: Any, logical_id: str) -> Any:
    if isinstance(value, dict):
        if "Fn::GetAtt" in value and logical_id in value["Fn::GetAtt"]:
            yield value
        for part in value.values():
            yield from find_attributes(part, logical_id)
    elif isinstance(value, list):
        for part in value:
            yield from find_attributes(part, logical_id)


def test_tokens_are_short_lived() -> None:
    client = find("AWS::Cognito::UserPoolClient", "MachineClient")
    setting = {"Fn::FindInMap": ["Stages", "MachineTokenMinutes", {"Ref": "Stage"}]}
    assert client["AccessTokenValidity"] == setting
    assert client["TokenValidityUnits"] == {"AccessToken": "minutes"}
    # Cognito's limits are 5 minutes and a day.
    assert all(5 <= minutes <= 60 for minutes in read_settings("MachineTokenMinutes"))


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
