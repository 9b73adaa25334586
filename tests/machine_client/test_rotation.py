"""The rotation of the machine client's secret, its function killed wherever it can be."""

import base64
import itertools
import json
import signal
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.cognito import CLIENT_ID
from tests.support.secret_rotation_aws import AWS, GRACE_DAYS, STEPS, Fault, Function

KILLED = -signal.SIGKILL


def gives_token(aws: AWS, secret: dict[str, str]) -> bool:
    credentials = base64.b64encode(f"{secret['clientId']}:{secret['clientSecret']}".encode()).decode()
    form = urlencode({"grant_type": "client_credentials", "scope": secret["scope"]})
    status, _ = aws.cognito.give_token(f"Basic {credentials}", form)
    return status == 200


def known_to_cognito(aws: AWS) -> set[str]:
    return {secret.id for secret in aws.cognito.secrets}


def test_first_rotation_fills_the_secret_that_the_stack_makes_empty(aws: AWS, function: Function) -> None:
    assert aws.read() == {}
    function.rotate()
    secret = aws.read()
    assert set(secret) == {"clientId", "clientSecret", "clientSecretId", "scope", "tokenEndpoint"}
    assert secret["clientId"] == CLIENT_ID
    assert gives_token(aws, secret)


def test_secret_works_beside_its_successor_until_the_next_rotation_or_its_retirement(
    aws: AWS, function: Function
) -> None:
    function.rotate()
    for _ in range(3):
        old = aws.read()
        version = aws.begin_rotation()
        for step in STEPS:
            assert function.run(step, version) == 0
            assert gives_token(aws, old)
            assert gives_token(aws, aws.read())
        assert aws.find_version("AWSCURRENT") == version
        assert aws.read()["clientSecret"] != old["clientSecret"]
        assert aws.read("AWSPREVIOUS") == old
        assert known_to_cognito(aws) == {old["clientSecretId"], aws.read()["clientSecretId"]}


def test_each_step_may_run_twice(aws: AWS, function: Function) -> None:
    for _ in range(3):
        version = aws.begin_rotation()
        for step in STEPS:
            assert function.run(step, version) == 0
            known, pending = known_to_cognito(aws), aws.find_version("AWSPENDING")
            assert function.run(step, version) == 0
            assert known_to_cognito(aws) == known
            assert aws.find_version("AWSPENDING") == pending
        assert gives_token(aws, aws.read())
    # Secrets Manager may also start again with a version that is already current.
    version = aws.find_version("AWSCURRENT")
    assert version
    for step in STEPS:
        assert function.run(step, version) == 0
        assert aws.find_version("AWSCURRENT") == version


@pytest.mark.parametrize("next_run", ["of the same rotation", "of another rotation"])
def test_next_run_heals_a_step_that_was_killed_anywhere(next_run: str, aws: AWS, function: Function, log: Path) -> None:
    function.rotate()
    struck: list[tuple[str, str]] = []
    for step in STEPS:
        for call in itertools.count():
            version = aws.begin_rotation()
            for earlier in STEPS[: STEPS.index(step)]:
                assert function.run(earlier, version) == 0
            status = function.run(step, version, Fault(call, "killed"))
            if len(function.calls) <= call:
                break
            struck.append((step, function.calls[call]))
            assert status == KILLED
            assert gives_token(aws, aws.read())
            if next_run == "of the same rotation":
                for again in STEPS:
                    assert function.run(again, version) == 0, log.read_text()
                assert aws.find_version("AWSCURRENT") == version
            else:
                function.rotate()
            assert gives_token(aws, aws.read())
    assert {operation for _, operation in struck} == {
        "DescribeSecret",
        "GetSecretValue",
        "ListUserPoolClientSecrets",
        "DeleteUserPoolClientSecret",
        "AddUserPoolClientSecret",
        "PutSecretValue",
        "/oauth2/token",
        "UpdateSecretVersionStage",
    }
    assert {step for step, _ in struck} == set(STEPS)


@pytest.mark.parametrize(
    ("step", "operation"),
    [
        ("createSecret", "DeleteUserPoolClientSecret"),
        ("createSecret", "AddUserPoolClientSecret"),
        ("createSecret", "PutSecretValue"),
        ("testSecret", "/oauth2/token"),
        ("finishSecret", "UpdateSecretVersionStage"),
    ],
)
def test_next_run_heals_a_step_that_did_not_hear_that_it_was_heard(
    step: str, operation: str, aws: AWS, function: Function, log: Path
) -> None:
    function.rotate()
    function.rotate()
    version = aws.begin_rotation()
    for earlier in STEPS[: STEPS.index(step)]:
        assert function.run(earlier, version) == 0
    function.run(step, version, Fault(operation, "answer lost"))
    assert operation in function.calls
    assert gives_token(aws, aws.read())
    for again in STEPS:
        assert function.run(again, version) == 0, log.read_text()
    assert aws.find_version("AWSCURRENT") == version
    assert gives_token(aws, aws.read())


