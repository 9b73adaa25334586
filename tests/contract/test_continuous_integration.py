"""GitHub Actions workflows: pinned actions, minimal permissions, no long-lived credentials."""

import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from functools import cache

import pytest
import yaml
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.support.programs import list_make_targets
from tests.support.stack import ROOT, list_templates, load_template
from tests.support.templates import translate_template

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
# «Secure use reference», GitHub Docs: only a full commit hash is immutable; the comment says which release it is.
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
READ = {"contents": "read"}
# «Configuring OpenID Connect in Amazon Web Services», GitHub Docs: allows a job to request an OIDC token.
DEPLOY = READ | {"id-token": "write"}


@cache
def load(file):
    # BaseLoader, because YAML 1.1 reads the key `on` as true.
    return yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)


def list_jobs():
    return [(file, name, job) for file in FILES for name, job in load(file)["jobs"].items()]


def list_steps():
    return [(job, step) for _, _, job in list_jobs() for step in job.get("steps", [])]


def is_deployment(job):
    return "environment" in job or job.get("uses", "").endswith("/deploy.yml")


each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
each_job = pytest.mark.parametrize(
    "job", [pytest.param(job, id=f"{file.stem}-{name}") for file, name, job in list_jobs()]
)


@each_file
def test_every_action_is_pinned_by_its_commit(file):
    lines = [line.strip().removeprefix("- ") for line in file.read_text(encoding="utf-8").splitlines()]
    used = [line for line in lines if line.startswith("uses:") and not line.startswith("uses: ./")]
    assert used or file.name == "ci.yml"
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_version_everywhere():
    used = {use for file in FILES for use in re.findall(r"uses: (\S+@.*)", file.read_text(encoding="utf-8"))}
    assert len({use.partition("@")[0] for use in used}) == len(used)


@each_file
def test_a_workflow_may_read_and_nothing_else(file):
    assert load(file)["permissions"] == READ


@each_job
def test_only_a_deployment_may_request_an_oidc_token(job):
    # A job without permissions inherits those of its workflow.
    assert job.get("permissions", READ) == (DEPLOY if is_deployment(job) else READ)


def test_deployments_come_from_main_only_after_all_checks_and_one_stage_after_the_other():
    jobs = load(ROOT / ".github/workflows/ci.yml")["jobs"]
    stages = [name for name, job in jobs.items() if is_deployment(job)]
    assert stages == ["dev", "staging", "prod"]
    assert [jobs[name]["with"]["stage"] for name in stages] == stages
    assert jobs["dev"]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    assert [jobs[name]["needs"] for name in stages] == [["lint", "test"], ["dev"], ["staging"]]
    # An `if` could run a stage although an earlier one failed or was skipped.
    assert not [name for name in ("staging", "prod") if "if" in jobs[name]]
    assert load(ROOT / ".github/workflows/deploy.yml")["jobs"]["deploy"]["environment"] == "${{ inputs.stage }}"
    profiles = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    assert all(f"[{name}.deploy.parameters]" in profiles for name in stages)


def test_no_workflow_runs_with_rights_on_code_of_strangers():
    # «Secure use reference», GitHub Docs.
    triggers = {trigger for file in FILES for trigger in load(file)["on"]}
    assert triggers <= {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}


@each_file
def test_no_secret_is_named_anywhere(file):
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"secrets\s*[.\[:]|AKIA|aws-access-key-id|aws-secret-access-key|AWS_SECRET", text)


def test_aws_is_reached_by_a_role_that_the_environment_names():
    (options,) = [step["with"] for _, step in list_steps() if "configure-aws-credentials" in step.get("uses", "")]
    assert options["role-to-assume"] == "${{ vars.AWS_ROLE_ARN }}"
    assert options["aws-region"] == "${{ vars.AWS_REGION }}"


