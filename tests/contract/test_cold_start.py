"""What happens while an environment starts, with the artifacts as Lambda has them: read-only, and nothing written."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.support.gateway import ENVIRONMENT
from tests.support.stack import ROOT, find_resources, list_routes, list_templates

pytestmark = pytest.mark.slow

# What the house imports for a route, by top-level modules: each one is part of every cold start. A noun's own imports
# are not in this list; see `test_a_noun_adds_little_to_a_cold_start`.
STANDARD_LIBRARY = {
    "__future__", "_ast", "_bisect", "_blake2", "_colorize", "_contextvars", "_datetime", "_decimal",
    "_hashlib", "_json", "_opcode", "_opcode_metadata", "_random", "_socket", "_ssl", "_string", "_struct", "_tokenize",
    "_typing", "_weakrefset", "array", "ast", "atexit", "base64", "binascii", "bisect", "collections", "contextlib",
    "contextvars", "copy", "copyreg", "datetime", "decimal", "dis", "email", "enum", "errno",
    "faulthandler", "fnmatch", "functools", "glob", "grp", "hashlib", "hmac", "http", "importlib", "inspect",
    "ipaddress", "itertools", "json", "keyword", "linecache", "logging", "math", "ntpath", "numbers", "opcode",
    "operator", "pathlib", "quopri", "random", "re", "reprlib", "secrets", "select", "selectors", "signal", "socket",
    "ssl", "string", "struct", "textwrap", "threading", "token", "tokenize", "traceback", "types", "typing", "urllib",
    "warnings", "weakref",
}  # fmt: skip
PACKAGES = {"aws_lambda_powertools", "botocore", "serverless_api"}
POWERTOOLS = {
    "logging",
    "metrics",
    "middleware_factory",
    "package_logger",
    "shared",
    "tracing",
    "utilities",
    "warnings",
    "exceptions",
}
# Slow to import, and never needed for a route.
HEAVY = {
    "asyncio", "boto3", "ctypes", "multiprocessing", "pydantic", "requests", "sqlite3", "tkinter", "unittest",
    "urllib3", "xml", "xmlrpc",
}  # fmt: skip
MOST_MODULES_OF_A_NOUN = 20
"""How many modules a noun's package may add to those of the house, the standard library's included."""

FUNCTION = "AWS::Serverless::Function"
LAYER = ROOT / "layers/shared"
ROUTES = sorted({route.function for route in list_routes()})

IMPORT_APP = "import app; assert callable(app.handler)"
IMPORT_HOUSE = "from serverless_api import Collection, Request, Response, endpoint"
MEASURE = """
import json, sys

compiled = []
before = set(sys.modules)
sys.addaudithook(lambda event, arguments: compiled.append(str(arguments[1])) if event == "compile" else None)
%s
# Dataclasses and named tuples compile parts of themselves at run time; only files count.
files = [name for name in compiled if name.startswith("/")]
print(json.dumps({"compiled": files, "modules": [name for name in sys.modules if name not in before]}))
"""


@pytest.fixture(scope="session")
def opt(build, tmp_path_factory):
    """The layer where its files cannot be changed, as in /opt."""
    folder = tmp_path_factory.mktemp("opt")
    shutil.copytree(build / "SharedLayer", folder, dirs_exist_ok=True)
    folders = [path for path in folder.rglob("*") if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    yield folder
    for path in folders:
        path.chmod(0o755)


@cache
def read_variables():
    """Return a value for each environment variable that a function sets itself: text, a number, or a URL with a name
    and its value."""
    functions = [each for name in list_templates() for each in find_resources(FUNCTION, name).values()]
    variables = [each["Properties"].get("Environment", {}).get("Variables", {}) for each in functions]
    return {
        name: value if isinstance(value, str) else "1" if "Fn::FindInMap" in value else "https://example.com/a=b"
        for each in variables
        for name, value in each.items()
        if name != "ENRICHMENT_URL"
    }


@cache
def start(folder, opt, code=IMPORT_APP, **environment):
    """Run code in a new process beside a function's modules, and return what it compiled and imported."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", MEASURE % code],
        env={
            **ENVIRONMENT,
            **read_variables(),
            **environment,
            "PYTHONPATH": os.pathsep.join([str(folder), str(opt / "python")]),
        },
        cwd=opt,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def house(build, opt):
    """The modules that the house imports for any route."""
    return set(start(build / ROUTES[0], opt, IMPORT_HOUSE)["modules"])


def find_tops(modules):
    return {name.partition(".")[0] for name in modules}


