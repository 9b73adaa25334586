"""The document that clients get from the running API."""

from typing import Any

import pytest

from tests.api.conftest import Server
from tests.support.cases import ROUTES
from tests.support.stack import Route, list_scopes, load_document


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    with server.connect() as client:
        found: dict[str, Any] = client.get("/_local/openapi.json").json()
    return found


@ROUTES
def test_an_operation_has_every_answer_of_the_project(document: dict[str, Any], route: Route) -> None:
    responses = document["paths"][route.path][route.method.lower()]["responses"]
    shared = document["components"]["responses"]
    described = {
        status: shared[response["$ref"].rpartition("/")[2]]["description"]
        if "$ref" in response
        else response["description"]
        for status, response in responses.items()
    }
    assert described == {status: response["description"] for status, response in route.operation["responses"].items()}


def test_scopes_groups_contact_and_licence_are_described(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    scopes = scheme["flows"]["clientCredentials"]["scopes"]
    assert scopes.keys() == set(list_scopes())
    assert all(scopes.values())
    assert document["tags"] == load_document()["x-tags"]
    assert document["info"] == load_document()["info"]


def test_nothing_is_left_of_the_extensions(document: dict[str, Any]) -> None:
    assert "x-" not in {name[:2] for name in document}
    assert not [
        name for response in document["components"]["responses"].values() for name in response if name[:2] == "x-"
    ]
