"""The pre-traffic hook under its execution role: it tries versions that are deployed and reports the result.

The emulator has no CodeDeploy: the hook is invoked as CodeDeploy does it, and a strict stub keeps its reports.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployment import Deployment
from tests.deploy.emulator import Emulator
from tests.support.roll_out_aws import EVENT, RollOut, write_app_spec
from tests.support.stack import list_routes


def verify(deployment: Deployment, roll_out: RollOut, function: str, name: str = "") -> str:
    """Invoke the hook for the published version of a function and return the status that it reports."""
    roll_out.reported.clear()
    roll_out.app_spec = write_app_spec(name or deployment.find(function), "1")
    assert deployment.invoke("VerifyVersions", EVENT) is None
    (status,) = roll_out.reported
    return status


def list_left_behind(deployment: Deployment) -> list[dict[str, Any]]:
    """What passes have created and not deleted; a used idempotency key goes by itself when it expires."""
    items = deployment.emulator.client("dynamodb").scan(TableName=deployment.find("Table"))["Items"]
    return [item for item in items if "§" in item["pk"]["S"] and "expiresAt" not in item]


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_version_that_works_may_serve(deployment: Deployment, roll_out: RollOut, route: Any) -> None:
    assert verify(deployment, roll_out, route.function) == "Succeeded"
    assert not list_left_behind(deployment)


@pytest.fixture(scope="module")
def broken(emulator: Emulator, packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A stack with a function that answers with an unexpected status and one that crashes at import."""
    folder = tmp_path_factory.mktemp("broken")
    template = json.loads(packaged.read_text())
    for function in ("GetResource", "ListResources"):
        shutil.copytree(packaged.with_name(function), folder / function)
        template["Resources"][function]["Properties"]["CodeUri"] = function
    handler = folder / "GetResource/app.py"
    source = handler.read_text()
    assert "Response(200, " in source
    handler.write_text(source.replace("Response(200, ", "Response(302, "))
    crashing = folder / "ListResources/app.py"
    crashing.write_text(f"import there_is_no_such_module\n{crashing.read_text()}")
    path = folder / "template.json"
    path.write_text(json.dumps(template))
    deployment = Deployment(emulator, path, "serverless-api-broken")
    deployment.deploy()
    return deployment


@pytest.mark.parametrize("function", ["GetResource", "ListResources"], ids=["wrong status", "crash at import"])
def test_a_version_that_does_not_work_may_not_serve(broken: Deployment, roll_out: RollOut, function: str) -> None:
    assert verify(broken, roll_out, function) == "Failed"
    assert not list_left_behind(broken)


def test_a_version_of_another_stack_may_not_be_tried(
    deployment: Deployment, broken: Deployment, roll_out: RollOut
) -> None:
    assert verify(broken, roll_out, "GetResource", deployment.find("GetResource")) == "Failed"
