"""Who gets through the gateway, with real tokens of the local issuer."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local_engine.testing import EngineProcess, free_port, run_engine

TEMPLATE = Path(__file__).parent / "stacks" / "guarded" / "template.yaml"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    port = free_port()
    issuer = f"Issuer=http://127.0.0.1:{port}/_local/issuer"
    with EngineProcess(TEMPLATE, "--parameters", issuer, port=port) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def token(engine: EngineProcess, *arguments: str) -> str:
    return run_engine("token", "--port", str(engine.port), *arguments, project=TEMPLATE.parent).stdout.strip()


def bearer(engine: EngineProcess, *arguments: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token(engine, *arguments)}"}


def test_valid_token_reaches_the_function_as_claims(engine: EngineProcess, client: httpx.Client) -> None:
    answer = client.get("/any", headers=bearer(engine, "--sub", "ann", "--scopes", "read write")).json()
    jwt = answer["authorizer"]["jwt"]
    assert jwt["scopes"] is None
    assert jwt["claims"]["sub"] == "ann"
    assert all(isinstance(value, str) for value in jwt["claims"].values())
    assert answer["api"] == "Guarded"


@pytest.mark.parametrize(
    "arguments",
    [["--expires", "-10"], ["--claims", '{"aud": "other"}'], ["--claims", '{"iss": "https://x.example.com"}']],
)
def test_token_that_does_not_hold_is_401(engine: EngineProcess, client: httpx.Client, arguments: list[str]) -> None:
    response = client.get("/any", headers=bearer(engine, *arguments))
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer garbage"}, {"authorization": "Basic YTpi"}])
def test_no_token_is_401(client: httpx.Client, headers: dict[str, str]) -> None:
    response = client.get("/any", headers=headers)
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})


def test_one_scope_of_the_route_suffices_and_no_scope_is_403(engine: EngineProcess, client: httpx.Client) -> None:
    answer = client.get("/scoped", headers=bearer(engine, "--scopes", "all more"))
    assert answer.json()["authorizer"]["jwt"]["scopes"] == ["all", "more"]
    response = client.get("/scoped", headers=bearer(engine, "--scopes", "more"))
    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})


def test_token_in_the_query(engine: EngineProcess, client: httpx.Client) -> None:
    assert client.get("/query", params={"token": token(engine)}).status_code == 200
    assert client.get("/query", headers=bearer(engine)).status_code == 401


def test_route_without_authorizer_is_open(client: httpx.Client) -> None:
    assert client.get("/free").json()["authorizer"] is None


def test_unknown_route_is_404_before_401(client: httpx.Client) -> None:
    assert client.get("/nowhere").status_code == 404
    assert client.post("/any").status_code == 404


def test_second_api_has_the_next_port(engine: EngineProcess) -> None:
    response = httpx.get(f"http://127.0.0.1:{engine.port + 1}/any", trust_env=False)
    assert response.json() == {"authorizer": None, "api": "Open"}


def test_example_call_at_the_start_works(engine: EngineProcess, client: httpx.Client) -> None:
    line = engine.wait_for_line("curl -H 'Authorization: Bearer ")
    example = line.split("Bearer ")[1].split("'")[0]
    assert client.get("/any", headers={"authorization": f"Bearer {example}"}).status_code == 200


def test_document_and_page_are_served(client: httpx.Client) -> None:
    assert "Claims" in client.get("/_local/openapi.json").json()["components"]["schemas"]
    assert client.get("/_local/docs").status_code == 200
