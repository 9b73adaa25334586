"""A second noun, as `make noun` writes it."""

from pathlib import Path

from tests.recipes.changes import run_tool

FIELDS = "total:decimal status:open|paid|shipped items:list due?:date"


def add_noun(project: Path) -> None:
    run_tool(project, "noun", "--name=order", f"--fields={FIELDS}")
