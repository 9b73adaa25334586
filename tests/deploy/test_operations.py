"""Smoke test and termination protection of deployed stacks.

The emulator does not serve HTTP APIs, so the outputs of the stacks here lead to the local engine.
"""

import json
import threading

import pytest

from local_engine.issuer import load_client_secret
from local_engine.testing import EngineProcess
from tests.deploy.deployment import Deployment
from tests.deploy.emulator import Emulator
from tests.support.programs import run_tool

# As the first rotation writes it, without the values that the smoke test reads from the outputs.
SECRET = json.dumps({"clientSecret": load_client_secret()})


class Account:
    """The emulated account, with stacks that lead to one API."""

    def __init__(self, emulator: Emulator, engine: EngineProcess) -> None:
        self.emulator = emulator
        self._url = engine.url

    def create_stack(self, name: str, secret: str, *, has_user_pool: bool = True) -> str:
        """Create a stack with this template's outputs; returns the ARN of its secret."""
        arn: str = self.emulator.client("secretsmanager").create_secret(Name=name, SecretString=secret)["ARN"]
        issuer = f"{self._url}/_local/issuer"
        outputs = {"ApiUrl": self._url, "Issuer": issuer}
        if has_user_pool:
            outputs |= {"TokenEndpoint": f"{issuer}/oauth2/token", "MachineClientSecretArn": arn}
            outputs |= {"MachineClientId": "local-machine"}
        template = {
            "Resources": {"Log": {"Type": "AWS::Logs::LogGroup"}},
            "Outputs": {key: {"Value": value} for key, value in outputs.items()},
        }
        cloudformation = self.emulator.client("cloudformation")
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        return arn

    def run_smoke_test(self, *arguments: str, **environment: str) -> tuple[int, str]:
        done = run_tool("smoke", *arguments, **self.emulator.environment, **environment)
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def account(emulator: Emulator, engine: EngineProcess) -> Account:
    return Account(emulator, engine)


def test_a_stack_is_found_by_its_outputs(account: Account) -> None:
    account.create_stack("ready", SECRET)
    assert account.run_smoke_test("--stack", "ready") == (0, "")


def test_the_stack_of_a_stage_is_that_of_its_profile(account: Account) -> None:
    account.create_stack("serverless-api-staging", SECRET)
    assert account.run_smoke_test("--stage", "staging") == (0, "")


def test_the_first_rotation_is_waited_for(account: Account) -> None:
    arn = account.create_stack("young", "{}")
    secrets_manager = account.emulator.client("secretsmanager")
    rotation = threading.Timer(4, secrets_manager.put_secret_value, kwargs={"SecretId": arn, "SecretString": SECRET})
    rotation.start()
    assert account.run_smoke_test("--stack", "young") == (0, "")
    rotation.join()


def test_another_issuers_token_endpoint_is_discovered_and_its_client_is_the_environments(account: Account) -> None:
    account.create_stack("foreign", "{}", has_user_pool=False)
    client = {"SMOKE_CLIENT_ID": "local-machine", "SMOKE_CLIENT_SECRET": load_client_secret()}
    assert account.run_smoke_test("--stack", "foreign", **client) == (0, "")

    status, output = account.run_smoke_test("--stack", "foreign")
    assert status == 2
    assert "SMOKE_CLIENT_ID and SMOKE_CLIENT_SECRET" in output

    status, output = account.run_smoke_test("--stack", "foreign", **client | {"SMOKE_CLIENT_SECRET": "wrong-secret"})
    assert status == 2
    assert "issues no token to local-machine" in output
    assert output.count("\n") == 1
    assert "wrong-secret" not in output


def test_a_stack_that_is_not_there_is_refused_with_a_sentence(account: Account) -> None:
    status, output = account.run_smoke_test("--stack", "nowhere")
    assert status == 2
    assert "nowhere" in output
    assert "Traceback" not in output


def test_only_a_stack_of_production_is_protected(account: Account, deployment: Deployment) -> None:
    cloudformation = account.emulator.client("cloudformation")
    assert deployment.name == "serverless-api-dev"
    account.create_stack("serverless-api-prod", SECRET)
    for stage in ("dev", "prod"):
        checked = run_tool("deploy", "check", "--stage", stage, **account.emulator.environment)
        assert (checked.returncode, checked.stderr) == (0, "")
        protected = run_tool("deploy", "protect", "--stage", stage, **account.emulator.environment)
        assert (protected.returncode, protected.stderr) == (0, "")
        (stack,) = cloudformation.describe_stacks(StackName=f"serverless-api-{stage}")["Stacks"]
        assert stack["EnableTerminationProtection"] is (stage == "prod")