def test_nothing_of_the_layer_is_compiled_at_a_start(build, opt):
    folders = [path.parent for path in build.rglob("app.py")]
    assert len(folders) == len(list(ROOT.glob("functions/*/app.py")))
    for folder in folders:
        compiled = start(folder, opt)["compiled"]
        # Lambda has the function's own modules as they are, without bytecode.
        assert str(folder / "app.py") in compiled
        assert {Path(name).parent for name in compiled} == {folder}


def test_the_house_imports_nothing_unneeded(house):
    tops = find_tops(house)
    needed = STANDARD_LIBRARY | PACKAGES
    assert not tops - needed, f"the house imports at each cold start what it did not: {sorted(tops - needed)}"
    assert tops >= PACKAGES, f"no longer imported, take it off the list: {sorted(PACKAGES - tops)}"
    powertools = {name.split(".")[1] for name in house if name.startswith("aws_lambda_powertools.")}
    assert powertools <= POWERTOOLS
    # Powertools asks botocore for its name alone; a client of it would cost more than all else together.
    assert not [name for name in house if name.startswith(("botocore.client", "botocore.session"))]


@pytest.mark.parametrize("function", ROUTES)
def test_a_route_imports_the_house_and_its_noun(build, opt, house, function):
    modules = set(start(build / function, opt)["modules"])
    assert house <= modules
    own = {path.stem for path in (build / function).glob("*.py")}
    source = (build / function / "app.py").read_text(encoding="utf-8")
    nouns = {noun for noun in find_packages() if re.search(rf"^(from|import) {noun}\b", source, re.MULTILINE)}
    # Powertools and the SDK load nothing more for a noun, nor does the house, except modules that the noun names.
    texts = [path.read_text(encoding="utf-8") for noun in nouns for path in LAYER.glob(f"{noun}/*.py")]
    named = {
        name for text in texts for name in re.findall(r"^from (serverless_api\.[\w.]+) import", text, re.MULTILINE)
    }
    added = {name for name in modules - house if not find_tops([name]) & (own | nouns | sys.stdlib_module_names)}
    assert added <= named


@pytest.mark.parametrize("function", ROUTES)
def test_a_noun_adds_little_to_a_cold_start(build, opt, house, function):
    added = set(start(build / function, opt)["modules"]) - house
    assert not find_tops(added) & HEAVY
    assert len(added) <= MOST_MODULES_OF_A_NOUN, sorted(added)


def find_packages():
    """The nouns' packages."""
    return {path.parent.name for path in LAYER.glob("*/__init__.py")} - {"serverless_api"}


@pytest.mark.parametrize("name", ["logger", "read_setting", "fetch_json", "WARM_UP_EVENT"])
def test_a_background_function_pays_only_for_what_it_imports(build, opt, house, name):
    modules = set(start(build / ROUTES[0], opt, f"from serverless_api import {name}")["modules"])
    rooms = {module.split(".")[1] for module in modules if module.startswith("serverless_api.")}
    assert len(rooms) <= 2
    assert len(modules) < len(house)


def test_the_audit_trail_is_recorded_without_the_sdk(build, opt):
    (folder,) = build.rglob("RecordChanges")
    modules = start(folder, opt)["modules"]
    assert not [name for name in modules if name.startswith(("boto3", "botocore.client", "botocore.session"))]


@pytest.mark.parametrize("function", ROUTES)
def test_hooks_for_snapshots_are_there_where_there_are_snapshots(build, opt, function):
    modules = start(build / function, opt, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")["modules"]
    assert {"snapshot_restore_py", "serverless_api.http.snapshot"} <= set(modules)


def test_the_layer_is_small(build):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as layer:
        for path in (build / "SharedLayer").rglob("*"):
            layer.write(path, path.relative_to(build / "SharedLayer"))
    assert len(archive.getvalue()) < 3_000_000


def test_the_layer_holds_what_runs_and_nothing_else(build):
    files = [path for path in (build / "SharedLayer").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".pyi", ".md", ".rst", ".html"} or path.name == "py.typed"]
    assert not [path for path in files if {"tests", "test", "docs", "bin"} & set(path.parts[:-1][-3:])]
    sources = {path for path in files if path.suffix == ".py"}
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in files if path.suffix == ".pyc"}
    assert compiled == sources
    assert {path.name.split(".")[1] for path in files if path.suffix == ".pyc"} == {"cpython-313"}


def test_bytecode_is_not_checked_and_names_no_folder_of_the_machine_that_built_it(build):
    for path in (build / "SharedLayer").rglob("*.pyc"):
        content = path.read_bytes()
        # PEP 552: bit 0 says that it goes by a hash of its source, and bit 1 that this is to be checked.
        assert int.from_bytes(content[4:8], "little") == 0b01
        assert str(build).encode() not in content
