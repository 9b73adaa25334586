"""Request validators and models of REST APIs, enforced before any function runs."""

from typing import Any

import httpx
import pytest

VALID = {"name": "tap", "parts": [{"count": 1}]}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, ['object has missing required properties (["name","parts"])']),
        ({**VALID, "name": "too long"}, ['string "too long" is too long (length: 8, maximum allowed: 5)']),
        ({**VALID, "red": 1}, ['object instance has properties which are not allowed by the schema: ["red"]']),
        # A model refers to another one.
        (
            {"name": "tap", "parts": [{"count": 0}, {"count": True}]},
            [
                "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
                'instance type (boolean) does not match any allowed primitive type (allowed: ["integer"])',
            ],
        ),
        ([], ['instance type (array) does not match any allowed primitive type (allowed: ["object"])']),
    ],
)
def test_a_body_must_conform_to_the_model(rest_shop: httpx.Client, body: Any, faults: list[str]) -> None:
    response = rest_shop.post("/items", json=body)
    assert response.status_code == 400
    assert response.headers["x-amzn-errortype"] == "BadRequestException"
    assert response.json() == {"why": "Invalid request body", "details": f"[{', '.join(faults)}]"}


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000, b'{"name": Infinity}'])
def test_a_body_must_be_json(rest_shop: httpx.Client, content: bytes) -> None:
    response = rest_shop.post("/items", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "Invalid request body" in response.text


def test_the_content_type_chooses_the_model(rest_shop: httpx.Client) -> None:
    assert rest_shop.post("/items", json=VALID).status_code == 200
    # Without a content type, it is JSON.
    assert rest_shop.post("/items", content=b"{}").status_code == 400
    json_with_charset = {"content-type": "application/json; charset=utf-8"}
    assert rest_shop.post("/items", content=b"{}", headers=json_with_charset).status_code == 400
    # A content type without a model passes.
    assert rest_shop.post("/items", content=b"{}", headers={"content-type": "text/plain"}).status_code == 200


def test_each_content_type_that_a_document_lists_has_its_model(rest_urls: dict[str, str]) -> None:
    url = f"{rest_urls['Documented']}/orders/1"
    for content_type in ("application/json", "application/vnd.order+json"):
        headers = {"content-type": content_type, "tenant": "t"}
        response = httpx.put(url, content=b"{}", headers=headers, trust_env=False)
        assert (response.status_code, response.json()) == (400, {"message": "Invalid request body"})
        assert httpx.put(url, content=b'{"item": "a"}', headers=headers, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("query", "headers", "missing"),
    [
        ("", {}, "q, X-User"),
        ("?q=1", {}, "X-User"),
        ("?q=", {"x-user": "ann"}, "q"),
        ("?Q=1", {"x-user": "ann"}, "q"),
        ("?q=1", {"x-user": ""}, "X-User"),
    ],
)
def test_required_parameters(rest_shop: httpx.Client, query: str, headers: dict[str, str], missing: str) -> None:
    response = rest_shop.get(f"/search/x{query}", headers=headers)
    assert (response.status_code, response.json()) == (
        400,
        {"message": f"Missing required request parameters: [{missing}]"},
    )


def test_present_parameters_pass(rest_shop: httpx.Client) -> None:
    assert rest_shop.get("/search/x?q=1", headers={"x-user": "ann"}).status_code == 200


def test_parameters_are_checked_before_the_body(rest_urls: dict[str, str]) -> None:
    response = httpx.put(f"{rest_urls['Documented']}/orders/1", json={}, trust_env=False)
    assert response.json() == {"message": "Missing required request parameters: [tenant]"}


def test_validators_of_plain_methods(rest_urls: dict[str, str]) -> None:
    response = httpx.get(f"{rest_urls['Plain']}/things/1", trust_env=False)
    assert response.json() == {"message": "Missing required request parameters: [q]"}
