"""An emulator of AWS with the stack deployed in it, for all tests here."""

import json
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.deploy.deployment import Deployment, prepare_template
from tests.deploy.emulator import ENVIRONMENT, Emulator
from tests.support.build import build_stack
from tests.support.http_server import Server, make_reply
from tests.support.roll_out_aws import RollOut

_running: list[Emulator] = []


# A test that builds or deploys waits for minutes on a busy machine.
_TEST_SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "emulator" in item.fixturenames:
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


@pytest.fixture(scope="session")
def roll_out() -> RollOut:
    """A deployment of CodeDeploy, which the emulator does not have."""
    return RollOut("", [])


@pytest.fixture(scope="session")
def codedeploy(roll_out: RollOut) -> Iterator[Server]:
    with Server(roll_out.answer) as server:
        yield server


@pytest.fixture(scope="session")
def bedrock() -> Iterator[Server]:
    """A model to which all texts mean the same. The emulator's own does not embed."""
    with Server(lambda _: make_reply({"embedding": [1.0] + [0.0] * 255})) as server:
        yield server


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, codedeploy: Server, bedrock: Server) -> Iterator[Emulator]:
    if not (ENVIRONMENT / "ministack").exists():
        pytest.fail("The emulator is not installed; `make test-deploy` installs it and runs these tests.")
    elsewhere = {"CODEDEPLOY": codedeploy.url, "BEDROCK_RUNTIME": bedrock.url}
    with Emulator(tmp_path_factory.mktemp("emulator"), elsewhere) as emulator:
        _running.append(emulator)
        yield emulator


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` makes of template.yaml, without what the emulator rejects."""
    folder = tmp_path_factory.mktemp("deploy") / "build"
    shutil.copytree(build_stack(tmp_path_factory), folder)
    return prepare_template(folder / "template.yaml")


@pytest.fixture(scope="session")
def deployment(emulator: Emulator, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The stack with every default of `sam deploy --guided`, and of the name that it proposes."""
    deployment = Deployment(emulator, template, "serverless-api-dev")
    deployment.deploy_guided(tmp_path_factory.mktemp("guided"))
    return deployment


@pytest.fixture(scope="session")
def packaged(deployment: Deployment, template: Path) -> Path:
    """The template as `sam deploy` has packaged it: a stack of it takes the code and the templates uploaded before."""
    client = deployment.emulator.client("cloudformation")
    body = client.get_template(StackName=deployment.name, TemplateStage="Original")["TemplateBody"]
    path = template.with_name("packaged.json")
    # SAM knows an uploaded template by the host of its URL.
    path.write_text(json.dumps(yaml_parse(body.replace(f"{deployment.emulator.url}/", "https://s3.amazonaws.com/"))))
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _running:
        log = _running[-1].log
        report.sections.append((f"last lines of {log}", "\n".join(log.read_text().splitlines()[-40:])))
    return report
