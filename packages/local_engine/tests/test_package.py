"""The package: its rooms, its public modules, and the wheel."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import venv
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from conftest import STACKS

import local_engine
from local_engine.testing import EngineProcess, free_port

PACKAGE = Path(local_engine.__file__).parent
PROJECT = Path(__file__).parents[1]
# What each room may import besides itself, `account`, the standard library and other packages.
ROOMS = {
    "account": set(),
    "imports": set(),
    "state": set(),
    "child_environment": set(),
    "template": {"state"},
    "observer": {"template"},
    "event_bus": {"template"},
    "bedrock": set(),
    "access": {"template", "state"},
    "services": {"template", "child_environment", "event_bus", "bedrock", "imports", "state", "access"},
    "building": {"template", "state"},
    "functions": {"template", "observer", "services", "building", "child_environment", "event_bus"},
    "event_sources": {"template", "observer", "services", "functions", "event_bus"},
    "gateway": {"template", "observer", "services", "functions", "access", "event_bus", "bedrock"},
    "function_url": {"template", "observer", "functions", "gateway", "access"},
    "rest_api": {"template", "observer", "functions", "gateway", "access"},
    "engine": {"template", "observer", "services", "functions", "gateway"},
    "console": {"template", "observer"},
    "issuer": {"template", "state", "services", "gateway", "access"},
    "page": {"issuer", "template"},
    "cloudwatch": {"template", "observer", "services"},
    "delivery_log": {"observer"},
    "testing": {"issuer", "child_environment", "template"},
    "pytest_plugin": {"testing"},
}


def list_modules() -> Iterator[tuple[str, Path]]:
    for path in PACKAGE.rglob("*.py"):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_between_rooms_run_one_way() -> None:
    seen = set()
    for room, path in list_modules():
        own = {name.split(".")[1] for name in imported_names(path) if name.startswith("local_engine.")}
        if room not in ("command_line", "__main__", "__init__"):
            assert own <= ROOMS[room] | {room, "account"}, path
            seen.add(room)
    assert seen == ROOMS.keys()


def test_the_core_runs_without_cloudwatch() -> None:
    core = (
        "engine",
        "console",
        "observer",
        "template",
        "gateway",
        "functions",
        "services",
        "bedrock",
        "issuer",
        "page",
    )
    modules = [
        ".".join(("local_engine", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for room, path in list_modules()
        if room in core
    ]
    code = f"import sys, importlib; [importlib.import_module(name) for name in {modules}]; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(modules) <= set(listed)
    assert not [name for name in listed if name.startswith("local_engine.cloudwatch")]


def test_modules_have_names_of_their_own() -> None:
    names = Counter(path.stem for _, path in list_modules() if path.stem != "__init__")
    rooms = Counter(
        path.parent.name for _, path in list_modules() if path.stem == "__init__" and path.parent != PACKAGE
    )
    assert [name for name, count in (names + rooms).items() if count > 1] == []


@pytest.mark.parametrize("module", ["gateway", "issuer", "services", "template", "testing"])
def test_public_modules_name_their_public_names(module: str) -> None:
    public = importlib.import_module(f"local_engine.{module}")
    assert public.__all__ == sorted(public.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(hasattr(public, name) for name in public.__all__)


def test_nothing_outside_the_package_is_imported() -> None:
    own = {path.stem for path in Path(__file__).parent.glob("*.py")}
    project = {path.name for path in PROJECT.parents[1].iterdir() if path.is_dir()} | {"serverless_api"}
    for path in [*PACKAGE.rglob("*.py"), *Path(__file__).parent.glob("*.py")]:
        roots = {name.partition(".")[0] for name in imported_names(path)} - own
        assert not roots & project, path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment with the wheel; everything else comes from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        (source / name).write_bytes((PROJECT / name).read_bytes())
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = source / "src" / path.relative_to(PACKAGE.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    offline = ["--no-index", "--no-deps", "--disable-pip-version-check", "--quiet"]
    build = [sys.executable, "-m", "pip", "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment", with_pip=False)
    environment = folder / "environment" / "bin"
    (site,) = (folder / "environment").glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", str(environment / "python"), "install", *offline, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site / "dependencies.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")) + "\n")
    return environment


def test_the_command_of_the_wheel_explains_itself(installed: Path) -> None:
    answer = subprocess.run([installed / "local-engine", "--help"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("usage: local-engine COMMAND")


def test_the_wheel_serves_a_stack_with_all_its_files(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "local_engine.testing.engine_process.engine_command",
        lambda *arguments: [installed / "local-engine", *arguments],
    )
    monkeypatch.setattr("local_engine.testing.engine_process.child_environment", lambda: {"PATH": "/usr/bin:/bin"})
    with EngineProcess(STACKS / "monitored" / "template.yaml", port=free_port()) as engine, engine.client() as client:
        assert client.get("/orders/1").status_code == 200
        for path in ("dashboard", "dashboard/dashboard.css", "dashboard/dashboard.js", "docs", "docs/swagger-ui.css"):
            assert client.get(f"/_local/{path}").status_code == 200, path
        assert isinstance(client, httpx.Client)


def test_dependencies_have_the_versions_that_the_tests_run_with() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?==([\d.]+)", entry) for entry in declared]
    assert pins
    assert [(pin[1], pin[2]) for pin in pins if pin] == [(pin[1], version(pin[1])) for pin in pins if pin]
