"""Starts and stops the measured servers and their dependencies."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from local_engine.issuer import AUDIENCE, ISSUER_PORT, issuer_url
from local_engine.services import SERVICES_PORT
from tools.benchmarks.machine import ARCHITECTURE, ROOT, BenchmarkError, free_port, tool_environment

WORK_DIRECTORY = ROOT / ".bench/local_engine"
ECHO_STACK = Path(__file__).parent / "stack/template.yaml"
REST_STACK = ECHO_STACK.with_name("rest.yaml")
START_SECONDS = 90
STOP_SECONDS = 30
_SAM = [sys.executable, "-m", "samcli"]
# Explicit, because sam looks for it beside the template.
_SAM_OPTIONS = ["--config-file", str(ROOT / "samconfig.toml"), "--parameter-overrides", f"Architecture={ARCHITECTURE}"]


@dataclass(frozen=True)
class Backend:
    """The AWS services and the issuer that both servers use."""

    services_port: int
    issuer_port: int


def describe_container_engine() -> str:
    """Return name and version of the container engine that `sam local` uses.

    Raises:
        BenchmarkError: there is none.
    """
    version = _container_engine().version()
    names = [component["Name"] for component in version.get("Components", [])] or ["Docker"]
    return f"{names[0]} {version['Version']}"


@contextlib.contextmanager
def run_backend(sam_port: int) -> Iterator[Backend]:
    """Run the local engine's backend for `sam local`. The engine creates the tables.

    Args:
        sam_port: port of `sam local`, which is part of the issuer's name.
    """
    backend = Backend(free_port(), free_port())
    command = [sys.executable, "-m", "local_engine", "backend", "--template", str(ECHO_STACK), "--port", str(sam_port)]
    command += ["--services-port", str(backend.services_port), "--issuer-port", str(backend.issuer_port)]
    with _run(command, "backend", f"http://127.0.0.1:{backend.issuer_port}/.well-known/openid-configuration"):
        yield backend


@contextlib.contextmanager
def run_engine(template: Path, name: str, port: int, backend: Backend, *arguments: str) -> Iterator[None]:
    """Run the local engine with a backend's AWS services."""
    command = [sys.executable, "-m", "local_engine", "run", "--template", str(template), "--port", str(port)]
    command += ["--services", f"http://127.0.0.1:{backend.services_port}", *arguments]
    with _run(command, f"engine-{name}", f"http://127.0.0.1:{port}/"):
        yield


@contextlib.contextmanager
def run_sam_local(built_template: Path, name: str, port: int, backend: Backend) -> Iterator[None]:
    """Run `sam local start-api` with warm containers and a backend's AWS services and issuer."""
    variables = (ROOT / "tools/sam_local.json").read_text()
    for usual, actual in ((SERVICES_PORT, backend.services_port), (ISSUER_PORT, backend.issuer_port)):
        variables = variables.replace(f":{usual}", f":{actual}")
    env_vars = WORK_DIRECTORY / "env_vars.json"
    env_vars.write_text(json.dumps(json.loads(variables), indent=2))
    command = [*_SAM, "local", "start-api", "--template", str(built_template), "--port", str(port), *_SAM_OPTIONS]
    command += ["--env-vars", str(env_vars), "--warm-containers", "LAZY", *_pull_option()]
    with _run(command, f"sam-local-{name}", f"http://127.0.0.1:{port}/"):
        yield


def issuer_arguments(port: int) -> list[str]:
    """Return arguments that make the project's stack accept the local issuer at a port."""
    return ["--parameters", f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}"]


def mint_token(port: int, subject: str, template: Path) -> str:
    """Return a token for the API at a port, signed by the issuer that serves a template."""
    command = [sys.executable, "-m", "local_engine", "token", "--port", str(port), "--sub", subject]
    command += ["--scopes", "read:resources", "--template", str(template)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@functools.cache
def _container_engine() -> docker.DockerClient:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise BenchmarkError(
            f"No Docker answers ({error}), and `sam local` runs functions in containers:"
            " start Docker, or set DOCKER_HOST."
        ) from error
    return client


def _pull_option() -> list[str]:
    # Does not pull an image that is already present.
    tags = [tag for image in _container_engine().images.list() for tag in image.tags]
    is_here = any(tag.endswith(f"/lambda/python:3.13-{ARCHITECTURE}") for tag in tags)
    return ["--skip-pull-image"] if is_here else []


@contextlib.contextmanager
def _run(command: Sequence[str], name: str, url: str) -> Iterator[None]:
    """Run a server for the block, from its first response at a URL on, and stop it with SIGINT."""
    log = WORK_DIRECTORY / f"{name}.log"
    with log.open("w") as output:
        # In its own session, because Ctrl-C ends the benchmark, which then stops its servers in order.
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=tool_environment(), start_new_session=True
        )
    try:
        _wait_for_answer(process, name, url, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_answer(process: subprocess.Popen[bytes], name: str, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=START_SECONDS).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise BenchmarkError(f"{name} does not start:\n{log.read_text()}")
