"""The start page and the API page in a real browser, and the document that clients get."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import STACKS
from playwright.sync_api import Browser, Page, expect

from local_engine.issuer import issuer_url
from local_engine.page.api_document import describe_api
from local_engine.testing import EngineProcess, free_port

ISSUER = "http://127.0.0.1:3000/_local/issuer"
ORIGIN = "http://127.0.0.1:3000"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    port = free_port()
    arguments = ["--parameters", f"Issuer={issuer_url(port)}"]
    with EngineProcess(STACKS / "guarded" / "template.yaml", *arguments, port=port) as engine:
        yield engine


@pytest.fixture
def page(engine: EngineProcess, browser: Browser) -> Iterator[Page]:
    """A page that complains about nothing, and loads from the engine alone."""
    page = browser.new_page(viewport={"width": 1200, "height": 1600})
    complaints: list[str] = []
    hosts: set[str | None] = set()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    yield page
    page.close()
    assert complaints == []
    assert hosts == {urlsplit(engine.url).netloc}


def test_a_request_is_sent_from_the_page(engine: EngineProcess, page: Page, tmp_path: Path) -> None:
    page.goto(f"{engine.url}/_local/docs")
    page.locator("#operations-default-readClaims").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table tbody").first
    answer.wait_for()
    page.screenshot(path=tmp_path / "page.png")
    assert answer.locator(".response-col_status").first.inner_text().strip() == "200"
    assert '"sub": "demo"' in answer.inner_text()


def test_the_reader_becomes_another_user(engine: EngineProcess, page: Page) -> None:
    page.goto(f"{engine.url}/_local/docs#/default/readClaims")
    expect(page.locator("#user")).to_contain_text("You are demo with the scopes")
    answer = page.locator(".live-responses-table tbody").first
    page.get_by_role("button", name="Execute").click()
    expect(answer).to_contain_text('"sub": "demo"')
    page.get_by_text("Be another user").click()
    page.get_by_label("User").fill("ann")
    page.get_by_label("read", exact=True).uncheck()
    page.get_by_label("User").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("You are ann")
    expect(answer).not_to_be_visible()
    page.get_by_role("button", name="Execute").click()
    expect(answer).to_contain_text('"sub": "ann"')
    assert '"scope": "read' not in answer.inner_text()
    # The choice lasts, and is that of the other page too.
    page.get_by_role("link", name="Start").click()
    expect(page.locator("#user")).to_contain_text("You are ann")


def test_the_pages_of_signed_requests_show_how_to_sign_one(browser: Browser) -> None:
    page = browser.new_page()
    with EngineProcess(STACKS / "signed" / "template.yaml") as engine:
        for path in ("/_local/", "/_local/docs"):
            page.goto(engine.url + path)
            said = "Requests are signed (Signature Version 4), so this page has no token."
            expect(page.locator("#user")).to_contain_text(said)
            expect(page.locator("#user pre")).to_contain_text("curl --aws-sigv4 aws:amz:us-east-1:execute-api --user")
        page.locator(".opblock-summary-control", has_text="/items/{id}").first.click()
        expect(page.get_by_text("This request must be signed.")).to_be_visible()
        assert not page.get_by_role("button", name="Execute").count()
    page.close()


def test_the_start_page_leads_everywhere(engine: EngineProcess, page: Page) -> None:
    with engine.client() as client:
        assert client.get("/_local", follow_redirects=True).url.path == "/_local/"
    page.goto(f"{engine.url}/_local/")
    expect(page).to_have_title("Guarded – local engine")
    token = page.locator("#token")
    expect(token).to_contain_text("ey")
    with engine.client(headers={"Authorization": f"Bearer {token.text_content()}"}) as client:
        assert "demo" in client.get("/any").text
    with engine.client() as client:
        for link in page.get_by_role("link").all():
            assert client.get(str(link.get_attribute("href"))).status_code == 200, link
    scoped = page.locator("#routes li", has_text="/scoped")
    expect(scoped).to_contain_text("Scope read or all")
    expect(page.locator("#routes li", has_text="/free")).to_contain_text("Open: needs no token")
    page.locator("#routes li", has_text="/any").get_by_role("link").click()
    expect(page.locator("#operations-default-readClaims")).to_have_class(re.compile("is-open"))


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'{"sub": "", "scopes": []}', b'{"sub": 5, "scopes": []}', b'{"sub": "a"}']
)
def test_a_token_without_a_user_is_refused(engine: EngineProcess, body: bytes) -> None:
    with engine.client() as client:
        answer = client.post("/_local/token", content=body)
        assert (answer.status_code, "needs a user" in answer.json()["error"]) == (400, True)
        answer = client.post("/_local/token", json={"sub": "ann", "scopes": ["fly"]})
        assert (answer.status_code, "scope 'fly'" in answer.json()["error"]) == (400, True)
        assert client.post("/_local/token", content=b"x" * 100_000).status_code == 400


def test_a_token_is_for_this_machine_alone(engine: EngineProcess) -> None:
    user = {"sub": "ann", "scopes": []}
    with engine.client() as client:
        assert client.post("/_local/token", json=user, headers={"Host": "rebound.example"}).status_code == 400
        answer = client.post("/_local/token", json=user, headers={"Origin": "https://page.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/_local/", "/_local/docs", "/_local/dashboard"])
def test_a_page_runs_and_loads_nothing_from_elsewhere(engine: EngineProcess, path: str) -> None:
    with engine.client() as client:
        answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in answer.text


def test_the_page_leaves_other_files_of_the_package_alone(engine: EngineProcess) -> None:
    with engine.client() as client:
        assert client.get("/_local/docs/swagger-ui.css").headers["content-type"].startswith("text/css")
        for path in ("swagger.svg", "..%2F..%2F__init__.py", "absent.js"):
            assert client.get(f"/_local/docs/{path}").status_code == 404


def test_the_document_is_for_clients(engine: EngineProcess) -> None:
    with engine.client() as client:
        document = client.get("/_local/openapi.json").json()
    assert "x-amazon-apigateway" not in str(document)
    assert document["servers"] == [{"url": engine.url}]
    flow = document["components"]["securitySchemes"]["Tokens"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == f"{engine.url}/_local/issuer/oauth2/token"
    requirements = document["paths"]["/scoped"]["get"]["security"]
    assert {scope for requirement in requirements for scopes in requirement.values() for scope in scopes} <= set(
        flow["scopes"]
    )


def _document(paths: dict[str, Any], trusted: str = ISSUER) -> dict[str, Any]:
    authorizer = {"type": "jwt", "jwtConfiguration": {"issuer": trusted, "audience": ["local"]}}
    schemes = {"Tokens": {"type": "oauth2", "x-amazon-apigateway-authorizer": authorizer}}
    return {"openapi": "3.0.1", "paths": paths, "components": {"securitySchemes": schemes}}


def test_one_of_several_scopes_suffices() -> None:
    paths = {"/a": {"get": {"security": [{"Tokens": ["read", "admin"]}], "responses": {}}}}
    described = describe_api(_document(paths), {ISSUER: "/_local/issuer"}, ORIGIN)
    assert described["paths"]["/a"]["get"]["security"] == [{"Tokens": ["read"]}, {"Tokens": ["admin"]}]
    assert set(described["components"]["securitySchemes"]["Tokens"]["flows"]["clientCredentials"]["scopes"]) == {
        "read",
        "admin",
    }


def test_a_route_for_any_method_and_path_is_shown() -> None:
    integration = {"x-amazon-apigateway-integration": {"type": "aws_proxy"}}
    paths = {
        "/files/{proxy+}": {"x-amazon-apigateway-any-method": integration},
        "$default": {"x-amazon-apigateway-any-method": integration},
    }
    described = describe_api(_document(paths), {ISSUER: "/_local/issuer"}, ORIGIN)["paths"]
    assert list(described) == ["/files/{proxy}"]
    assert {"get", "post", "put", "patch", "delete"} <= set(described["/files/{proxy}"])
    (parameter,) = described["/files/{proxy}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("proxy", "path", True)


def test_another_issuer_is_named() -> None:
    described = describe_api(_document({}, "https://issuer.example.com/"), {ISSUER: "/_local/issuer"}, ORIGIN)
    assert described["components"]["securitySchemes"]["Tokens"] == {
        "type": "openIdConnect",
        "openIdConnectUrl": "https://issuer.example.com/.well-known/openid-configuration",
    }


@pytest.mark.parametrize(
    ("extensions", "description"),
    [
        ({"x-amazon-apigateway-authtype": "awsSigv4"}, "Requests are signed (Signature Version 4)"),
        ({"x-amazon-apigateway-authorizer": {"type": "request"}}, "A Lambda authorizer decides on access"),
        ({"x-amazon-apigateway-authorizer": {"type": "token"}}, "A Lambda authorizer decides on access"),
        ({}, None),
    ],
)
def test_what_a_request_without_a_token_needs_is_named(extensions: dict[str, Any], description: str | None) -> None:
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization"}
    document = {"paths": {}, "components": {"securitySchemes": {"Access": scheme | extensions}}}
    described = describe_api(document, {}, ORIGIN)["components"]["securitySchemes"]["Access"]
    assert described == scheme | ({"description": description} if description else {})


def test_the_documents_own_extensions_describe_every_operation_scopes_and_groups() -> None:
    own = {"200": {"description": "Own"}, "404": {"description": "Own"}}
    paths = {"/a": {"get": {"security": [{"Tokens": ["read", "admin"]}], "responses": own}, "post": {}}}
    document = _document(paths) | {
        "x-scopes": {"read": "Read all", "unused": "Not of any route"},
        "x-tags": [{"name": "things", "description": "All things"}],
        "tags": [{"name": "httpapi:createdBy", "x-amazon-apigateway-tag-value": "SAM"}],
    }
    document["components"]["responses"] = {
        "Busy": {"x-every-operation": 503, "description": "Busy"},
        "Missing": {"x-every-operation": "404", "description": "Shared"},
        "Other": {"description": "Of some operations"},
    }
    described = describe_api(document, {ISSUER: "/_local/issuer"}, ORIGIN)
    busy = {"$ref": "#/components/responses/Busy"}
    assert described["paths"]["/a"]["get"]["responses"] == own | {"503": busy}
    assert described["paths"]["/a"]["post"]["responses"].keys() == {"404", "503", "default"}
    flow = described["components"]["securitySchemes"]["Tokens"]["flows"]["clientCredentials"]
    assert flow["scopes"] == {"admin": "", "read": "Read all"}
    assert described["tags"] == [{"name": "things", "description": "All things"}]
    assert described["components"]["responses"]["Busy"] == {"description": "Busy"}
    assert "x-scopes" not in described
    assert "x-tags" not in described
    # The gateway still has the document as it was.
    assert document["components"]["responses"]["Busy"]["x-every-operation"] == 503


def test_a_foreign_name_for_this_machine_reads_no_token(engine: EngineProcess) -> None:
    with engine.client() as client:
        for host in ("rebound.example", f"rebound.example:{engine.port}"):
            answer = client.get("/_local/docs", headers={"Host": host})
            assert (answer.status_code, "token" in answer.text) == (400, False)
        assert client.get("/_local/docs", headers={"Host": f"localhost:{engine.port}"}).status_code == 200
