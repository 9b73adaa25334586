"""Who may import whom."""

import ast
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT

PACKAGE = ROOT / "layers" / "shared" / "serverless_api"
MODULES = sorted(PACKAGE.rglob("*.py"))
HANDLERS = sorted((ROOT / "functions").rglob("*.py"))


def find_imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or in a function, as `a.b`; types for the checker left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_a_function_imports_the_layers_package_and_pythons_own(path):
    assert {name.split(".")[0] for name in find_imports(path)} - sys.stdlib_module_names == {"serverless_api"}


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_a_function_is_about_twenty_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_package_imports_no_function_test_or_engine_and_nothing_slow(path):
    names = find_imports(path)
    assert not {name.split(".")[0] for name in names} & {"functions", "local", "tests", "pydantic", "aws_xray_sdk"}
    assert "boto3.resource" not in names
    assert not [name for name in names if name.startswith("aws_lambda_powertools.tracing")]
    assert not [name for name in names if name.startswith("aws_lambda_powertools.event_handler")]
    assert "boto3.resource(" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "local").rglob("*.py")), ids=lambda path: path.stem)
def test_the_engine_knows_nothing_of_the_package(path):
    assert not {name.split(".")[0] for name in find_imports(path)} & {"serverless_api", "functions", "tests"}


def test_imports_within_the_package_run_one_way():
    names = {name_of(path) for path in MODULES}
    graph = {name_of(path): find_imports(path) & names - {name_of(path), "serverless_api"} for path in MODULES}
    done: set[str] = set()
    while graph.keys() - done:
        ready = {name for name in graph.keys() - done if graph[name] <= done}
        assert ready, f"these import one another: {sorted(graph.keys() - done)}"
        done |= ready


# From the top down: a module imports those below it alone. Each module of the request path stands in one of them.
LAYERS = [
    {"endpoint"},
    {"requests", "responses", "identity", "introspection", "gateway_event", "validation", "snapshot", "warm_up"},
    {"resources", "enrichment", "idempotency"},
    {"table"},
    {"dynamodb", "credentials", "exchange", "json_text", "errors"},
    {"resilience.circuit_breaker", "resilience.retry", "resilience.deadline"},
    {"tracing", "observability"},
    {"settings"},
]
# They are no part of a route's request.
ASIDE = {"batch", "client_secret_rotation", "smoke", "version_verification", "warming"}


def test_every_module_has_its_place():
    names = {name_of(path).removeprefix("serverless_api.") for path in MODULES} - {"serverless_api", "resilience"}
    assert names == set().union(*LAYERS) | ASIDE


def test_imports_within_the_package_run_down():
    for level, names in enumerate(LAYERS):
        above = set().union(*LAYERS[:level])
        for name in names:
            path = PACKAGE / f"{name.replace('.', '/')}.py"
            imported = {each.removeprefix("serverless_api.") for each in find_imports(path)}
            assert not imported & above, f"{name} imports upwards"
