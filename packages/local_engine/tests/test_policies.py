"""Evaluation of policies, as AWS documents it."""

from typing import Any

import pytest

from local_engine.access.policies import Principal, decide, is_allowed

ARN = "arn:aws:execute-api:us-east-1:123456789012:api/Prod/GET/items/1"
ACTION = "execute-api:Invoke"
REQUEST = {
    "aws:SourceIp": "203.0.113.7",
    "aws:SecureTransport": "true",
    "aws:CurrentTime": "2026-06-01T12:00:00+00:00",
    "aws:EpochTime": "1780315200",
    "aws:PrincipalTag/team": ["red", "blue"],
    "aws:UserAgent": "tests",
}
USER = "arn:aws:iam::123456789012:user/ann"


def principal(*statements: Any, arn: str = USER, boundary: Any = None) -> Principal:
    return Principal(arn, arn, "AIDA", "AKIA", tuple({"Statement": entry} for entry in statements), boundary)


def allow(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": ACTION, "Resource": "*", **changes}


def deny(**changes: Any) -> dict[str, Any]:
    return allow(**changes) | {"Effect": "Deny"}


def check(*statements: Any) -> bool:
    return is_allowed(principal(*statements), ACTION, ARN, REQUEST, None)


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (allow(), True),
        (allow(Action="*"), True),
        (allow(Action=["s3:*", "Execute-API:inv*"]), True),
        (allow(Action="execute-api:ManageConnections"), False),
        (allow(Resource=ARN), True),
        (allow(Resource=f"{ARN}0"), False),
        (allow(Resource="arn:aws:execute-api:*:*:api/*/GET/items/?"), True),
        (allow(Resource="arn:aws:execute-api:*:*:api/*/POST/*"), False),
        (allow(Resource="arn:aws:execute-api:*:*:api/${aws:username}/*"), False),
        (allow(Resource="arn:aws:execute-api:*:*:api/${aws:unknown}*"), False),
        (allow(Resource="arn:aws:execute-api:us-east-1:${aws:PrincipalAccount}:api/*"), True),
        (allow(Resource="arn:aws:execute-api:us-east-1:123456789012:api/${*}"), False),
        ({"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::*"}, True),
        ({"Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*"}, False),
        ([allow(), deny(Resource="*/items/1")], False),
        ([deny(Resource="*/items/2"), allow()], True),
        ([], False),
    ],
)
def test_actions_and_resources(statement: Any, allowed: bool) -> None:
    assert check(statement) is allowed


@pytest.mark.parametrize(
    ("operator", "key", "value", "met"),
    [
        ("StringEquals", "aws:username", "ann", True),
        ("StringEquals", "AWS:UserName", ["bob", "ann"], True),
        ("StringEquals", "aws:username", "Ann", False),
        ("StringEqualsIgnoreCase", "aws:username", "ANN", True),
        ("StringNotEquals", "aws:username", "ann", False),
        ("StringNotEquals", "aws:absent", "x", True),
        ("StringEquals", "aws:absent", "x", False),
        ("StringEqualsIfExists", "aws:absent", "x", True),
        ("StringLike", "aws:username", "a?n*", True),
        ("StringEquals", "aws:username", "a*", False),
        ("StringNotLike", "aws:username", "b*", True),
        ("StringEquals", "aws:PrincipalOrgID", "o-1234567890", False),
        ("StringEquals", "aws:SourceVpce", "vpce-1", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", True),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*", False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*", True),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.1", "203.0.113.7"], True),
        ("NotIpAddress", "aws:SourceIp", "203.0.113.0/24", False),
        ("IpAddress", "aws:SourceIp", "not an address", False),
        ("Bool", "aws:SecureTransport", True, True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("NumericLessThan", "aws:EpochTime", 1780315201, True),
        ("NumericGreaterThan", "aws:EpochTime", "1780315200", False),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01", False),
        ("Null", "aws:absent", "true", True),
        ("Null", "aws:username", "true", False),
        ("ForAnyValue:StringEquals", "aws:PrincipalTag/team", ["blue", "green"], True),
        ("ForAllValues:StringEquals", "aws:PrincipalTag/team", ["blue", "green"], False),
        ("ForAllValues:StringEquals", "aws:absent", "x", True),
        ("ForAnyValue:StringNotEquals", "aws:absent", "x", False),
    ],
)
def test_conditions(operator: str, key: str, value: Any, met: bool) -> None:
    condition = {"Condition": {operator: {key: value}}}
    assert check(allow(**condition)) is met
    assert check([allow(), deny(**condition)]) is not met


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"StringEquals": {"aws:username": "bob"}, "StringSounds": {"aws:username": "x"}}),
        allow(Condition=["x"]),
        allow(Action=None),
        allow(Resource=[7]),
        allow(Effect="Perhaps"),
        "Allow",
    ],
)
def test_what_cannot_be_evaluated_denies_and_says_so(statement: Any) -> None:
    decision = decide(principal(allow(), statement), ACTION, ARN, REQUEST, None)
    assert not decision.allowed
    assert decision.fault.startswith("A policy cannot be evaluated, so it denies: ")


