"""`make deploy`: what it rejects before it builds anything, its steps, and the profiles that it deploys."""

import os
import re
import subprocess
import tomllib

import pytest

from tests.support.programs import run_tool
from tests.support.stack import ROOT, load_template
from tools.profiles import read_profile

PROFILES = {
    name: profile for name, profile in tomllib.loads((ROOT / "samconfig.toml").read_text()).items() if name != "version"
}
STAGES = load_template()["Parameters"]["Stage"]["AllowedValues"]


def find_environment(**variables: str) -> dict[str, str]:
    """An environment without an account, and without the variables that make passes to what it runs."""
    said = ("AWS_", "MAKE", "STAGE", "STACK", "URL", "CI", "TESTED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(said)}
    closed = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return inherited | closed | {"AWS_EC2_METADATA_DISABLED": "true"} | variables


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], "Set STAGE= to one of the profiles in samconfig.toml: dev, staging, prod."),
        (["STAGE=production"], "STAGE=production is not one of the profiles in samconfig.toml: dev, staging, prod."),
        (["STAGE=default"], "STAGE=default is not one of the profiles"),
        (["STAGE=dev", "AWS_DEFAULT_REGION=eu-central-1"], "Unable to locate credentials"),
        (["STAGE=dev"], "No AWS region is set: set AWS_DEFAULT_REGION"),
    ],
    ids=["no stage", "no such stage", "no profile of a stage", "no credentials", "no region"],
)
def test_what_cannot_be_deployed_is_refused_before_anything_is_built(said, sentence):
    done = subprocess.run(
        ["make", "deploy", *said],
        cwd=ROOT,
        env=find_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    assert all(line.startswith("make: ") for line in rest)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("said", "environment", "steps"),
    [
        ([], {}, ["check", "test build", "sam deploy", "protect", "smoke"]),
        (["TESTED=yes"], {}, ["check", "build", "sam deploy", "protect", "smoke"]),
        ([], {"CI": "true"}, ["check", "test build", "sam deploy unasked", "protect", "smoke"]),
        ([], {"CI": "false"}, ["check", "test build", "sam deploy", "protect", "smoke"]),
    ],
    ids=["a developer", "tested before", "CI", "no CI"],
)
def test_a_stage_is_tested_built_deployed_protected_and_tried_in_this_order(said, environment, steps):
    # -n prints the commands, which read STAGE from the environment, and runs the calls of make itself with -n too.
    done = subprocess.run(
        ["make", "-n", "deploy", "STAGE=prod", *said],
        cwd=ROOT,
        env=find_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    patterns = {
        "check": r"tools\.deploy check --stage=\"\$STAGE\"",
        "test build": r"make --no-print-directory test build$",
        "build": r"make --no-print-directory\s+build$",
        "sam deploy": r"sam deploy --config-env \"\$STAGE\"\s*$",
        "sam deploy unasked": r"sam deploy --config-env \"\$STAGE\" --no-confirm-changeset$",
        "protect": r"tools\.deploy protect --stage=\"\$STAGE\"",
        "smoke": r"make --no-print-directory smoke STAGE=\"\$STAGE\"",
    }
    lines = done.stdout.splitlines()
    found = [name for line in lines for name, pattern in patterns.items() if re.search(pattern, line)]
    assert found == steps


def test_every_stage_has_its_own_profile():
    assert {name for name, profile in PROFILES.items() if "deploy" in profile} == {"default", *STAGES}
    profiles = [read_profile(stage) for stage in STAGES]
    assert [profile.stack for profile in profiles] == [f"serverless-api-{stage}" for stage in STAGES]
    for stage in STAGES:
        parameters = PROFILES[stage]["deploy"]["parameters"]
        assert f"Stage={stage}" in parameters["parameter_overrides"]
        assert f"stage={stage}" in parameters["tags"]
        given = {override.partition("=")[0] for override in parameters["parameter_overrides"]}
        assert given <= load_template()["Parameters"].keys()


def test_the_default_stack_is_that_of_the_default_stage():
    stage = load_template()["Parameters"]["Stage"]["Default"]
    assert PROFILES["default"]["global"]["parameters"]["stack_name"] == read_profile(stage).stack


def test_every_profile_may_create_roles_and_nested_applications():
    # Nested applications have a transform, which needs CAPABILITY_AUTO_EXPAND ("CreateChangeSet", AWS CloudFormation).
    for name in ("default", *STAGES):
        capabilities = PROFILES[name]["deploy"]["parameters"]["capabilities"]
        assert capabilities.split() == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


def test_a_production_change_set_needs_approval():
    assert PROFILES["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


def test_an_unknown_step_is_refused():
    assert run_tool("deploy", "sideways").returncode == 2
