"""What happens while an environment starts, with the artifacts as Lambda has them: read-only, and nothing written."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.gateway import ENVIRONMENT
from tests.support.stack import find_resources

# What every function of a route imports, by top-level modules. Whoever adds one adds it to every cold start.
STANDARD_LIBRARY = {
    "__future__", "_ast", "_bisect", "_blake2", "_colorize", "_compression", "_contextvars", "_datetime", "_decimal",
    "_hashlib", "_json", "_opcode", "_opcode_metadata", "_random", "_socket", "_ssl", "_string", "_struct",
    "_tokenize", "_typing", "_weakrefset", "array", "ast", "atexit", "base64", "binascii", "bisect", "collections",
    "contextlib", "contextvars", "copy", "copyreg", "dataclasses", "datetime", "decimal", "dis", "email", "enum",
    "errno", "fnmatch", "functools", "glob", "grp", "gzip", "hashlib", "hmac", "http", "importlib", "inspect",
    "ipaddress", "itertools", "json", "keyword", "linecache", "logging", "math", "ntpath", "numbers", "opcode",
    "operator", "pathlib", "quopri", "random", "re", "reprlib", "secrets", "select", "selectors", "signal", "socket",
    "ssl", "string", "struct", "textwrap", "threading", "token", "tokenize", "traceback", "types", "typing", "urllib",
    "warnings", "weakref", "zlib",
}  # fmt: skip
PACKAGES = {"app", "aws_lambda_powertools", "botocore", "jmespath", "serverless_api", "typing_extensions"}
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
# Of the layer's own package, what each of them imports beside what all of them do.
OWN = {
    "credentials", "dynamodb", "endpoint", "errors", "exchange", "gateway_event", "idempotency", "identity",
    "json_text", "observability", "requests", "resilience", "resources", "responses", "settings", "table",
    "tracing", "validation", "warm_up",
}  # fmt: skip
ROUTES = [
    name for name, of in find_resources("AWS::Serverless::Function").items() if "AutoPublishAlias" in of["Properties"]
]

MEASURE = """
import json, sys
compiled = []
before = set(sys.modules)
sys.addaudithook(lambda event, arguments: compiled.append(str(arguments[1])) if event == "compile" else None)
import app
# Parts of dataclasses and named tuples are made from text at run time; files are what is meant.
files = [name for name in compiled if name.startswith("/")]
modules = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if name not in before}
print(json.dumps({"compiled": files, "modules": modules, "handler": callable(app.handler)}))
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


def start(build, opt, function, script=MEASURE, **environment):
    """Import a function's handler in a process of its own and return what it prints."""
    variables = ENVIRONMENT | {
        "USER_POOL_ID": "pool",
        "CLIENT_ID": "client",
        "CLIENT_SCOPE": "a",
        "TOKEN_ENDPOINT": "https://a",
    }
    variables |= {"WARM_FUNCTIONS": "arn"}
    path = os.pathsep.join([str(build / function), str(opt / "python")])
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        env={**variables, **environment, "PYTHONPATH": path},
        cwd=opt,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", find_resources("AWS::Serverless::Function"))
def test_nothing_of_the_layer_is_compiled_at_a_start(build, opt, function):
    started = start(build, opt, function)
    assert started["handler"]
    # The function's own dozen lines are compiled: Lambda has them as they are.
    assert {Path(name).name for name in started["compiled"] if str(build) in name} == {"app.py"}
    assert not [name for name in started["compiled"] if str(build) not in name]


@pytest.mark.parametrize("function", ROUTES)
def test_nothing_unneeded_is_imported(build, opt, function):
    modules = start(build, opt, function)["modules"]
    tops = {name.partition(".")[0] for name in modules}
    needed = STANDARD_LIBRARY | PACKAGES
    assert not tops - needed, f"{function} imports at its start what it did not: {sorted(tops - needed)}"
    assert tops >= PACKAGES, f"no longer imported, take it off the list: {sorted(PACKAGES - tops)}"
    own = {name.split(".")[1] for name in modules if name.startswith("serverless_api.")}
    assert own == OWN
    powertools = {name.split(".")[1] for name in modules if name.startswith("aws_lambda_powertools.")}
    assert powertools <= POWERTOOLS
    # Powertools asks botocore for its name alone; a client of it would cost more than all else together.
    assert not [name for name in modules if name.startswith(("botocore.client", "botocore.session", "boto3"))]


@pytest.mark.parametrize("function", ROUTES)
def test_hooks_for_snapshots_are_there_where_there_are_snapshots(build, opt, function):
    modules = start(build, opt, function, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")["modules"]
    assert {"snapshot_restore_py", "serverless_api.http.snapshot"} <= modules.keys()


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
