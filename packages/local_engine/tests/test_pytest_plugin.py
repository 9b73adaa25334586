"""The pytest plugin, as a team uses it: pytest runs in its own project."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import STACKS

from local_engine.testing import child_environment

PROJECT = Path(__file__).parents[1]
PLUGIN = ("-p", "local_engine.pytest_plugin")


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a project with pytest's settings, tests and other files."""

    def write(settings: str = "", **files: str) -> Path:
        (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return write


def run_pytest(project: Path, *arguments: str) -> str:
    environment = {name: value for name, value in child_environment().items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_team_tests_its_api_as_the_readme_says(project: Callable[..., Path]) -> None:
    (example,) = re.findall(r"```python\n(import pytest.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    template = STACKS / "orders" / "template.yaml"
    settings = f"local_engine_template = {template}\nlocal_engine_parameters =\n  Issuer={{issuer}}"
    folder = project(settings, test_orders=example)
    shown = run_pytest(folder)
    assert "4 passed" in shown, shown


def test_each_worker_has_its_own_engine(project: Callable[..., Path]) -> None:
    test = """
import pytest


@pytest.mark.parametrize("number", range(4))
def test_port(engine, api, number):
    assert api.get("/").status_code == 200
    with open("ports", "a") as file:
        file.write(f"{engine.port // 1000}\\n")
"""
    shown = run_pytest(project(f"local_engine_template = {STACKS / 'echo' / 'template.yaml'}", test_port=test), "-n2")
    assert "4 passed" in shown, shown


def test_nothing_is_imported_for_tests_that_use_no_fixture(project: Callable[..., Path]) -> None:
    test = """
import sys


def test_alone():
    names = [name for name in sys.modules if name.startswith("local_engine")]
    assert sorted(names) == ["local_engine", "local_engine.pytest_plugin"]
    assert not {"httpx", "uvicorn", "botocore"} & sys.modules.keys()
"""
    assert "1 passed" in run_pytest(project(test_alone=test))


def test_fixtures_of_a_conftest_win(project: Callable[..., Path]) -> None:
    conftest = """
import pytest


@pytest.fixture
def api():
    return "ours"


@pytest.fixture(scope="module")
def engine():
    return "a database engine"
"""
    test = """
def test_names(api, engine, token):
    assert (api, engine) == ("ours", "a database engine")
    assert token().count(".") == 2
"""
    folder = project(f"local_engine_template = {STACKS / 'echo' / 'template.yaml'}", conftest=conftest, test_names=test)
    shown = run_pytest(folder)
    assert "1 passed" in shown, shown


def test_settings_come_from_options_and_fixtures(project: Callable[..., Path]) -> None:
    conftest = """
import pytest


@pytest.fixture(scope="session")
def local_engine_settings(local_engine_settings):
    return local_engine_settings | {"arguments": ("--verbose",)}
"""
    test = """
def test_settings(local_engine_settings):
    assert local_engine_settings["template"].name == "other.yaml"
    assert local_engine_settings["seed"].name == "items.json"
    assert local_engine_settings["seed"].parent.name == "data"
    assert local_engine_settings["parameters"] == {"Stage": "test", "Name": "x=y"}
    assert local_engine_settings["arguments"] == ("--verbose",)
"""
    settings = "local_engine_parameters =\n  Stage=dev\n  Name=x=y\nlocal_engine_seed = data/items.json"
    options = ["--local-engine-template", "other.yaml", "--local-engine-parameter", "Stage=test"]
    shown = run_pytest(project(settings, conftest=conftest, test_settings=test), *options)
    assert "1 passed" in shown, shown


def test_an_engine_that_does_not_start_says_why(project: Callable[..., Path]) -> None:
    test = "def test_one(api): pass\ndef test_two(api): pass\n"
    shown = run_pytest(project(test_api=test))
    assert "2 errors" in shown
    assert re.search("The engine ended with status 4: .*template.yaml cannot be read", shown)
    assert "engine_process.py" not in shown
    shown = run_pytest(project("local_engine_parameters = Stage", test_api=test))
    assert "The parameter 'Stage' is not of the form KEY=VALUE." in shown


def test_a_failed_test_shows_what_the_engine_printed_during_it(project: Callable[..., Path]) -> None:
    test = """
def test_first(api, engine):
    api.get("/first")
    engine.wait_for_line("GET /first 200")


def test_second(api, engine):
    api.get("/second")
    engine.wait_for_line("GET /second 200")
    assert False
"""
    shown = run_pytest(project(f"local_engine_template = {STACKS / 'echo' / 'template.yaml'}", test_api=test))
    assert "1 failed, 1 passed" in shown, shown
    _, _, section = shown.partition("- The local engine -")
    # The engine prints the line of a request after its response.
    assert re.findall(r"\d GET (/\S*) 200 ", section) == ["/second"]


def test_the_plugin_is_loaded_once_if_it_is_installed_and_named(project: Callable[..., Path]) -> None:
    # A distribution beside the tests, as an installed wheel has it.
    folder = project(
        conftest='pytest_plugins = ["local_engine.pytest_plugin"]\n',
        test_alone="def test_alone(pytestconfig): assert pytestconfig.getini('local_engine_seed') == ''\n",
    )
    metadata = folder / "local_engine-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: local-engine\nVersion: 0\n")
    entry_point = re.search(
        r"(?m)^\[project\.entry-points\.pytest11\]\n#.*\n(.+)$", (PROJECT / "pyproject.toml").read_text()
    )
    assert entry_point
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{entry_point[1].replace('"', '')}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=folder,
        env=child_environment() | {"PYTHONPATH": os.pathsep.join([str(folder), child_environment()["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
