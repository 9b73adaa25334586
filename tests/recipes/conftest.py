"""A copy of the project with an endpoint and a second noun, `orders`, added by the commands of docs/."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.recipes.changes import Cost, apply
from tests.recipes.endpoint import add_endpoint
from tests.recipes.noun import add_noun
from tests.support.stack import ROOT

# What git ignores, and this test itself.
_LEFT_OUT = (
    ".git", ".venv*", ".local", ".aws-sam", ".bench", ".load", ".*_cache", ".hypothesis", ".coverage*", "__pycache__",
    "recipes",
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the copy; `costs` applies the recipes to it."""
    folder = tmp_path_factory.mktemp("recipes") / "project"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", autouse=True)
def costs(project: Path) -> Mapping[str, Mapping[str, Cost]]:
    """The cost of each file that a recipe adds or changes."""
    return {"endpoint": apply(add_endpoint, project), "noun": apply(add_noun, project)}