def test_a_checkout_keeps_no_credentials():
    checkouts = [step for _, step in list_steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") != "false"] == []


@each_job
def test_a_job_ends_by_itself(job):
    assert "uses" in job or 0 < int(job["timeout-minutes"]) <= 60


@each_job
def test_a_job_that_makes_another_useless_ends_it_and_a_deployment_never_does(job):
    if "uses" not in job and not is_deployment(job):
        assert job["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    concurrency = load(ROOT / ".github/workflows/deploy.yml")["concurrency"]
    assert concurrency == {"group": "deploy-${{ inputs.stage }}", "cancel-in-progress": "false"}


def test_a_step_runs_a_make_target_that_exists_and_nothing_else():
    targets = list_make_targets()
    commands = [step["run"] for _, step in list_steps() if "run" in step]
    assert commands
    called = [re.fullmatch(r'make ([a-z-]+)( [A-Z]+=("\$[A-Z]+"|yes))*', command) for command in commands]
    assert all(called), "a command line with more in it than make and variables of the environment"
    assert {match[1] for match in called} == {"docs", "lint", "mutants", "test", "starter-check", "deploy"} <= targets


def test_a_commit_is_checked_with_tools_that_are_installed_by_the_projects_own_locks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert re.match(r"\.venv(-scan)?/bin/|make ", hook["entry"]), hook["entry"]


PAGE = (ROOT / "docs/operations/continuous-integration.md").read_text(encoding="utf-8")
# Actions of properties that the stack does not use: functions in a VPC, streams to other services, a custom domain of
# the user pool, metadata tables of a bucket, customer-managed keys (AWS managed keys allow the account's principals by
# themselves), and what CloudFormation's own account reads or writes.
UNUSED = re.compile(
    r"(billing|cloudfront|ec2|elasticfilesystem|firehose|kinesis|kms|s3files|s3tables):|s3:(REST|GetObjectMetadata)"
)


@pytest.mark.slow
def test_the_roles_rights_are_those_that_the_stacks_resource_types_need():
    rows = PAGE.partition("| actions | for |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = {action for row in rows for action in re.findall(r"`([a-z0-9-]+:[A-Za-z*]+)`", row.split("|")[1])}
    resources = [translate_template(load_template(name)).values() for name in list_templates()]
    types = {resource["Type"] for template in resources for resource in template}
    needed = {action for kind in types for action in list_actions(kind) if not UNUSED.match(action)}
    missing = {action for action in needed if not is_listed(action, listed)}
    assert not missing
    # Neither does the list have a service that no type needs.
    assert {action.partition(":")[0] for action in listed} == {action.partition(":")[0].lower() for action in needed}


def test_the_list_names_the_rights_that_the_types_do_not_tell():
    # «Logs sent to CloudWatch Logs», CloudWatch Logs User Guide; «Service-linked roles», API Gateway Developer Guide.
    for action in ("logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"):
        assert f"`{action}`" in PAGE
    for service in ("ops.apigateway", "lambda.application-autoscaling"):
        assert f"`{service}.amazonaws.com`" in PAGE


def list_actions(kind):
    """What CloudFormation calls for a resource type. It has a custom resource done by the function that it names."""
    if kind.startswith("Custom::"):
        return {"lambda:InvokeFunction"}
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    used = ("create", "read", "update", "delete")
    return {action for name in used for action in handlers.get(name, {}).get("permissions", ())}


def is_listed(action, listed):
    # IAM does not distinguish case.
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in listed)


@pytest.fixture
def workflow(tmp_path):
    """A copy of the workflows, to be changed."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    return tmp_path / ".github/workflows/ci.yml"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "@main"),
        ("permissions:\n  contents: read", "permissions: write-all"),
        ("run: make lint", 'run: echo "${{ github.event.pull_request.title }}"'),
        ("  pull_request:", "  pull_request_target:"),
    ],
)
def test_make_lint_finds_what_is_insecure_in_a_workflow(workflow, old, new):
    zizmor = ROOT / ".venv-scan/bin/zizmor"
    if not zizmor.exists():
        pytest.fail("zizmor is not installed here; `make lint` and `make test` install it")
    text = workflow.read_text(encoding="utf-8")
    assert old in text
    assert scan(zizmor, workflow) == 0
    workflow.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert scan(zizmor, workflow) > 0


def scan(zizmor, workflow):
    command = [zizmor, "--offline", "--no-progress", "--quiet", workflow.parents[1]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
