"""`make starter-check`: makes projects of the starter, and runs the lint, the tests and a guided deployment of each.

The projects share the environments that the first one installs, since their locked requirements are the same.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.deploy.deployment import Deployment, prepare_template
from tests.deploy.emulator import Emulator
from tests.support.stack import ROOT
from tools.command_parser import CommandParser
from tools.scaffold.parts import load_parts
from tools.scaffold.starter import build_starter

FOLDER = ROOT / "dist/projects"
PROJECTS: Mapping[str, Mapping[str, str]] = {
    "minimal": {"project_name": "Minimal", **dict.fromkeys(load_parts(), "no"), "licence": "proprietary"},
    "everything": {"project_name": "Everything", "noun": "invoice", "plural": "invoices"},
    "fields": {
        "project_name": "Other fields",
        "noun": "delivery",
        "plural": "deliveries",
        "fields": "total:decimal status:draft|sent|paid items:list note?:text",
        "licence": "Apache-2.0",
    },
}
_ENVIRONMENTS = (".venv", ".venv-scan", ".venv-docs")
_SAM = [sys.executable, "-m", "samcli"]


class CheckError(Exception):
    """A step fails; the message is the end of its output."""


def generate_project(name: str) -> Path:
    """Make a project as `sam init` does, and return its folder."""
    target = FOLDER / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    answers = json.dumps(PROJECTS[name])
    options = ["--no-input", "--location", str(ROOT / "dist/starter"), "--extra-context", answers]
    _run([*_SAM, "init", *options, "--output-dir", str(target)], ROOT)
    (project,) = target.iterdir()
    return project


def install_environments(project: Path) -> None:
    """Install what the project's tests need, or share what another project has installed."""
    for environment in _ENVIRONMENTS:
        installed = sorted(FOLDER.glob(f"*/*/{environment}/bin"))
        if installed and not (project / environment).exists():
            (project / environment).symlink_to(installed[0].parent)
    # A project is newer than what an older one has installed of the same requirements.
    for name in ("run", "dev", "done"):
        for marker in project.glob(f".venv*/{name}"):
            marker.touch()
    _run(["make", ".venv/dev", ".venv-scan/done", ".venv-docs/done"], project)


def deploy(project: Path) -> None:
    """Build the project, and deploy it with `sam deploy --guided` into the emulator."""
    _run([".venv/bin/sam", "build"], project)
    built = project / ".aws-sam/emulated"
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(project / ".aws-sam/build", built)
    directory = project / ".aws-sam/emulator"
    directory.mkdir(exist_ok=True)
    with Emulator(directory, {}) as emulator:
        stack = f"{project.name}-dev"
        deployment = Deployment(emulator, prepare_template(built / "template.yaml"), stack)
        deployment.answer_guide(directory, project)
        (found,) = emulator.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        if found["StackStatus"] != "CREATE_COMPLETE":
            raise CheckError(f"the stack is {found['StackStatus']}")


STEPS: Mapping[str, Callable[[Path], None]] = {
    "environments": install_environments,
    "lint": lambda project: _run(["make", "lint", "docs"], project),
    "test": lambda project: _run(["make", "test"], project),
    "deploy": deploy,
}


def _run(command: list[str], folder: Path) -> None:
    # Without what this project's Makefile sets for its own commands.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHONPATH"))
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise CheckError("\n".join(done.stdout.splitlines()[-60:]))


def main() -> int:
    """Check the projects of the command line; return 1 if a step fails."""
    parser = CommandParser(prog="make starter-check", description=__doc__)
    parser.add_argument("projects", nargs="*", help=f"some of {', '.join(PROJECTS)}; all if none is named")
    parser.add_argument("--steps", nargs="*", default=list(STEPS), help=f"some of {', '.join(STEPS)}")
    options = parser.parse_args()
    print(*build_starter(ROOT, ROOT / "dist/starter"))
    failed = 0
    for name in options.projects or PROJECTS:
        project = generate_project(name)
        for step in options.steps:
            started, error = time.monotonic(), ""
            try:
                STEPS[step](project)
            except (AssertionError, CheckError) as raised:
                error, failed = str(raised), failed + 1
            print(f"{name:12} {step:14} {time.monotonic() - started:6.0f} s  {'FAILED' if error else 'ok'}", flush=True)
            if error:
                print(error, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
