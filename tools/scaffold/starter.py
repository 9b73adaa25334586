"""`make starter`: builds dist/starter, the template of a new project for `sam init --location dist/starter`."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tools.profiles import ROOT
from tools.scaffold.changes import Changes, ScaffoldError, report_changes
from tools.scaffold.pages import remove_from_pages
from tools.scaffold.parts import load_parts, remove_entry, remove_targets

_LIST = Path(__file__).with_name("starter.toml")
_FOLDER = "{{cookiecutter.project_slug}}"
_HOOK = '''\
"""Makes the project that the answers describe."""

import shutil
import subprocess
import sys

ANSWERS = r"""{{ cookiecutter | jsonify }}"""

python = sys.executable if sys.version_info >= (3, 13) else shutil.which("python3.13")
if python is None:
    sys.exit("Python 3.13 is required, and there is no python3.13 on PATH.")
command = [python, "-B", "-m", "tools.scaffold.generation"]
sys.exit(subprocess.run(command, input=ANSWERS, text=True).returncode)
'''


def build_starter(project: Path, target: Path) -> list[str]:
    """Build the template of a new project; return what it consists of.

    Args:
        project: this project, with the files that git knows.
        target: the folder to write; what is in it goes.

    Raises:
        ScaffoldError: git or the engine's build fails, or starter.toml names what is not there.
    """
    plan = read_plan()
    listed = _run("git", "ls-files", "-z", cwd=project).split("\0")
    names = [name for name in listed if name and (project / name).is_file()]
    for left_out in plan["left_out"]:
        if not (project / left_out).exists():
            raise ScaffoldError(f"starter.toml: this project has no file or folder {left_out}.")
    shutil.rmtree(target, ignore_errors=True)
    copy = target / _FOLDER
    for name in names:
        if not _is_left_out(name, plan["left_out"]):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, copy / name)
    changes = Changes(copy)
    edit_copy(changes, plan)
    changes.write()
    _build_engine(project, copy / "packages")
    (target / "hooks").mkdir()
    (target / "hooks/post_gen_project.py").write_text(_HOOK, encoding="utf-8")
    parts = load_parts()
    questions = plan["questions"] | {name: ["yes", "no"] for name in parts}
    prompts = plan["prompts"] | {name: f"{part.title}?" for name, part in parts.items()}
    text = json.dumps({**questions, "__prompts__": prompts, "_copy_without_render": ["*"]}, indent=2)
    (target / "cookiecutter.json").write_text(text + "\n", encoding="utf-8")
    count = sum(path.is_file() for path in copy.rglob("*"))
    return [f"{target}: {count} files. Start a project with `.venv/bin/sam init --location {target}`."]


def _is_left_out(name: str, left_out: list[str]) -> bool:
    return any(name == other or name.startswith(f"{other}/") for other in left_out)


def read_plan() -> dict[str, Any]:
    """Return what starter.toml says."""
    return tomllib.loads(_LIST.read_text(encoding="utf-8"))


def edit_copy(changes: Changes, plan: dict[str, Any]) -> None:
    """Take out of a copy of this project what names the files that it lacks.

    Raises:
        ScaffoldError: the plan names what is not there.
    """
    for target in plan["targets"]:
        if not re.search(rf"^## {target}: ", changes.read("Makefile"), re.MULTILINE):
            raise ScaffoldError(f"starter.toml: the Makefile has no target {target}.")
    remove_targets(changes, plan["targets"], plan["left_out"])
    remove_from_pages(changes, plan["left_out"], plan["targets"])
    for file, entry in plan["entries"]:
        text = remove_entry(changes.read(file), entry)
        if text == changes.read(file):
            raise ScaffoldError(f"starter.toml: {file} has no entry {entry}.")
        changes.replace(file, text)
    for file, pattern, new in plan["edits"]:
        changes.edit(file, pattern, new)


def _build_engine(project: Path, target: Path) -> None:
    """Build the wheel of the local engine, which the starter carries."""
    source = target / "source"
    shutil.copytree(
        project / "packages/local_engine/src",
        source / "src",
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
    )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(project / "packages/local_engine" / name, source / name)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target)]
    _run(sys.executable, "-m", "pip", "wheel", *options, str(source), cwd=target)
    shutil.rmtree(source)


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode:
        raise ScaffoldError(f"{command[0]} {command[1]} fails: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def main() -> int:
    """Build dist/starter; return 2 if it cannot be."""
    return report_changes(lambda: build_starter(ROOT, ROOT / "dist/starter"))


if __name__ == "__main__":
    raise SystemExit(main())
