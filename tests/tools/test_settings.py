"""Wrong settings of make's targets, and no server: a sentence that says what to do, and nothing else."""

import base64
import json
import os
import socket
import subprocess

import pytest

from local_engine.testing import free_port
from tests.support.stack import ROOT

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJl"


def run_make(*settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make without an account, and without a step that could install anything."""
    said = ("AWS_", "MAKE", "STAGE", "STACK", "URL", "PORT", "TOKEN", "API_URL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(said)}
    closed = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return subprocess.run(
        ["make", "--old-file=.venv/run", "--old-file=.venv/dev", *settings],
        cwd=ROOT,
        env=inherited | closed | {"AWS_EC2_METADATA_DISABLED": "true"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refuse(*settings: str, **environment: str) -> str:
    done = run_make(*settings, **environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    sentence, *rest = done.stderr.splitlines()
    assert all(line.startswith("make: ") for line in rest), done.stderr
    assert TOKEN not in done.stderr
    return sentence


@pytest.mark.parametrize(
    ("target", "port"),
    [
        *((target, "abc") for target in ("run", "debug", "backend", "dashboard")),
        *(("token", port) for port in ("99999", "0", "", "٣")),
    ],
)
def test_a_wrong_port(target, port):
    settings = ["FUNCTION=ListResources"] if target == "debug" else []
    said = refuse(target, f"PORT={port}", *settings)
    sentence = f"--port: {port!r} is not a port number; choose one from 1 to 65535."
    assert said == f"{sentence} See: local-engine {'run' if target == 'debug' else target} --help"


@pytest.mark.parametrize(
    ("target", "setting"),
    [
        ("load", "PORT=abc"),
        ("soak", "URL=garbage"),
        *(("smoke", setting) for setting in ("PORT=abc", "PORT=99999", "PORT=0", "URL=garbage", "URL=http://[")),
    ],
)
def test_no_url(target, setting):
    said = refuse(target, setting)
    assert "is not a URL such as http://127.0.0.1:3000; set URL=, or PORT= to a number from 1 to 65535." in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["token", "EXPIRES=x"], "--expires: 'x' is not a whole number of seconds, such as 3600 or -1."),
        (["token", "EXPIRES=1.5"], "--expires: '1.5' is not a whole number"),
        (["token", "EXPIRES=99999999999999"], "'99999999999999' is too large; choose at most 999999999 seconds"),
        (["token", "SUB="], "--sub: the user is empty; name one, such as demo."),
        (["run", "ORIGIN=localhost"], "AllowedOrigin is 'localhost': must be an https origin such as https://"),
        (["run", "ORIGIN=http://localhost:5173/"], "without a path or slash"),
        (["run", "ORIGIN=*"], "must be an https origin"),
        (["run", "ARGS=--fast"], "unrecognized arguments: --fast."),
        (["run", f"ARGS={TOKEN}"], "unrecognized arguments: <token>"),
        (["debug"], "Set FUNCTION= to a function's logical ID, such as ListResources."),
        (["debug", "FUNCTION=nope"], "There is no function nope; there are ListResources,"),
        (["smoke", "STAGE=nope"], "STAGE=nope is not one of the profiles in samconfig.toml"),
        (["smoke", "STACK=any"], "No AWS region is set"),
        (["load", "PROFILE=missing.toml"], "missing.toml cannot be read"),
        (["cost", "ARGS=--fast"], "unrecognized arguments: --fast."),
        (["cost", "ARGS=nope"], "There is no profile"),
        (["tune", "ARGS=--starts=x"], "--starts: invalid int value: 'x'."),
        (["bench-traces", "ARGS=--starts=x"], "--starts: invalid int value: 'x'."),
        (["machine-client"], "API_URL is not set"),
    ],
)
def test_another_wrong_setting(settings, sentence):
    assert sentence in refuse(*settings)


@pytest.mark.parametrize("target", ["run", "dashboard"])
def test_a_port_in_use(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refuse(target, f"PORT={port}")
    assert f"Port {port} cannot be used (Address already in use). Stop the program that uses it" in said


@pytest.mark.parametrize("target", ["smoke", "load", "soak"])
def test_nothing_runs(target):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    sentence = f"Nothing answers at {url}: start the API with `make run PORT={port}`."
    assert refuse(target, f"PORT={port}") == sentence
    if target == "load":
        assert refuse(target, f"URL={url}/", TOKEN=TOKEN) == sentence


def test_the_machine_client_finds_nothing():
    port = free_port()
    closed = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = closed | {"API_URL": f"http://127.0.0.1:{port}", "CLIENT_SECRET_ID": "machine-client/Api"}
    said = refuse("machine-client", **environment, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert said.startswith(
        f"Nothing answers at http://127.0.0.1:{port} or its AWS services: start the API with `make run`"
    )


def test_a_token_that_cannot_be_sent_is_not_shown():
    said = refuse("load", f"PORT={free_port()}", TOKEN=f"{TOKEN}\n{TOKEN}")
    assert said == "TOKEN has characters that no token has; set it to an access token alone."


def test_a_token_without_scopes_is_what_a_403_needs():
    done = run_make("-s", "token", "SCOPES=")
    assert (done.returncode, done.stdout.count(".")) == (0, 2)


VALUES = ("`id`", "$(id)", "$(shell id)", "a$b", "a$$b", 'a"b', "a'b", "a#b", "a\\", "a\nb", "a;id")


@pytest.mark.parametrize(("given", "inherited"), list(zip(VALUES, (*VALUES[1:], VALUES[0]), strict=True)))
def test_make_and_the_shell_leave_a_value_as_it_is(given, inherited):
    done = run_make("-s", "token", f"SUB={given}", SCOPES=inherited)
    assert done.returncode == 0, done.stderr
    claims = json.loads(base64.urlsafe_b64decode(done.stdout.split(".")[1] + "==="))
    assert claims["sub"] == given
    # White space separates scopes.
    assert claims["scope"].split() == inherited.split()


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("run", "PORT"),
        ("run", "ORIGIN"),
        ("debug", "FUNCTION"),
        ("token", "EXPIRES"),
        ("smoke", "STAGE"),
        ("smoke", "URL"),
        ("load", "PROFILE"),
    ],
)
def test_a_wrong_value_is_named_as_it_is(target, name):
    assert "$(shell echo a)`echo b`" in refuse(target, f"{name}=$(shell echo a)`echo b`")
