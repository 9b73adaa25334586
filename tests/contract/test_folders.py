"""The folders of tests: each stands by itself, and what they share is in tests/support."""

import ast

import pytest

from tests.support.stack import ROOT

TESTS = ROOT / "tests"
MODULES = sorted(TESTS.rglob("*.py"))


def list_imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_imports_only_its_own_folder_and_what_all_share(path):
    folder = path.relative_to(TESTS).parts[0]
    imported = {name.split(".")[1] for name in list_imports(path) if name.startswith("tests.")}
    assert imported <= {folder, "support"}
