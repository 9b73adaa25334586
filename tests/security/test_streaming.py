"""The API that streams: it accepts the tokens that the HTTP API accepts, and no others."""

import json
from functools import partial

import httpx
import pytest

from local_engine.testing import EngineProcess, poll
from tests.security.doors import GatewayDoor
from tests.security.test_tokens import ATTACKS, SUBJECT, SUBJECTS, Authorization, list_values
from tests.security.tokens import Forge
from tests.support.http_server import Server
from tests.support.items import create
from tests.support.permissions import translate_stack
from tests.support.stack import ROOT, SUCCESS, Route, find_route

EXPORT = Route(
    "GET", "/api/v1/export", "ExportData", ROOT / "functions/export_data", ("read:resources", "resources/read")
)
CREATE = find_route("POST /api/v1/resources")


@pytest.fixture(scope="module")
def url(engine: EngineProcess) -> str:
    return f"http://127.0.0.1:{engine.port + 1}/live"


def export(client: httpx.Client, url: str, *values: str, path: str = EXPORT.path) -> httpx.Response:
    return client.get(url + path, headers=[("Authorization", value) for value in values])


@pytest.mark.parametrize(
    ("authorization", "expected"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in ATTACKS.items()]
)
def test_token(
    client: httpx.Client, url: str, forge: Forge, elsewhere: Server, authorization: Authorization, expected: str | int
) -> None:
    elsewhere.connections = 0
    answer = export(client, url, *list_values(authorization, forge, EXPORT))
    assert answer.status_code == (200 if expected == SUCCESS else expected), answer.text
    if expected == SUCCESS:
        assert json.loads(answer.text.splitlines()[-1])["end"]["complete"] is True
    else:
        assert answer.json().keys() == {"error", "requestId"}
    if expected == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert elsewhere.connections == 0


@pytest.mark.parametrize("scope", EXPORT.scopes)
def test_either_spelling_of_the_scope_is_enough(client: httpx.Client, url: str, forge: Forge, scope: str) -> None:
    assert export(client, url, f"Bearer {forge.mint(scope=scope)}").status_code == 200


def test_a_result_is_used_for_five_minutes_and_never_past_the_tokens_expiry(
    client: httpx.Client, url: str, forge: Forge
) -> None:
    (authorizer,) = (
        translate_stack()
        .resources["Streaming/StreamingApi"]
        .properties["Body"]["components"]["securitySchemes"]
        .values()
    )
    assert authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"] == 300
    token = forge.mint(expires=2)
    assert export(client, url, f"Bearer {token}").status_code == 200
    poll(lambda: export(client, url, f"Bearer {token}").status_code == 401, "the expired token is accepted")


@pytest.mark.parametrize("form", SUBJECTS)
def test_an_export_holds_what_its_caller_has_and_nothing_else(
    client: httpx.Client, url: str, forge: Forge, gateway: GatewayDoor, form: str
) -> None:
    subject = SUBJECTS[form]
    created = [create(CREATE, partial(gateway.send, owner)).json() for owner in (subject, SUBJECT)]
    exported = export(client, url, f"Bearer {forge.mint(subject)}").text
    *lines, end = map(json.loads, exported.splitlines())
    resources = [line["resource"] for line in lines if "resource" in line]
    assert created[0] in resources
    assert created[1]["id"] not in exported
    counts = end["end"]["counts"]
    assert (counts["resources"], sum(counts.values())) == (len(resources), len(lines))


def test_a_position_of_anothers_export_leads_nowhere_else(
    client: httpx.Client, url: str, forge: Forge, gateway: GatewayDoor, attacker: str
) -> None:
    create(CREATE, partial(gateway.send, SUBJECT))
    first, *_ = map(json.loads, export(client, url, f"Bearer {forge.mint()}").text.splitlines())
    path = f"{EXPORT.path}?from={first['at']}"
    (end,) = map(json.loads, export(client, url, f"Bearer {forge.mint(attacker)}", path=path).text.splitlines())
    assert set(end["end"]["counts"].values()) == {0}


POSITIONS = {
    "nothing": "",
    "one letter": "x",
    "a section alone": "resources",
    "a section and a dot": "resources.",
    "a section without its position": "resources.x",
    "an unknown section": "others.x",
    "NUL": "resources.\x00",
    "2,000 characters": "x" * 2000,
}


@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_a_position_that_no_export_has_is_refused(client: httpx.Client, url: str, forge: Forge, position: str) -> None:
    answer = client.get(
        url + EXPORT.path, params={"from": position}, headers={"Authorization": f"Bearer {forge.mint()}"}
    )
    assert answer.status_code == 400
    assert [problem["field"] for problem in answer.json()["details"]] == ["from"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", EXPORT.path), ("GET", "/api/v1/resources")])
def test_what_is_no_route_is_not_found(client: httpx.Client, url: str, forge: Forge, method: str, path: str) -> None:
    answer = client.request(method, url + path, headers={"Authorization": f"Bearer {forge.mint()}"})
    assert (answer.status_code, answer.json()["error"]) == (404, "Not Found")
