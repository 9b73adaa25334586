"""The mutants that may survive, each with a reason."""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple


class Survivor(NamedTuple):
    """A mutant that changes nothing that a test could see."""

    file: str
    before: str
    after: str


def read_survivors(path: Path) -> dict[Survivor, str]:
    """Return the reason of each listed mutant.

    Raises:
        ValueError: an entry has no reason.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    for entry in entries:
        if not entry["reason"].strip():
            raise ValueError(f"An entry of {entry['file']} has no reason: {entry['before']}")
    return {Survivor(entry["file"], entry["before"], entry["after"]): entry["reason"] for entry in entries}


def find_stale(root: Path, survivors: dict[Survivor, str]) -> list[Survivor]:
    """Return the listed mutants of code that is no longer there."""
    stale = []
    for survivor in survivors:
        file = root / survivor.file
        lines = {line.strip() for line in file.read_text(encoding="utf-8").splitlines()} if file.exists() else set()
        if not lines.issuperset(line for line in survivor.before.splitlines() if line):
            stale.append(survivor)
    return stale


def write_entry(survivor: Survivor) -> str:
    """Return the lines that list a mutant, without the reason."""
    values = {**survivor._asdict(), "reason": ""}
    return "\n".join(
        ["[[survivor]]", *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())]
    )
