"""A copy of the project with a second noun, `orders`, added as a team would add it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.second_noun.noun import add_noun
from tests.support.stack import ROOT

# The noun's own files are of the copy.
collect_ignore = ["orders"]
# What git ignores, and this test itself.
_LEFT_OUT = (
    ".git", ".venv*", ".local", ".aws-sam", ".bench", ".load", ".*_cache", ".hypothesis", ".coverage*", "__pycache__",
    "second_noun",
)  # fmt: skip


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the copy."""
    folder = tmp_path_factory.mktemp("second_noun") / "project"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    add_noun(folder)
    yield folder
    shutil.rmtree(folder)
