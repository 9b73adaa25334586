"""The developer's AWS settings reach neither the engine nor its processes, and nothing connects outside loopback."""

import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from conftest import copy_stack

from local_engine.child_environment import AWS_SETTINGS
from local_engine.services import keep_secret, start_services
from local_engine.testing import EngineProcess, child_environment, engine_command, free_port

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# Runs in each Python process that gets the developer's `PYTHONPATH`: the engine and the AWS services.
GUARD = """
import os, sys

def _guard(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if not arguments[1][0].startswith("127."):
            _report(f"connects to {arguments[1]}")
    elif event in ("open", "os.listdir") and isinstance(arguments[0], str):
        if any(name in arguments[0] for name in ("/.aws", "developers-file", ".boto")):
            _report(f"reads {arguments[0]}")

def _report(text):
    with os.fdopen(os.open(os.environ["GUARD_REPORT"], os.O_WRONLY | os.O_APPEND), "a") as file:
        file.write(f"{text} in {sys.argv}\\n")

with os.fdopen(os.open(os.environ["GUARD_REPORT"] + ".seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
    file.write("x")
sys.addaudithook(_guard)
"""


@pytest.fixture
def poison(tmp_path: Path) -> dict[str, str]:
    """An environment in which every call with the developer's AWS settings fails."""
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    for name in ("config", "credentials"):
        (home / ".aws" / name).write_text("neither [[ a configuration")
    (home / ".boto").write_text("[[")
    (home / ".aws").chmod(0)
    (tmp_path / "developers-file").write_text("neither [[ a configuration")
    (tmp_path / "report").touch()
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    file, nowhere = str(tmp_path / "developers-file"), "http://192.0.2.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), nowhere)
    return {
        "HOME": str(home),
        "GUARD_REPORT": str(tmp_path / "report"),
        "PYTHONPATH": f"{guard}:{Path(__file__).parents[1] / 'src'}",
        "AWS_PROFILE": "nope",
        "AWS_DEFAULT_PROFILE": "nope",
        "AWS_SDK_LOAD_CONFIG": "1",
        "AWS_CONFIG_FILE": file,
        "AWS_SHARED_CREDENTIALS_FILE": file,
        "BOTO_CONFIG": file,
        "AWS_ACCESS_KEY_ID": "AKIADEVELOPER",
        "AWS_SECRET_ACCESS_KEY": "developers-secret",
        "AWS_SESSION_TOKEN": "developers-token",
        "AWS_WEB_IDENTITY_TOKEN_FILE": file,
        "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/developer",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": nowhere,
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_ENDPOINT_URL_DYNAMODB": nowhere,
        "AWS_ENDPOINT_URL_STS": nowhere,
        "AWS_CA_BUNDLE": file,
        "AWS_REGION": "eu-nowhere-1",
        "AWS_DEFAULT_REGION": "eu-nowhere-1",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": nowhere,
        "AWS_LAMBDA_FUNCTION_NAME": "developers",
        "AWS_LAMBDA_RUNTIME_API": "192.0.2.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_RETRY_MODE": "nope",
        "AWS_DEFAULTS_MODE": "nope",
        "AWS_MAX_ATTEMPTS": "nope",
        "MOTO_ACCOUNT_ID": "111122223333",
        "MOTO_S3_CUSTOM_ENDPOINTS": nowhere,
        "TEST_SERVER_MODE": "true",
        "FORWARDED_ALLOW_IPS": "*",
        "WEB_CONCURRENCY": "many",
        "INITIAL_NO_AUTH_ACTION_COUNT": "0",
        **proxies,
        **{name.upper(): value for name, value in proxies.items()},
    }


def test_a_poisoned_environment_changes_nothing(tmp_path: Path, poison: dict[str, str]) -> None:
    template, port = copy_stack("isolated", tmp_path), free_port()
    issuer = f"Issuer=http://127.0.0.1:{port}/_local/issuer"
    with EngineProcess(template, "--parameters", issuer, environment=poison, port=port) as engine:
        with engine.client() as client:
            headers = {"authorization": f"Bearer {engine.mint_token()}"}
            response = client.get("/tables", headers=headers)
        assert response.status_code == 200, engine.output
        assert engine.stop() == 0
    answer = response.json()
    assert answer["tables"] == ["Table"]
    assert answer["region"] == "us-east-1"
    assert (tmp_path / "report").read_text() == ""
    # The guard was in the engine and in the AWS services.
    assert len((tmp_path / "report.seen").read_text()) >= 2
    # A function has its own role's keys.
    keys = {name: answer["environment"][name] for name in KEYS}
    assert {name: value for name, value in AWS_SETTINGS.items() if name not in KEYS}.items() <= answer[
        "environment"
    ].items()
    assert keys["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not set(keys.values()) & set(poison.values())
    touched = answer["touched"]
    assert [entry for entry in touched if entry[0] == "socket.connect"]
    assert all(address.startswith("('127.0.0.1', ") for event, address in touched if event == "socket.connect")
    assert not [path for _, path in touched if "/.aws" in path or "developers-file" in path or ".boto" in path]
    assert not [value for value in poison.values() if len(value) > 4 and value in answer["environment"].values()]
    assert "Traceback" not in engine.output


def test_the_backend_ignores_a_poisoned_environment(tmp_path: Path, poison: dict[str, str]) -> None:
    template = copy_stack("isolated", tmp_path)
    ports = ["--services-port", str(free_port()), "--issuer-port", str(free_port())]
    process = subprocess.Popen(
        engine_command("backend", "--template", str(template), "--parameters", "Issuer=http://127.0.0.1:1", *ports),
        env=child_environment() | poison,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    output = ""
    while "Ctrl-C stops" not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    # Ready for SIGINT as soon as it answers.
    httpx.get(f"http://127.0.0.1:{ports[-1]}/.well-known/jwks.json", trust_env=False).raise_for_status()
    process.send_signal(signal.SIGINT)
    output += process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert "Traceback" not in output
    assert (tmp_path / "report").read_text() == ""


def test_services_that_a_program_starts_ignore_a_poisoned_environment(
    tmp_path: Path, poison: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    services = start_services()
    try:
        keep_secret("name", "value", services.endpoint)
    finally:
        services.stop()
    assert (tmp_path / "report").read_text() == ""
    assert (tmp_path / "report.seen").read_text()
