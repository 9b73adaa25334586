"""A stack as `sam build` and `sam deploy` make it."""

import json
import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.deploy.emulator import Emulator
from tests.stack import ROOT

PARAMETERS = {"SecretRotationDays": "0"}
"""What the emulator cannot take is left out by the template's own parameters: it has no rotation schedules."""

_SAM = [sys.executable, "-m", "samcli"]


def build_template(emulator: Emulator, directory: Path) -> Path:
    """Run `sam build` and return the template that `sam deploy` takes."""
    _run(emulator, "build", "--build-dir", str(directory), "--no-cached")
    return directory / "template.yaml"


class Deployment:
    """One stack in the emulator."""

    def __init__(self, emulator: Emulator, template: Path, name: str) -> None:
        self.emulator = emulator
        self.name = name
        self._template = template

    def deploy(self, *options: str, **parameters: str) -> None:
        """Create the stack, or update it in place; `options` are those of `sam deploy`."""
        done = self._deploy(*options, **parameters)
        assert done.returncode == 0, f"sam deploy failed:\n{done.stdout}"
        self.__dict__.pop("resources", None)

    def refuse(self, *options: str, **parameters: str) -> str:
        """Try to deploy what is to be refused, and return what `sam deploy` says."""
        done = self._deploy(*options, **parameters)
        assert done.returncode != 0, f"sam deploy did not fail:\n{done.stdout}"
        return done.stdout

    def _deploy(self, *options: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        location = ["--template-file", str(self._template), "--stack-name", self.name]
        overrides = [f"{name}={value}" for name, value in (PARAMETERS | parameters).items()]
        options = (*options, "--no-confirm-changeset", "--parameter-overrides", *overrides)
        return _try(self.emulator, "deploy", *location, *options)

    def delete(self) -> None:
        _run(self.emulator, "delete", "--stack-name", self.name, "--no-prompts", "--region", "us-east-1")

    @cached_property
    def resources(self) -> dict[str, Any]:
        """The stack's resources by their logical ids, as CloudFormation describes them."""
        answer = self.emulator.client("cloudformation").describe_stack_resources(StackName=self.name)
        return {resource["LogicalResourceId"]: resource for resource in answer["StackResources"]}

    def find(self, logical_id: str) -> str:
        """The name or id that a resource has in AWS."""
        return str(self.resources[logical_id]["PhysicalResourceId"])

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """What a function answers, by its logical id."""
        return invoke_function(self.emulator, self.find(function), event)

    def list_keys(self) -> set[str]:
        """The sort keys of all items in the stack's table."""
        answer = self.emulator.client("dynamodb").scan(TableName=self.find("Table"))
        return {item["sk"]["S"] for item in answer["Items"]}


def invoke_function(emulator: Emulator, name: str, event: dict[str, Any]) -> Any:
    answer = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return payload


def _run(emulator: Emulator, command: str, *arguments: str) -> None:
    done = _try(emulator, command, *arguments)
    assert done.returncode == 0, f"sam {command} failed:\n{done.stdout}"


def _try(emulator: Emulator, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = emulator.environment | {
        # `sam build` looks for the interpreter and pip of the runtime on PATH.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_POLL_DELAY": "0.5",
        "SAM_CLI_TELEMETRY": "0",
    }
    return subprocess.run(
        [*_SAM, command, "--config-file", str(ROOT / "samconfig.toml"), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