ALLOWED = {"Statement": allow(Principal="*")}
DENIED = {"Statement": deny(Principal={"AWS": "*"})}
SILENT = {"Statement": allow(Principal="*", Resource="arn:aws:s3:::x")}


@pytest.mark.parametrize(
    ("identity", "resource", "allowed"),
    [
        # The table for one account in "How API Gateway resource policies affect authorization workflow".
        ([allow()], ALLOWED, True),
        ([allow()], SILENT, True),
        ([allow()], DENIED, False),
        ([], ALLOWED, True),
        ([], SILENT, False),
        ([], DENIED, False),
        ([deny()], ALLOWED, False),
        ([deny()], SILENT, False),
        ([deny()], DENIED, False),
        # Without a resource policy.
        ([allow()], None, True),
        ([], None, False),
    ],
)
def test_identity_and_resource_policies_are_a_union(identity: Any, resource: Any, allowed: bool) -> None:
    assert is_allowed(principal(*identity), ACTION, ARN, REQUEST, resource) is allowed


@pytest.mark.parametrize(
    ("named", "user", "anonymous"),
    [
        ("*", True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": [USER]}, True, False),
        ({"AWS": "arn:aws:iam::123456789012:user/bob"}, False, False),
        # The account has to pass the permission on in its own policies.
        ({"AWS": "123456789012"}, False, False),
        ({"AWS": "arn:aws:iam::123456789012:root"}, False, False),
        ({"Service": "apigateway.amazonaws.com"}, False, False),
    ],
)
def test_principals_of_a_resource_policy(named: Any, user: bool, anonymous: bool) -> None:
    policy = {"Statement": allow(Principal=named)}
    assert is_allowed(principal(), ACTION, ARN, REQUEST, policy) is user
    assert is_allowed(None, ACTION, ARN, REQUEST, policy) is anonymous


def test_a_deny_for_the_account_binds_its_users() -> None:
    policy = {"Statement": deny(Principal={"AWS": "arn:aws:iam::123456789012:root"})}
    assert not is_allowed(principal(allow()), ACTION, ARN, REQUEST, policy)


def test_not_principal_denies_everybody_else() -> None:
    policy = {"Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": USER}, "Action": "*", "Resource": "*"}}
    assert is_allowed(principal(allow()), ACTION, ARN, REQUEST, policy)
    assert not is_allowed(principal(allow(), arn=f"{USER}2"), ACTION, ARN, REQUEST, policy)


@pytest.mark.parametrize(("boundary", "allowed"), [(allow(), True), (allow(Action="s3:*"), False), (deny(), False)])
def test_a_permissions_boundary_limits_identity_policies(boundary: Any, allowed: bool) -> None:
    limited = principal(allow(), boundary={"Statement": boundary})
    assert is_allowed(limited, ACTION, ARN, REQUEST, None) is allowed


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("execute-api:/*", True),
        ("execute-api:/Prod/GET/items/*", True),
        ("execute-api:/Prod/POST/*", False),
        ("arn:aws:execute-api:us-east-1:123456789012:api/*", True),
    ],
)
def test_short_resources_of_api_gateway(resource: str, allowed: bool) -> None:
    assert is_allowed(None, ACTION, ARN, REQUEST, {"Statement": allow(Principal="*", Resource=resource)}) is allowed
