"""`make load` as its users run it: against the local engine, and against a failing server."""

import argparse
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_engine.issuer import CLIENT_ID
from local_engine.testing import EngineProcess, free_port, run_engine, serve
from tests.support.programs import PYTHONPATH, prepare_engine
from tests.support.resources import RESOURCES
from tests.support.stack import ROOT, list_routes
from tools.benchmarks.load.access import find_access
from tools.benchmarks.load.profile import load_profile
from tools.benchmarks.machine import BenchmarkError

PROFILE = """
title = "A test"
resources = 12
[mix]
list = 2
get = 2
create = 1
update = 1
patch = 1
delete = 1
[[stages]]
seconds = 6
rate = 20
[[stages]]
seconds = 1
users = 2
"""
ROW = re.compile(r"^\| `?([^|`]+)`? \| (\d+) \| [\d.]+ \| (\d+) \|", re.MULTILINE)


def prepare(url: str, profile: str, folder: Path, **environment: str) -> tuple[list[str], dict[str, Any]]:
    """The command of a run that writes its report into a folder, and the options to start it with."""
    file = folder / "profile.toml"
    file.write_text(profile)
    command = [
        sys.executable,
        "-m",
        "tools.benchmarks.load",
        "--url",
        url,
        "--profile",
        str(file),
        "--output",
        str(folder),
    ]
    variables = {name: value for name, value in os.environ.items() if name != "TOKEN"}
    variables |= {"PYTHONPATH": PYTHONPATH} | environment
    return command, {"cwd": ROOT, "env": variables, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def load(url: str, profile: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command, options = prepare(url, profile, folder, **environment)
    return subprocess.run(command, timeout=120, check=False, **options)


def refuse(url: str, profile: str, folder: Path, **environment: str) -> str:
    done = load(url, profile, folder, **environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, "more than a sentence"
    return done.stderr


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with prepare_engine() as engine:
        yield engine


def count_resources(engine: EngineProcess) -> int:
    token = run_engine("token", "--port", str(engine.port), "--sub", CLIENT_ID, "--scopes", "read:resources").stdout
    with engine.client(headers={"Authorization": f"Bearer {token.strip()}"}) as client:
        return int(client.get("/api/v1/resources", params={"limit": 100}).raise_for_status().json()["count"])


def test_a_run_reports_every_route_and_leaves_nothing_behind(engine: EngineProcess, tmp_path: Path) -> None:
    done = load(engine.url, PROFILE.replace("[mix]", "[mix]\nothers = 1"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"5 s of 7 .*requests .*/s .*0 errors .*p50 \d+ ms", done.stdout), "no progress"
    report = (tmp_path / "profile.md").read_text()
    rows = {route: (int(requests), int(errors)) for route, requests, errors in ROW.findall(report)}
    named = [route for route in list_routes() if route.path.startswith(RESOURCES)]
    reads = [route for route in list_routes() if route.method == "GET" and not route.path_parameters]
    reads = [route for route in reads if "optional" not in route.load_event()]
    measured = {route.key for route in (*named, *reads)}
    for route in measured:
        requests, errors = rows[route]
        assert requests > 0
        assert errors == 0
    # At most the requested rate; a slow machine may manage less.
    assert 0 < rows["20 requests/s, 6 s"][0] <= 6 * 20 + 20
    assert rows["2 users, 1 s"][0] > 0
    assert rows["all"][0] == sum(rows[route][0] for route in measured)
    unmeasured = ", ".join(f"`{route.key}`" for route in list_routes() if route.key not in measured)
    for shown in (done.stdout, report):
        assert re.findall(r"^No request was sent to (.+)\.$", shown, re.MULTILINE) == [unmeasured][: bool(unmeasured)]
    assert re.search(r"^\| engine \| 1, 1 \| [\d.]+ ", report, re.MULTILINE)
    assert re.search(r"^\| functions \| [1-9]", report, re.MULTILINE)
    assert re.search(r"^\| AWS services \| 1, 1 \| [\d.]+ ", report, re.MULTILINE)
    drawing = ElementTree.parse(tmp_path / "profile.svg").getroot()
    lines = drawing.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 7
    assert all(line.get("points") for line in lines)
    assert "profile.svg" in report
    assert count_resources(engine) == 0


def test_an_interrupted_run_reports_what_it_has_and_leaves_nothing_behind(
    engine: EngineProcess, tmp_path: Path
) -> None:
    command, options = prepare(engine.url, PROFILE.replace("seconds = 6", "seconds = 600"), tmp_path)
    with subprocess.Popen(command, **options) as run:
        assert run.stdout
        while " s of 601 " not in run.stdout.readline():
            assert run.poll() is None
        assert count_resources(engine) > 0
        run.send_signal(signal.SIGINT)
        _, complaints = run.communicate(timeout=60)
    assert run.returncode == 0, complaints
    report = (tmp_path / "profile.md").read_text()
    assert "ended early" in report
    assert "2 users" not in report
    assert count_resources(engine) == 0


class FailingApi:
    """An API that works until it has the resources of a run's start; then reads fail and responses are lost."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, str]] = {}
        self.authorizations: set[str] = set()
        self.is_listed = True
        self._created = 0

    def create_application(self, _url: str) -> Starlette:
        collection = Route("/api/v1/resources", self._answer_collection, methods=["GET", "POST"])
        member = Route("/api/v1/resources/{id}", self._answer_member, methods=["GET", "PUT", "DELETE"])
        return Starlette(routes=[collection, member])

    async def _answer_collection(self, request: Request) -> Response:
        self.authorizations.add(request.headers["Authorization"])
        if request.method == "GET" and self._created > 12 and not self.is_listed:
            return Response("down", 500)
        if request.method == "GET":
            return JSONResponse({"resources": list(reversed(self.resources.values())), "nextToken": None})
        self._created += 1
        resource = {"id": str(self._created), "createdAt": f"{self._created:09}"} | await request.json()
        self.resources[resource["id"]] = resource
        return JSONResponse(resource, 201) if self._created <= 12 else Response("lost", 500)

    async def _answer_member(self, request: Request) -> Response:
        if request.method == "DELETE":
            return Response(status_code=204 if self.resources.pop(request.path_params["id"], None) else 404)
        return JSONResponse({}, 503 if request.method == "GET" else 200)


@pytest.mark.parametrize(("allowed", "status"), [(0, 1), (0.05, 1), (1, 0)])
def test_a_run_fails_where_more_requests_fail_than_allowed(tmp_path: Path, allowed: float, status: int) -> None:
    api = FailingApi()
    profile = f"allowed_errors = {allowed}\n" + PROFILE.replace("seconds = 6", "seconds = 1")
    # Because no creation gets an answer, the callers run out of resources.
    profile = profile.replace("create = 1", "create = 3").replace("delete = 1", "delete = 3")
    with serve(api.create_application) as url:
        done = load(url, profile, tmp_path, TOKEN="of-any-kind")
    assert done.returncode == status, done.stdout + done.stderr
    assert "empty deque" not in done.stderr
    assert ("More requests failed" in done.stderr) == (status == 1)
    rows = {route: (int(requests), int(errors)) for route, requests, errors in ROW.findall(done.stdout)}
    assert rows["GET /api/v1/resources/{id}"][0] == rows["GET /api/v1/resources/{id}"][1] > 0
    assert rows["POST /api/v1/resources"][0] == rows["POST /api/v1/resources"][1] > 0
    assert rows["GET /api/v1/resources"][1] == 0
    assert "GET /api/v1/resources/{id}: 503" in done.stdout
    assert "POST /api/v1/resources: 500" in (tmp_path / "profile.md").read_text()
    assert api.authorizations == {"Bearer of-any-kind"}
    assert api.resources == {}, "what was created by a request without an answer is left behind"


@pytest.mark.parametrize(
    ("line", "resources"),
    [(" s of 601 ", 40), ("Ctrl-C ends it", 300)],
    ids=["during the run", "while its resources are created"],
)
def test_a_server_that_dies_is_reported_once(tmp_path: Path, line: str, resources: int) -> None:
    profile = PROFILE.replace("seconds = 6", "seconds = 600").replace("resources = 12", f"resources = {resources}")
    with prepare_engine() as engine:
        command, options = prepare(engine.url, profile, tmp_path, PYTHONUNBUFFERED="1")
        with subprocess.Popen(command, **options | {"stderr": subprocess.STDOUT}) as run:
            assert run.stdout
            while line not in run.stdout.readline():
                assert run.poll() is None
            engine.process.kill()
            shown, _ = run.communicate(timeout=120)
    assert "Traceback" not in shown
    assert shown.count(f"Nothing answers at {engine.url}: start the API with `make run PORT={engine.port}`.") == 1
    if " s of " not in line:
        assert (run.returncode, shown.count("\n")) == (2, 1)
        return
    assert run.returncode == 1
    assert shown.count("no request got a response") == 1
    # The report is last.
    before, _, report = shown.partition("| route |")
    assert "no request got a response" in before
    assert "More requests failed" in before
    assert report.rstrip().endswith("beside it.")
    assert "It was ended early." in (tmp_path / "profile.md").read_text()


def test_a_report_is_written_where_the_clean_up_fails(tmp_path: Path) -> None:
    api = FailingApi()
    api.is_listed = False
    profile = "allowed_errors = 1\n" + PROFILE.replace("seconds = 6", "seconds = 1")
    with serve(api.create_application) as url:
        done = load(url, profile, tmp_path, TOKEN="of-any-kind")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search("Resources named 'load test .*' may be left: .* answers 500", done.stderr)
    assert (tmp_path / "profile.md").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rate = 20", "rate = -1", "stages[0].rate is -1; it must be a number from 0.1"),
        ("rate = 20", "rate = 'fast'", "stages[0].rate is 'fast'"),
        ("rate = 20", "rate = 20\nusers = 2", "stages[0] needs either a rate or users"),
        ("users = 2", "users = 1.5", "stages[1].users is 1.5; it must be a whole number"),
        ("seconds = 1", "second = 1", "stages[1].second is not known"),
        ("seconds = 1", "", "stages[1].seconds is missing"),
        ("list = 2", "search = 2", "mix.search is not known"),
        ("delete = 1", "delete = 3", "mix.delete is more than mix.create"),
        ("list = 2", "list = 2.5", "mix.list is 2.5"),
        ("[mix]", "[mixed]", "mixed is not known"),
        ("resources = 12", "resources = 0", "resources is 0; it must be a whole number from 1"),
        ("title", "allowed_errors = 2\ntitle", "allowed_errors is 2"),
        ("title", "title =", "is no TOML"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused_by_its_key(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in PROFILE
    file = tmp_path / "profile.toml"
    file.write_text(PROFILE.replace(old, new, 1))
    with pytest.raises(BenchmarkError) as refused:
        load_profile(file)
    assert sentence in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_with_a_profile_that_does_not_fit_says_so_alone(tmp_path: Path) -> None:
    assert "mixed is not known" in refuse("http://127.0.0.1:1", PROFILE.replace("[mix]", "[mixed]"), tmp_path)


def find_refusal(environment: Mapping[str, str], **options: str) -> str:
    """The sentence with which a run of 7 seconds finds no access, given one of the options that select an API."""
    with pytest.raises(BenchmarkError) as refused:
        find_access(argparse.Namespace(**{"url": None, "stage": None, "stack": None} | options), 7, environment)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_api_that_cannot_be_asked_is_refused_with_a_sentence() -> None:
    taken = f"http://127.0.0.1:{free_port()}"
    assert f"Nothing answers at {taken}: start the API with" in find_refusal({}, url=taken)
    assert "https://api.example.com is not on this machine" in find_refusal({}, url="https://api.example.com")
    assert "is not https" in find_refusal({"TOKEN": "x"}, url="http://api.example.com")
    assert "is not a URL such as" in find_refusal({"TOKEN": "x"}, url="api.example.com")
    sentence = "STAGE=production is not one of the profiles in samconfig.toml: dev, staging, prod."
    assert sentence in find_refusal({}, stage="production")


@pytest.mark.parametrize("token", ["a\na", "a x", "aé"])
def test_a_token_that_cannot_be_sent_is_not_shown(token: str) -> None:
    sentence = "TOKEN has characters that no token has; set it to an access token alone."
    assert find_refusal({"TOKEN": token}, url="http://127.0.0.1:1") == sentence


def test_a_run_that_cannot_begin_says_so_alone(engine: EngineProcess, tmp_path: Path) -> None:
    expired = jwt.encode({"exp": 1_000_000_000}, "k" * 32)
    assert "The token expires in 0 seconds and the run needs 67" in refuse(engine.url, PROFILE, tmp_path, TOKEN=expired)
    assert "refuses the token with 401" in refuse(engine.url, PROFILE, tmp_path, TOKEN="x")
    assert "answers 404" in refuse(f"{engine.url}/elsewhere", PROFILE, tmp_path, TOKEN="x")


@pytest.mark.parametrize("name", ["steady", "soak", "spike"])
def test_a_profile_that_comes_along_is_taken(name: str) -> None:
    assert load_profile(ROOT / f"tools/benchmarks/load/profiles/{name}.toml").name == name