def test_retirement_heals_wherever_it_was_killed(aws: AWS, function: Function, log: Path) -> None:
    function.rotate()
    struck: list[str] = []
    for kind in ("killed", "answer lost"):
        for call in itertools.count():
            function.rotate()
            aws.pass_days(GRACE_DAYS + 1)
            function.retire(Fault(call, kind))
            if len(function.calls) <= call:
                break
            struck.append(function.calls[call])
            assert gives_token(aws, aws.read())
            assert function.retire() == 0, log.read_text()
            assert known_to_cognito(aws) == {aws.read()["clientSecretId"]}
    assert set(struck) == {
        "DescribeSecret",
        "GetSecretValue",
        "ListUserPoolClientSecrets",
        "DeleteUserPoolClientSecret",
    }


def test_retirement_leaves_a_rotation_alone_wherever_the_rotation_is(aws: AWS, function: Function, log: Path) -> None:
    function.rotate()
    for step in STEPS:
        for call in itertools.count():
            version = aws.begin_rotation()
            for earlier in STEPS[: STEPS.index(step)]:
                assert function.run(earlier, version) == 0
            function.run(step, version, Fault(call, "killed"))
            is_whole = len(function.calls) <= call
            # A rotation that hangs for longer than the grace period.
            aws.pass_days(GRACE_DAYS + 1)
            assert function.retire() == 0, log.read_text()
            assert gives_token(aws, aws.read())
            for again in STEPS:
                assert function.run(again, version) == 0, log.read_text()
            assert aws.find_version("AWSCURRENT") == version
            assert gives_token(aws, aws.read())
            if is_whole:
                break


def test_rotation_and_retirement_may_delete_the_same_secret(aws: AWS, function: Function, log: Path) -> None:
    function.rotate()
    function.rotate()
    version = aws.begin_rotation()
    # The rotation has decided which secret to delete when somebody else deletes it.
    function.before["DeleteUserPoolClientSecret"] = lambda: aws.cognito.secrets.pop(0)
    assert function.run("createSecret", version) == 0, log.read_text()
    assert not function.before
    for step in STEPS[1:]:
        assert function.run(step, version) == 0
    assert gives_token(aws, aws.read())


def test_first_rotation_that_dies_keeps_the_secret_that_the_client_was_made_with(aws: AWS, function: Function) -> None:
    made_with = aws.cognito.secrets[0].id
    # Describe, get, list, add: the second secret exists, and nobody knows its value.
    version = aws.begin_rotation()
    assert function.run("createSecret", version, Fault(3, "killed")) == KILLED
    assert function.calls[-1] == "AddUserPoolClientSecret"
    orphan = (known_to_cognito(aws) - {made_with}).pop()
    function.rotate()
    assert made_with in known_to_cognito(aws)
    assert orphan not in known_to_cognito(aws)


def test_abandoned_rotation_leaves_the_current_secret_alone(aws: AWS, function: Function) -> None:
    function.rotate()
    function.rotate()
    current = aws.read()
    abandoned = aws.begin_rotation()
    for step in STEPS[:3]:
        assert function.run(step, abandoned) == 0
    # The abandoned secret is newer than the current one, and Cognito has no room for a third.
    version = aws.begin_rotation()
    assert function.run("createSecret", version) == 0
    assert current["clientSecretId"] in known_to_cognito(aws)
    for step in STEPS:
        assert function.run(step, abandoned) == 1
    assert aws.read() == current


def test_secrets_are_in_no_log_even_at_debug(aws: AWS, function: Function, log: Path) -> None:
    values: set[str] = set()
    version = aws.begin_rotation()
    for step in STEPS:
        assert function.run(step, version, Fault(0, "answer lost")) == 0
        values |= {secret.value for secret in aws.cognito.secrets}
    function.run("setSecret", "no-such-version")
    written = log.read_text()
    # The log is the one that the test believes it is.
    assert json.loads(written[written.rindex('{"level":"ERROR"') :].splitlines()[0])["step"] == "setSecret"
    assert len(values) == 2
    for value in values:
        assert value not in written
        assert base64.b64encode(f"{CLIENT_ID}:{value}".encode()).decode() not in written
