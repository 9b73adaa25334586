"""Who may import whom, by rules that hold for any function, noun and module."""

import ast
import operator
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.gateway import import_functions
from tests.support.imports import CHANGED_BY_IMPORTS
from tests.support.stack import ROOT, list_routes

LAYER = ROOT / "layers" / "shared"
HOUSE = LAYER / "serverless_api"
HOUSE_MODULES = sorted(HOUSE.rglob("*.py"))
ROOMS = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
PACKAGES = {path.parent.name for path in LAYER.glob("*/__init__.py")}
# A package named like a nested application belongs to that part of the stack, whatever the nouns.
PARTS = PACKAGES & {path.stem for path in (ROOT / "stacks").glob("*.yaml")}
NOUNS = PACKAGES - PARTS - {HOUSE.name}
NOUN_MODULES = sorted(path for noun in NOUNS for path in (LAYER / noun).rglob("*.py"))
PART_MODULES = sorted(path for part in PARTS for path in (LAYER / part).rglob("*.py"))
FUNCTION_MODULES = sorted((ROOT / "functions").rglob("*.py"))
# Lambda's runtime has the SDK, and Powertools is in the layer.
INSTALLED = {"aws_lambda_powertools", "boto3", "botocore", "urllib3"}
ORDINARY = {"document", "message", "stack", "table", "tag", "task", "user"}
"""What the house says in another sense than a noun of this name, so that nothing can be told from it."""
SLOW = {"aws_xray_sdk", "pydantic", "requests"}


@cache
def find_gateway_names() -> set[str]:
    """Names in API Gateway's events, which some team's noun may share."""
    with import_functions():
        from serverless_api.http.gateway_event import _EVENT

        return set(_EVENT)


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def find_imports(path: Path) -> set[str]:
    """Every module or name that a file imports, anywhere in it, as `a.b`; except imports for the type checker."""
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
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def find_locked(folder: Path) -> set[str]:
    """The packages that a function brings itself."""
    lock = folder / "requirements.txt"
    if not lock.exists():
        return set()
    locked = set(re.findall("^([a-z0-9-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    return {
        name for name, brought_by in packages_distributions().items() if locked & {dist.lower() for dist in brought_by}
    }


def find_packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in find_imports(path)} - sys.stdlib_module_names


@cache
def read_public_names() -> set[str]:
    with import_functions():
        import serverless_api

        return set(serverless_api.__all__)


def test_each_public_name_of_the_house_is_there_and_documented():
    with import_functions():
        import serverless_api

        assert set(serverless_api.__all__) == set(vars(serverless_api)["_HOME_OF"])
        assert serverless_api.__all__ == sorted(serverless_api.__all__, key=lambda name: (name.upper() != name, name))
        for name in serverless_api.__all__:
            value = getattr(serverless_api, name)
            assert not callable(value) or value.__doc__, name
        with pytest.raises(AttributeError, match="no attribute 'missing'"):
            operator.attrgetter("missing")(serverless_api)


@pytest.mark.parametrize("path", FUNCTION_MODULES, ids=by_path)
def test_a_function_imports_the_layer_and_its_own_modules(path):
    own = {module.stem for module in path.parent.glob("*.py")}
    assert find_packages(path) <= {HOUSE.name} | NOUNS | PARTS | INSTALLED | own | find_locked(path.parent)


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_route_imports_nothing_beyond_the_layer(route):
    own = {module.stem for module in route.folder.glob("*.py")}
    for path in route.folder.rglob("*.py"):
        assert find_packages(path) <= {HOUSE.name} | NOUNS | PARTS | own


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_the_handler_of_a_route_is_about_twenty_lines(route):
    assert len((route.folder / "app.py").read_text(encoding="utf-8").splitlines()) <= 25


@pytest.mark.parametrize("path", NOUN_MODULES, ids=by_path)
def test_a_noun_imports_the_house_and_itself(path):
    noun = path.relative_to(LAYER).parts[0]
    assert find_packages(path) <= {HOUSE.name, noun} | INSTALLED


@pytest.mark.parametrize("path", PART_MODULES, ids=by_path)
def test_a_part_imports_the_house_and_itself(path):
    part = path.relative_to(LAYER).parts[0]
    assert find_packages(path) <= {HOUSE.name, part} | INSTALLED
    # It may use the house's rooms, and nothing private there.
    assert not [name for name in find_imports(path) if re.search(r"\._", name)]


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_route_imports_no_sdk_through_a_part(route):
    parts = {".".join(path.relative_to(LAYER).with_suffix("").parts): path for path in PART_MODULES}
    reached = [*route.folder.rglob("*.py")]
    for path in reached:
        names = find_imports(path)
        imported = {name for name in parts if names & {name} or any(each.startswith(f"{name}.") for each in names)}
        reached += [parts[name] for name in imported if parts[name] not in reached]
    assert not {by_path(path) for path in reached if find_packages(path) & {"boto3", "botocore"}}


