"""The functions in containers: `sam build`, the backend, and `sam local` beside it."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from docker.errors import DockerException

from local_engine.issuer import AUDIENCE, issuer_url, load_signing_key, mint_token
from local_engine.testing import child_environment, engine_command, free_port
from tests.support.build import build_stack
from tests.support.missing import skip_or_fail
from tests.support.stack import ROOT, list_scopes

START_SECONDS = 60
INVOCATION_SECONDS = 300
STOP_SECONDS = 30
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
SAM = [sys.executable, "-m", "samcli"]


@dataclass(frozen=True)
class SamLocal:
    """A running `sam local start-api` and `start-lambda` with their backend."""

    url: str
    lambda_url: str
    port: int
    build: Path
    env_vars: Path
    options: Sequence[str]

    def mint_token(self, subject: str = "someone", expires: int = 3600, **claims: Any) -> str:
        """A token of the backend's issuer, with every scope unless the claims say otherwise."""
        return mint_token(
            load_signing_key(ROOT),
            issuer=issuer_url(self.port),
            audience=AUDIENCE,
            subject=subject,
            scopes=list_scopes(),
            expires_in=expires,
            claims=claims,
        )

    def invoke(self, function: str, event: Path) -> Any:
        """Return what a function answers through `sam local start-lambda`, which starts a container for each event."""
        url = f"{self.lambda_url}/2015-03-31/functions/{function}/invocations"
        return httpx.post(url, content=event.read_bytes(), timeout=INVOCATION_SECONDS).raise_for_status().json()

    def run_invoke(self, function: str, event: Path) -> Any:
        """Return what a function answers to `sam local invoke`."""
        command = [*SAM, "local", "invoke", function, "--event", str(event), "--env-vars", str(self.env_vars)]
        command += ["--template", str(self.build), *self.options]
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=_environment())
        return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def engine_options() -> list[str]:
    """The options of `sam local` for the machine's container engine; without an engine the tests are skipped."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        skip_or_fail(f"no container engine answers, and sam local runs functions in containers: {error}")
    # By default, sam looks for it beside the template, which is in another folder here.
    options = ["--config-file", str(ROOT / "samconfig.toml")]
    options += ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    # Without the image, sam pulls it.
    if any(tag.endswith(f"/lambda/python:3.13-{ARCHITECTURE}") for image in client.images.list() for tag in image.tags):
        options.append("--skip-pull-image")
    return options


@pytest.fixture(scope="session")
def sam_local(engine_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    template = build_stack(tmp_path_factory) / "template.yaml"
    directory = tmp_path_factory.mktemp("sam")
    port, lambda_port, services_port, issuer_port = free_port(), free_port(), free_port(), free_port()
    env_vars = directory / "env.json"
    env_vars.write_text(_with_ports((ROOT / "tools/sam_local.json").read_text(), services_port, issuer_port))
    backend = engine_command("backend", "--port", str(port), "--seed", "examples/resources.json")
    backend += ["--services-port", str(services_port), "--issuer-port", str(issuer_port)]
    backend += ["--parameters", f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}", "Intelligence=on"]
    options = ["--env-vars", str(env_vars), "--template", str(template), *engine_options]
    start_api = [*SAM, "local", "start-api", "--port", str(port), *options]
    start_lambda = [*SAM, "local", "start-lambda", "--port", str(lambda_port), *options]
    url, lambda_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{lambda_port}"
    discovery_url = f"http://127.0.0.1:{issuer_port}/.well-known/openid-configuration"
    with (
        _run_server(backend, directory / "backend.log", discovery_url),
        _run_server(start_api, directory / "start_api.log", f"{url}/"),
        _run_server(start_lambda, directory / "start_lambda.log", f"{lambda_url}/"),
    ):
        yield SamLocal(url, lambda_url, port, template, env_vars, engine_options)


@contextmanager
def _run_server(command: Sequence[str], log: Path, url: str) -> Iterator[None]:
    """Run a server from its first answer at a URL on, and stop it as Ctrl-C would."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=_environment(), start_new_session=True
        )
    try:
        _wait_for_answer(process, url, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _wait_for_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{process.args} did not start:\n{log.read_text()}")


def _with_ports(text: str, services_port: int, issuer_port: int) -> str:
    assert text.count(":4566") == 1
    assert text.count(":4567") == 1
    return text.replace(":4566", f":{services_port}").replace(":4567", f":{issuer_port}")


def _environment() -> dict[str, str]:
    return {**child_environment(), "SAM_CLI_TELEMETRY": "0"}
