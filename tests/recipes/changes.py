"""Applies recipes to a copy of the project and measures what each costs."""

import difflib
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a recipe costs in one file."""

    new: bool
    hunks: int
    lines: int


def run_tool(project: Path, tool: str, *arguments: str) -> None:
    """Run a command of the project that writes code."""
    command = [sys.executable, "-B", "-m", f"tools.scaffold.{tool}", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def apply(recipe: Callable[[Path], None], project: Path) -> Mapping[str, Cost]:
    """Apply a recipe.

    Returns:
        The cost of each file that it adds or changes, by the file's name.
    """
    before = _read_lines(project)
    recipe(project)
    after = _read_lines(project)
    assert before.keys() <= after.keys()
    return {
        name: _compare(before.get(name), lines) for name, lines in sorted(after.items()) if lines != before.get(name)
    }


def _read_lines(project: Path) -> Mapping[str, list[bytes]]:
    return {
        str(path.relative_to(project)): path.read_bytes().splitlines() for path in project.rglob("*") if path.is_file()
    }


def _compare(before: list[bytes] | None, after: list[bytes]) -> Cost:
    matcher = difflib.SequenceMatcher(None, before or [], after, autojunk=False)
    hunks = [late - early for kind, _, _, early, late in matcher.get_opcodes() if kind != "equal"]
    return Cost(before is None, len(hunks), sum(hunks))
