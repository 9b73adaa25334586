"""A user's account is found by the subject of the tokens, and deleted."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from records.accounts import delete_account, find_account


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("cognito-idp", region_name="us-east-1")


def test_an_account_is_deleted_once_and_no_other(client: Any) -> None:
    pool = client.create_user_pool(PoolName="users", UsernameAttributes=["email"])["UserPool"]["Id"]
    subjects = []
    for name in ("ann@example.com", "bob@example.com"):
        created = client.admin_create_user(UserPoolId=pool, Username=name)["User"]["Attributes"]
        subjects += [attribute["Value"] for attribute in created if attribute["Name"] == "sub"]
    ann, bob = subjects
    name = find_account(client, pool, ann)
    assert name is not None
    delete_account(client, pool, name)
    delete_account(client, pool, name)
    assert find_account(client, pool, ann) is None
    assert find_account(client, pool, bob) is not None


def test_a_subject_cannot_widen_the_search() -> None:
    asked = {}

    class Client:
        def list_users(self, **parameters: Any) -> dict[str, Any]:
            asked.update(parameters)
            return {"Users": []}

    assert find_account(Client(), "pool", 'x" or \\"') is None
    assert asked["Filter"] == 'sub = "x\\" or \\\\\\""'


def test_another_issuer_has_the_accounts() -> None:
    assert find_account(None, "", "ann") is None
