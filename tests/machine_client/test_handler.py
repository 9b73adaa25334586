"""The rotation's handler in this process, with settings of all kinds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.support.cognito import CLIENT_ID, SCOPE, USER_POOL_ID
from tests.support.functions import import_function
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.secret_rotation_aws import AWS, CREDENTIALS, GRACE_DAYS, STEPS, read_operation, read_retirement
from tests.support.stack import ROOT

type Run = Callable[..., None]
RETIREMENT = "retireSecrets"


class Services:
    """What the handler reaches; a test may have the token endpoint answer as it likes."""

    def __init__(self, aws: AWS) -> None:
        self._aws = aws
        self.token_answer: Reply | None = None

    def answer(self, request: Request) -> Reply:
        if read_operation(request) == "/oauth2/token" and self.token_answer:
            return self.token_answer
        return self._aws.answer(request)


@pytest.fixture
def services(aws: AWS) -> Services:
    return Services(aws)


@pytest.fixture
def import_handler(aws: AWS, services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    """Imports the function anew, as a cold start does, with a token endpoint of the test's choice."""

    def find_modules() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == "serverless_api"]

    with Server(services.answer) as server, ExitStack() as imports:

        def import_with(token_endpoint: str = f"{server.url}/oauth2/token") -> Run:
            settings = {
                **CREDENTIALS,
                "AWS_ENDPOINT_URL": server.url,
                "AWS_LAMBDA_FUNCTION_NAME": "RotateClientSecret",
                "CLIENT_ID": CLIENT_ID,
                "CLIENT_SCOPE": SCOPE,
                "POWERTOOLS_METRICS_NAMESPACE": "ServerlessApi/test",
                "POWERTOOLS_SERVICE_NAME": "api",
                "TABLE_NAME": "resources",
                "TOKEN_ENDPOINT": token_endpoint,
                "SECRET_GRACE_DAYS": str(GRACE_DAYS),
                "USER_POOL_ID": USER_POOL_ID,
            }
            for name, value in settings.items():
                monkeypatch.setenv(name, value)
            handler = imports.enter_context(import_function(ROOT / "functions/rotate_client_secret"))

            def run(step: str, version: str = "") -> None:
                event = {"Step": step, "SecretId": aws.secret_id, "ClientRequestToken": version}
                if step == RETIREMENT:
                    event = read_retirement(aws.secret_id)
                handler(event, SimpleNamespace(aws_request_id="8f5a4c1e-0000-4000-8000-00000000f00d"))

            return run

        for name in find_modules():
            monkeypatch.delitem(sys.modules, name)
        yield import_with
        for name in find_modules():
            del sys.modules[name]


def test_rotations_follow_each_other(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    for _ in range(3):
        version = aws.begin_rotation()
        for step in (step for step in STEPS for _ in range(2)):
            run(step, version)
        assert aws.find_version("AWSCURRENT") == version


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://192.0.2.1/oauth2/token",
        "http://example.com/oauth2/token",
        "ftp://127.0.0.1/",
        "https:///oauth2/token",
        "x",
    ],
)
def test_new_secret_crosses_no_network_unencrypted(endpoint: str, aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler(endpoint)
    version = aws.begin_rotation()
    run("createSecret", version)
    with pytest.raises(Exception, match="must be an https URL"):
        run("testSecret", version)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (make_reply(b'{"error": "invalid_client"}', 400), "status 400"),
        (make_reply(b"{}", 429), "status 429"),
        (make_reply(b"{}", 200), "status 200"),
        (make_reply(b"<html>", 200), "Unreadable response"),
        (make_reply(b"{}", 302), "status 302"),
    ],
)
def test_secret_without_a_token_fails_the_step(
    answer: Reply, problem: str, aws: AWS, services: Services, import_handler: Callable[..., Run]
) -> None:
    run = import_handler()
    version = aws.begin_rotation()
    run("createSecret", version)
    services.token_answer = answer
    with pytest.raises(Exception, match=problem):
        run("testSecret", version)
    assert aws.find_version("AWSPENDING") == version
    services.token_answer = None
    run("testSecret", version)


def test_rotation_whose_secret_is_gone_is_given_up(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    version = aws.begin_rotation()
    run("createSecret", version)
    aws.cognito.secrets.pop()
    with pytest.raises(Exception, match="This rotation ends here"):
        run("setSecret", version)
    assert aws.find_version("AWSPENDING") is None
    with pytest.raises(Exception, match="is not being rotated to this version"):
        run("setSecret", version)
    version = aws.begin_rotation()
    for step in STEPS:
        run(step, version)
    assert aws.find_version("AWSCURRENT") == version


def test_steps_out_of_order_and_unknown_ones_are_refused(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    version = aws.begin_rotation()
    with pytest.raises(Exception, match="createSecret must run first"):
        run("testSecret", version)
    with pytest.raises(Exception, match="is not a rotation step"):
        run("dropSecret", version)


def test_previous_secret_is_deleted_after_the_grace_period(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    rotate(aws, run)
    rotate(aws, run)
    aws.pass_days(GRACE_DAYS - 0.1)
    run(RETIREMENT)
    assert len(aws.cognito.secrets) == 2
    aws.pass_days(0.2)
    run(RETIREMENT)
    assert [secret.id for secret in aws.cognito.secrets] == [aws.read()["clientSecretId"]]
    run(RETIREMENT)
    assert len(aws.cognito.secrets) == 1


def test_nothing_is_retired_before_the_first_rotation(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    aws.pass_days(100)
    run(RETIREMENT)
    assert len(aws.cognito.secrets) == 1


def test_young_secret_is_not_retired_although_the_last_rotation_is_old(
    aws: AWS, import_handler: Callable[..., Run]
) -> None:
    run = import_handler()
    rotate(aws, run)
    aws.pass_days(100)
    (previous,) = (secret for secret in aws.cognito.secrets if secret.id != aws.read()["clientSecretId"])
    # A rotation that began after the retirement had read the secret's description.
    previous.created += 100 * 86400
    run(RETIREMENT)
    assert previous in aws.cognito.secrets


def test_last_secret_is_kept_if_the_current_one_is_gone(aws: AWS, import_handler: Callable[..., Run]) -> None:
    run = import_handler()
    rotate(aws, run)
    aws.pass_days(100)
    aws.cognito.secrets = [secret for secret in aws.cognito.secrets if secret.id != aws.read()["clientSecretId"]]
    with pytest.raises(Exception, match="no longer has the current secret"):
        run(RETIREMENT)
    assert len(aws.cognito.secrets) == 1


def rotate(aws: AWS, run: Run) -> None:
    version = aws.begin_rotation()
    for step in STEPS:
        run(step, version)