def test_only_the_route_of_search_pays_for_search():
    importing = {
        route.key
        for route in list_routes()
        if any("intelligence" in find_packages(path) for path in route.folder.rglob("*.py"))
    }
    assert importing == {"GET /api/v1/search"}


@pytest.mark.parametrize("path", [*FUNCTION_MODULES, *NOUN_MODULES], ids=by_path)
def test_only_public_names_of_the_house_are_imported(path):
    names = {name.partition(".")[2] for name in find_imports(path) if name.partition(".")[0] == HOUSE.name}
    assert names <= read_public_names()


@pytest.mark.parametrize("path", HOUSE_MODULES, ids=by_path)
def test_the_house_imports_no_noun_function_or_test_and_nothing_slow(path):
    assert find_packages(path) <= {HOUSE.name, "aws_lambda_powertools", "snapshot_restore_py"}
    parts = {
        part for name in find_imports(path) if name.startswith("aws_lambda_powertools.") for part in name.split(".")
    }
    assert not parts & {"tracing", "event_handler", "parser", "validation"}


@pytest.mark.parametrize("path", [*FUNCTION_MODULES, *NOUN_MODULES, *PART_MODULES], ids=by_path)
def test_nothing_slow_is_imported(path):
    assert not find_packages(path) & SLOW
    assert "boto3.resource" not in path.read_text(encoding="utf-8")


def find_room_imports() -> dict[str, set[str]]:
    """The other rooms that each room imports."""
    graph: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in HOUSE_MODULES:
        room = path.relative_to(HOUSE).parts[0]
        if room in ROOMS:
            imported = {name.split(".")[1] for name in find_imports(path) if name.startswith(f"{HOUSE.name}.")}
            assert imported <= ROOMS, f"{by_path(path)} imports {imported - ROOMS}, not from a room"
            graph[room] |= imported - {room}
    return graph


def sort_by_dependency(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of a graph, each after all that it depends on."""
    done: list[str] = []
    while len(done) < len(graph):
        ready = sorted(node for node in graph.keys() - set(done) if graph[node] <= set(done))
        assert ready, f"these import one another: {sorted(graph.keys() - set(done))}"
        done += ready
    return done


def test_imports_between_rooms_run_one_way():
    order = sort_by_dependency(find_room_imports())
    # The documented order: http → storage, resilience → telemetry → environment.
    documented = re.findall(r"`(\w+)`", (HOUSE / "__init__.py").read_text(encoding="utf-8").split("one way:")[1])
    assert set(documented[: len(ROOMS)]) == ROOMS
    graph = find_room_imports()
    for level, room in enumerate(documented[: len(ROOMS)]):
        assert not graph[room] & set(documented[:level]), f"{room} imports upwards; imports allow the order {order}"


def test_imports_between_modules_run_one_way():
    def name_of(path: Path) -> str:
        return ".".join(path.relative_to(LAYER).with_suffix("").parts).removesuffix(".__init__")

    modules = {name_of(path): find_imports(path) for path in HOUSE_MODULES}

    def find_module(name: str) -> str:
        return name if name in modules else name.rpartition(".")[0]

    sort_by_dependency(
        {name: {find_module(each) for each in found} & modules.keys() - {name} for name, found in modules.items()}
    )


def split_words(text: str) -> set[str]:
    """The words of a text in lower case, with identifiers taken apart: `maxItems`, `MAX_ITEMS` and `max items`."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)}


def find_domain_names() -> set[str]:
    """What the nouns' packages declare: environment variables, and the names of metrics and dependencies."""
    names = set()
    for path in NOUN_MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Metric", "Dependency"}:
                names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", str(node.value)):
                names.add(node.value)
    return names


@pytest.mark.parametrize("path", HOUSE_MODULES, ids=by_path)
def test_the_house_names_no_noun(path):
    text = path.read_text(encoding="utf-8")
    nouns = {noun for noun in NOUNS if noun.removesuffix("s") not in ORDINARY}
    assert not split_words(text) & nouns, "the plural of a noun, in code or prose"
    assert not [name for name in find_domain_names() if re.search(rf"\b{name}\b", text, re.IGNORECASE)]
    singulars = {noun.removesuffix("s") for noun in nouns}
    # In prose the singular may be an ordinary word ("in order to"), so only the code counts.
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("")
        elif isinstance(node, ast.Constant) and node.value in find_gateway_names():
            node.value = ""
    assert not split_words(ast.unparse(tree)) & singulars


def test_imports_of_tests_and_tools_change_no_environment_variable(pytestconfig: pytest.Config) -> None:
    # Every program that a test starts would inherit them, and `sam local` passes them on to functions.
    assert pytestconfig.stash[CHANGED_BY_IMPORTS] == set()
