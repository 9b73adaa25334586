"""Applies recipes to a copy of the project and measures what each costs."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a recipe costs in one file."""

    new: bool
    hunks: int
    lines: int


def insert_block(path: Path, anchor: str, block: str) -> None:
    """Insert lines before the one line that starts with the anchor."""
    lines = path.read_text().splitlines(keepends=True)
    (place,) = [index for index, line in enumerate(lines) if line.startswith(anchor)]
    lines[place:place] = [block]
    path.write_text("".join(lines))


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
