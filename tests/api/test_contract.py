"""The contract of every route over real HTTP with real tokens, and what the gateway itself answers."""

import base64
import json
from decimal import Decimal

import pytest

from tests.support.stack import list_routes

UNKNOWN = "019ab0c1-7a3e-7c55-9d1f-000000000000"
RESOURCES = "/api/v1/resources"
ROUTES = pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)


def send(client, route, **options):
    body = {"json": {"name": "x", "type": "A"}} if route.method in ("POST", "PUT") else {}
    return client.request(route.method, route.path.replace("{id}", UNKNOWN), **body, **options)


def test_the_life_of_a_resource(server):
    with server.connect("lifecycle") as client:
        created = client.post(RESOURCES, json={"name": "First", "type": "A", "metadata": {"colour": "blue"}})
        assert created.status_code == 201
        location, tag = created.headers["location"], created.headers["etag"]
        assert location == f"{RESOURCES}/{created.json()['id']}"

        read = client.get(location)
        assert (read.status_code, read.json(), read.headers["etag"]) == (200, created.json(), tag)
        unchanged = client.get(location, headers={"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")

        updated = client.put(location, json={"name": "Second", "type": "B"}, headers={"If-Match": tag})
        assert (updated.status_code, updated.json()["name"]) == (200, "Second")
        assert "metadata" not in updated.json()
        assert client.put(location, json={"name": "Third", "type": "B"}, headers={"If-Match": tag}).status_code == 412
        assert client.delete(location, headers={"If-Match": tag}).status_code == 412

        page = client.get(RESOURCES)
        assert page.json() == {"resources": [updated.json()], "count": 1}
        assert page.headers["cache-control"] == "private, max-age=60"

        deleted = client.delete(location, headers={"If-Match": updated.headers["etag"]})
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert {client.get(location).status_code, client.delete(location).status_code} == {404}


def test_the_user_demo_has_resources_to_look_at(server):
    with server.connect("demo") as client:
        page = client.get(RESOURCES, params={"limit": 2})
        assert page.json()["count"] == 2
        rest = client.get(RESOURCES, params={"limit": 2, "nextToken": page.json()["nextToken"]})
        assert rest.json()["count"] >= 1


def test_numbers_keep_every_digit(server):
    body = (
        '{"name":"exact","type":"A","metadata":{"price":1.10,"id":99999999999999999999999999999999999999,"n":1E+400}}'
    )
    with server.connect("numbers") as client:
        created = client.post(RESOURCES, content=body, headers={"Content-Type": "application/json"})
        assert created.status_code == 201
        read = client.get(created.headers["location"])
    for text in (created.text, read.text):
        metadata = json.loads(text, parse_float=Decimal)["metadata"]
        assert metadata == {"price": Decimal("1.10"), "id": 10**38 - 1, "n": Decimal("1E400")}
        assert "1.10" in text


def test_every_fault_is_named(server):
    with server.connect("faults") as client:
        answer = client.post(RESOURCES, json={"name": "", "type": "D", "x": 1})
    assert answer.status_code == 400
    assert {detail["field"] for detail in answer.json()["details"]} == {"name", "type", "x"}
    assert answer.json()["requestId"]


def test_a_large_resource_is_refused(server):
    with server.connect("large") as client:
        answer = client.post(RESOURCES, json={"name": "x", "type": "A", "metadata": {"text": "x" * 420_000}})
        assert answer.status_code == 413
        assert client.get(RESOURCES).json()["count"] == 0


def test_callers_do_not_meet(server):
    with server.connect("own") as own, server.connect("stranger") as stranger:
        location = own.post(RESOURCES, json={"name": "mine", "type": "A"}).headers["location"]
        assert stranger.get(location).status_code == 404
        assert stranger.put(location, json={"name": "x", "type": "A"}).status_code == 404
        assert stranger.delete(location).status_code == 404
        assert stranger.get(RESOURCES).json()["count"] == 0
        assert own.get(location).status_code == 200


@ROUTES
def test_without_a_token_the_gateway_answers_401(server, route):
    with server.connect() as client:
        answer = send(client, route)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"].startswith("Bearer")


def forge(token, **changes):
    """A token with other claims under the old signature."""
    header, payload, signature = token.split(".")
    claims = {**json.loads(base64.urlsafe_b64decode(payload + "==")), **changes}
    return f"{header}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


def test_a_token_that_is_not_the_issuers_own_and_current_is_refused(server):
    good = server.mint_token("tokens")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    tokens = {
        "garbage": "garbage",
        "expired": server.mint_token("tokens", expires=-3600),
        "for another audience": server.mint_token("tokens", claims='{"aud": "other"}'),
        "of another issuer": server.mint_token("tokens", claims='{"iss": "https://issuer.example.com"}'),
        "not valid yet": server.mint_token("tokens", claims='{"nbf": 4102444800}'),
        "with another subject": forge(good, sub="demo"),
        "unsigned": f"{unsigned}.{good.split('.')[1]}.",
        "cut short": good[:-10],
    }
    with server.connect() as client:
        for what, token in tokens.items():
            answer = client.get(RESOURCES, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, what
        assert client.get(RESOURCES, headers={"Authorization": f"Basic {good}"}).status_code == 401
        assert client.get(RESOURCES, headers={"Authorization": f"Bearer {good}"}).status_code == 200


@ROUTES
def test_either_spelling_of_the_scope_passes_and_no_other_does(server, route):
    for scope in route.scopes:
        with server.connect("scopes", scope) as client:
            assert send(client, route).status_code in (200, 201, 404)
    others = sorted({each for other in list_routes() for each in other.scopes} - set(route.scopes))
    with server.connect("scopes", " ".join(["openid", *others])) as client:
        answer = send(client, route)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/api/v1"), ("PATCH", RESOURCES), ("GET", f"{RESOURCES}/a/b")]
)
def test_what_is_no_route_is_not_found(server, method, path):
    with server.connect("routes") as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_a_browser_may_call_from_the_allowed_origin_alone(server):
    preflight = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,if-match"}
    with server.connect() as client:
        allowed = client.options(RESOURCES, headers={"Origin": "https://app.example.com", **preflight})
        refused = client.options(RESOURCES, headers={"Origin": "https://evil.example.com", **preflight})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "if-match" in allowed.headers["access-control-allow-headers"].lower()
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-max-age"] == "3600"
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_the_allowed_origin_sees_tag_and_location(server):
    with server.connect("cors") as client:
        answer = client.post(RESOURCES, json={"name": "x", "type": "A"}, headers={"Origin": "https://app.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"etag", "location", "retry-after"} <= {name.strip() for name in exposed.split(",")}
