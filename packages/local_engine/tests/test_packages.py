"""What functions can import: their own packages, built layers and Lambda's runtime. What counts as an edit."""

import os
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local_engine.building.folders import list_files
from local_engine.testing import EngineProcess, free_port, is_running, poll, processes_below

APP = """
import importlib

def handler(event, context):
    try:
        return {"value": getattr(importlib.import_module(event["rawPath"].rpartition("/")[2]), "VALUE", None)}
    except ImportError:
        return {"absent": True}
"""
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Handler: app.handler, Runtime: python3.13, Timeout: 20}}
Resources:
  Packed: {Type: AWS::Serverless::Function, Properties: {CodeUri: packed, Events: {A: {Type: HttpApi, Properties: {Method: get, Path: '/packed/{name}'}}}}}
  Plain: {Type: AWS::Serverless::Function, Properties: {CodeUri: plain, Events: {A: {Type: HttpApi, Properties: {Method: get, Path: '/plain/{name}'}}}}}
  Broken: {Type: AWS::Serverless::Function, Properties: {CodeUri: broken, Events: {A: {Type: HttpApi, Properties: {Method: get, Path: '/broken/{name}'}}}}}
  Layered:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: plain
      Layers: [!Ref Installed, !Ref Made]
      Events: {A: {Type: HttpApi, Properties: {Method: get, Path: '/layered/{name}'}}}
  Made: {Type: AWS::Serverless::LayerVersion, Metadata: {BuildMethod: makefile}, Properties: {ContentUri: made}}
  Installed: {Type: AWS::Serverless::LayerVersion, Metadata: {BuildMethod: python3.13}, Properties: {ContentUri: installed}}
"""  # noqa: E501 - a template
MAKEFILE = """
build-Made:
\tmkdir -p "$(ARTIFACTS_DIR)/python"
\tcp -R copied "$(ARTIFACTS_DIR)/python/"
\tcp source.txt "$(ARTIFACTS_DIR)/python/generated.py"
"""


def write_wheel(folder: Path, name: str, value: str, version: str = "1") -> str:
    """A wheel with a module; returns the requirement, which needs no network."""
    folder.mkdir(exist_ok=True)
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / file, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VALUE = {value!r}\n")
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return f"# a package\n./{file}\n"


def write_project(project: Path) -> Path:
    for name in ("packed", "plain", "broken"):
        (project / name).mkdir()
        (project / name / "app.py").write_text(APP)
    (project / "packed" / "requirements.txt").write_text(write_wheel(project / "packed", "parcel", "one"))
    (project / "broken" / "requirements.txt").write_text("./missing-1-py3-none-any.whl\n")
    (project / "plain" / "requirements.txt").write_text("# none\n")
    requirement = write_wheel(project / "installed", "crate", "in a layer")
    (project / "installed" / "requirements.txt").write_text(requirement)
    (project / "installed" / "beside.py").write_text("VALUE = 'beside'\n")
    (project / "made" / "copied").mkdir(parents=True)
    (project / "made" / "copied" / "__init__.py").write_text("VALUE = 'copied'\n")
    (project / "made" / "source.txt").write_text("VALUE = 'generated'\n")
    (project / "made" / "Makefile").write_text(MAKEFILE)
    (project / "template.yaml").write_text(TEMPLATE)
    return project / "template.yaml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def engine(template: Path) -> Iterator[EngineProcess]:
    with EngineProcess(template) as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/packed/parcel", {"value": "one"}),
        ("/packed/boto3", {"value": None}),
        ("/packed/crate", {"absent": True}),
        ("/plain/parcel", {"absent": True}),
        *(
            (f"/plain/{name}", {"value": None})
            for name in ("boto3", "botocore.config", "dateutil", "urllib3", "jmespath")
        ),
        *(
            (f"/plain/{name}", {"absent": True})
            for name in (
                "starlette",
                "moto",
                "yaml",
                "uvicorn",
                "local_engine",
                "pytest",
                "pip",
                "samtranslator",
                "coverage",
            )
        ),
        ("/layered/crate", {"value": "in a layer"}),
        ("/layered/beside", {"value": "beside"}),
        ("/layered/copied", {"value": "copied"}),
        ("/layered/generated", {"value": "generated"}),
        ("/layered/starlette", {"absent": True}),
    ],
)
def test_a_function_imports_its_own_packages_only(client: httpx.Client, path: str, answer: object) -> None:
    assert client.get(path).json() == answer


def test_a_function_whose_packages_cannot_be_installed_answers_501(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/broken/app")
    assert response.status_code == 501
    assert response.json()["message"].startswith("Broken cannot be built: ")
    assert "missing-1-py3-none-any.whl" in response.json()["message"]
    engine.wait_for_line("^Broken cannot be built: .*missing-1")
    assert "Traceback" not in engine.output


@contextmanager
def edited(path: Path, text: str) -> Iterator[None]:
    """Change a file for the block."""
    original = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(original)


FAILING = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Handler: app.handler, Runtime: python3.13}}
Resources:
  # The engine waits for the AWS services, so the build has failed by then.
  Table: {Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST, KeySchema: [{AttributeName: id, KeyType: HASH}], AttributeDefinitions: [{AttributeName: id, AttributeType: S}]}}
  Made: {Type: AWS::Serverless::Function, Metadata: {BuildMethod: makefile}, Properties: {CodeUri: made, Events: {A: {Type: HttpApi, Properties: {Method: get, Path: /made}}}}}
  Offline: {Type: AWS::Serverless::Function, Properties: {CodeUri: offline, Events: {A: {Type: HttpApi, Properties: {Method: get, Path: /offline}}}}}
"""  # noqa: E501 - a template


