"""What a team adds for a second noun: whole files, blocks of lines in two templates, and two changed lines."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.recipes.changes import insert_block

FILES = Path(__file__).parent / "orders"
# The line before which a block goes, by the template and the block's file.
BLOCKS = {
    ("template.yaml", "tags"): "        x-scopes:",
    ("template.yaml", "scopes"): "        paths:",
    ("template.yaml", "paths"): "        components:",
    ("template.yaml", "schemas"): "            Resource: {Fn::Transform",
    ("template.yaml", "functions"): "  UpdateResource:",
    (
        "stacks/identity.yaml",
        "resource_server",
    ): "  # ---------------------------------------------------------------- clients",
}
CHANGES = {
    (
        "stacks/identity.yaml",
        "resources/read,resources/write",
    ): "resources/read,resources/write,orders/read,orders/write",
    ("stacks/identity.yaml", "DependsOn: [ResourceServer"): "DependsOn: [ResourceServer, OrderServer",
}


def list_new_files() -> Iterator[Path]:
    """The noun's files, relative to the project."""
    for path in sorted(FILES.rglob("*")):
        name = path.relative_to(FILES)
        if path.is_file() and name.parts[0] != "hunks" and "__pycache__" not in name.parts:
            yield name


def add_noun(project: Path) -> None:
    for name in list_new_files():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / name, project / name)
    for (template, block), anchor in BLOCKS.items():
        insert_block(project / template, anchor, read_block(block))
    for (template, old), new in CHANGES.items():
        text = (project / template).read_text()
        assert old in text
        (project / template).write_text(text.replace(old, new))


def read_block(name: str) -> str:
    return (FILES / "hunks" / f"{name}.yaml").read_text()
