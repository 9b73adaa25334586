"""The hook before new versions serve: it tries those that are deployed, and tells CodeDeploy what came of it.

The emulator has no CodeDeploy. What a deployment does is done here: the hook is invoked as CodeDeploy invokes it, and a
server in CodeDeploy's place keeps what it reports.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployment import Deployment
from tests.deploy.emulator import Emulator
from tests.support.http_server import Server

OPERATION = "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus"


def verify(deployment: Deployment, codedeploy: Server, execution: str) -> str:
    """Invoke the hook as CodeDeploy does and return the status that it reports."""
    event = {"DeploymentId": "d-A1B2C3D4E", "LifecycleEventHookExecutionId": execution}
    assert deployment.invoke("VerifyVersions", event) is None
    calls = [(request.headers["X-Amz-Target"], json.loads(request.body)) for request in codedeploy.requests]
    (status,) = [
        body["status"]
        for operation, body in calls
        if operation == OPERATION and body["lifecycleEventHookExecutionId"] == execution
    ]
    assert all(body["deploymentId"] == "d-A1B2C3D4E" for _, body in calls)
    return str(status)


def list_left_behind(deployment: Deployment) -> list[dict[str, Any]]:
    """What passes have created and not deleted; a key that was used goes by itself, when it expires."""
    items = deployment.emulator.client("dynamodb").scan(TableName=deployment.find("Table"))["Items"]
    return [item for item in items if "§" in item["pk"]["S"] and "expiresAt" not in item]


def test_versions_that_work_may_serve_however_many_deployments_ask_at_once(
    deployment: Deployment, codedeploy: Server
) -> None:
    before = deployment.list_keys()
    with ThreadPoolExecutor(3) as threads:
        statuses = list(threads.map(lambda number: verify(deployment, codedeploy, f"good-{number}"), range(3)))
    assert statuses == ["Succeeded"] * 3
    assert deployment.list_keys() > before, "no pass has created anything"
    assert not list_left_behind(deployment)


@pytest.fixture(scope="module")
def broken(emulator: Emulator, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A stack one of whose functions answers with another status than its route should."""
    # As deep as the build itself, since that leads to the models by relative paths.
    build = tmp_path_factory.mktemp("broken")
    shutil.copytree(template.parent, build, dirs_exist_ok=True)
    handler = build / "GetResource/app.py"
    source = handler.read_text()
    assert "Response(200" in source
    handler.write_text(source.replace("Response(200", "Response(202"))
    deployment = Deployment(emulator, build / template.name, "serverless-api-broken")
    deployment.deploy()
    return deployment


def test_a_version_that_answers_otherwise_may_not_serve(broken: Deployment, codedeploy: Server) -> None:
    assert verify(broken, codedeploy, "bad") == "Failed"
    assert not list_left_behind(broken)


@pytest.mark.parametrize("versions", ["", "get_resource", "no_fixture 200 arn:aws:lambda:us-east-1:1:function:F:1"])
def test_what_cannot_be_tried_may_not_serve(broken: Deployment, codedeploy: Server, versions: str) -> None:
    functions = broken.emulator.client("lambda")
    name = broken.find("VerifyVersions")
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"VERSIONS": versions}}
    )
    assert verify(broken, codedeploy, f"untried {versions}") == "Failed"


def test_a_version_that_the_hook_may_not_invoke_may_not_serve(
    deployment: Deployment, broken: Deployment, codedeploy: Server
) -> None:
    functions = broken.emulator.client("lambda")
    name = broken.find("VerifyVersions")
    other = functions.get_function_configuration(FunctionName=deployment.find("VerifyVersions"))
    versions = other["Environment"]["Variables"]["VERSIONS"]
    assert "GetResource" in versions
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"VERSIONS": versions}}
    )
    assert verify(broken, codedeploy, "of another stack") == "Failed"