def write_made_function(project: Path, recipe: str) -> Path:
    (project / "made").mkdir()
    (project / "made" / "app.py").write_text(APP)
    (project / "made" / "Makefile").write_text(f"build-Made:\n\t{recipe}\n")
    (project / "template.yaml").write_text(FAILING.partition("  Offline")[0])
    return project / "template.yaml"


def test_a_failed_build_says_why(tmp_path: Path) -> None:
    template = write_made_function(tmp_path, "cp missing.txt there")
    # As under `make run`.
    with EngineProcess(template, environment={"MAKELEVEL": "1", "MAKEFLAGS": "s"}) as engine, engine.client() as client:
        message = client.get("/made").json()["message"]
        assert message.startswith("Made cannot be built: cp: ")
        assert "missing.txt" in message
        assert "***" not in message
        failed = engine.wait_for_line("^Made cannot be built: .*missing.txt.* Functions that need it cannot run[.]$")
        ready = engine.wait_for_line("^Ready")
        # The build goes on beside the start, and on a busy machine it ends later.
        is_known = engine.lines.index(failed) < engine.lines.index(ready)
        assert ready.startswith("Ready except what needs Made, which cannot be built" if is_known else "Ready. ")


def test_a_package_index_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "app.py").write_text(APP)
    (tmp_path / "offline" / "requirements.txt").write_text(f"--index-url http://127.0.0.1:{free_port()}/\nparcel\n")
    write_made_function(tmp_path, "cp app.py $(ARTIFACTS_DIR)").write_text(FAILING)
    with EngineProcess(tmp_path / "template.yaml") as engine, engine.client() as client:
        message = client.get("/offline").json()["message"]
        assert message.endswith("parcel; is the network or a proxy (HTTPS_PROXY) at fault?")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_ends_with_the_engine(tmp_path: Path, number: signal.Signals) -> None:
    template = write_made_function(tmp_path, f"touch '{tmp_path}/started'; sleep 600; true")
    with EngineProcess(template) as engine:
        poll((tmp_path / "started").exists, "the build did not start")
        below = processes_below(engine.process.pid)
        assert engine.stop(number) == (-number if number == signal.SIGKILL else 0)
        poll(lambda: not any(map(is_running, below)), "a process is left")
        assert "cannot be built" not in engine.output


def test_packages_are_installed_once_by_content(tmp_path: Path) -> None:
    template = write_project(tmp_path)
    with EngineProcess(template) as engine, engine.client() as client:
        assert client.get("/packed/parcel").json() == {"value": "one"}
        assert client.get("/layered/crate").json() == {"value": "in a layer"}
        assert "Installing the packages of Packed …" in engine.lines
        requirement = write_wheel(tmp_path / "packed", "parcel", "two", "2")
        (tmp_path / "packed" / "requirements.txt").write_text(requirement)
        assert client.get("/packed/parcel").json() == {"value": "two"}
    with EngineProcess(template) as engine, engine.client() as client:
        assert client.get("/packed/parcel").json() == {"value": "two"}
        assert client.get("/layered/generated").json() == {"value": "generated"}
        assert not [line for line in engine.lines if "Packed …" in line or "Made with" in line or "Installed …" in line]


def test_edits_of_a_made_layer_take_effect(engine: EngineProcess, client: httpx.Client, template: Path) -> None:
    made = template.with_name("made")
    assert client.get("/layered/copied").json() == {"value": "copied"}
    builds = sum("Building Made with its Makefile" in line for line in engine.lines)
    with edited(made / "copied" / "__init__.py", "VALUE = 'edited'\n"):
        assert client.get("/layered/copied").json() == {"value": "edited"}
    assert sum("Building Made with its Makefile" in line for line in engine.lines) == builds
    with edited(made / "source.txt", "VALUE = 'made again'\n"):
        assert client.get("/layered/generated").json() == {"value": "made again"}


def test_a_newer_build_of_sam_is_used_until_the_next_edit(tmp_path: Path) -> None:
    template = write_project(tmp_path)
    built = tmp_path / ".aws-sam" / "build"
    (built / "Plain").mkdir(parents=True)
    (built / "Plain" / "app.py").write_text(APP)
    (built / "Plain" / "bought.py").write_text("VALUE = 'built'\n")
    (built / "template.yaml").touch()
    with EngineProcess(template) as engine, engine.client() as client:
        assert client.get("/plain/bought").json() == {"value": "built"}
        later = time.time() + 10
        (tmp_path / "plain" / "data.csv").touch()
        os.utime(tmp_path / "plain" / "data.csv", (later, later))
        assert client.get("/plain/bought").json() == {"absent": True}


def test_any_file_counts_except_those_of_tools(tmp_path: Path) -> None:
    kept = ["app.py", "data.csv", "deep/er/model.bin", ".env", "Makefile"]
    ignored = ["node_modules/a.js", "venv/lib/b.py", "venv/pyvenv.cfg", ".git/c", "__pycache__/d.pyc", "deep/.tox/e"]
    for name in [*kept, *ignored]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    found = {str(Path(file.path).resolve().relative_to(tmp_path)) for file in list_files(tmp_path)}
    assert found == set(kept)


def test_an_edit_of_a_data_file_takes_effect(client: httpx.Client, template: Path) -> None:
    words = template.with_name("plain") / "words.csv"
    words.write_text("one")
    reading = "from pathlib import Path\nVALUE = Path(__file__).with_name('words.csv').read_text()\n"
    words.with_suffix(".py").write_text(reading)
    assert client.get("/plain/words").json() == {"value": "one"}
    words.write_text("two")
    assert client.get("/plain/words").json() == {"value": "two"}
