"""`make deploy`: what it refuses before anything is built, and the profiles that it deploys with."""

import os
import subprocess
import tomllib

import pytest

from operations.profiles import read_profile
from tests.operations.programs import run_operation
from tests.stack import ROOT, load_template

PROFILES = {name: of for name, of in tomllib.loads((ROOT / "samconfig.toml").read_text()).items() if name != "version"}
STAGES = load_template()["Parameters"]["Stage"]["AllowedValues"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], "Say which stage, by STAGE=…: one of the profiles in samconfig.toml: dev, staging, prod."),
        (["STAGE=production"], "STAGE=production is none of the profiles in samconfig.toml: dev, staging, prod."),
        (["STAGE=default"], "STAGE=default is none of the profiles"),
        (["STAGE=dev", "AWS_DEFAULT_REGION=eu-central-1"], "Unable to locate credentials"),
        (["STAGE=dev"], "No AWS region is set: set AWS_DEFAULT_REGION"),
    ],
    ids=["no stage", "no such stage", "no profile of a stage", "no credentials", "no region"],
)
def test_what_cannot_be_deployed_is_refused_before_anything_is_built(said, sentence):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(
        ["make", "deploy", *said], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    assert all(line.startswith("make: ") for line in rest)
    assert done.stdout == ""


def test_every_stage_has_a_profile_of_its_own():
    assert {name for name, of in PROFILES.items() if "deploy" in of} == {"default", *STAGES}
    profiles = [read_profile(stage) for stage in STAGES]
    assert len({profile.stack for profile in profiles}) == len(STAGES)
    for stage in STAGES:
        parameters = PROFILES[stage]["deploy"]["parameters"]
        assert f"Stage={stage}" in parameters["parameter_overrides"]
        assert f"stage={stage}" in parameters["tags"]
        given = {override.partition("=")[0] for override in parameters["parameter_overrides"]}
        assert given <= load_template()["Parameters"].keys()


def test_production_is_asked_about_and_keeps_its_logs_longer():
    parameters = PROFILES["prod"]["deploy"]["parameters"]
    assert parameters["confirm_changeset"] is True
    overrides = dict(override.split("=") for override in parameters["parameter_overrides"])
    retention = load_template()["Parameters"]["LogRetentionDays"]
    assert int(overrides["LogRetentionDays"]) in retention["AllowedValues"]
    assert int(overrides["LogRetentionDays"]) > retention["Default"]


def test_an_unknown_step_is_refused():
    assert run_operation("deploy", "sideways").returncode == 2
