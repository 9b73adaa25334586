"""Of the noun `resources`: what its metadata keeps, how large it may be, and the example data of `make run`."""

import json
from decimal import Decimal

RESOURCES = "/api/v1/resources"


def test_the_user_demo_has_resources_to_look_at(server):
    with server.connect("demo") as client:
        page = client.get(RESOURCES, params={"limit": 2})
        assert page.json()["count"] == 2
        assert page.headers["cache-control"] == "private, max-age=60"
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


def test_a_large_resource_is_rejected(server):
    with server.connect("large") as client:
        answer = client.post(RESOURCES, json={"name": "x", "type": "A", "metadata": {"text": "x" * 420_000}})
        assert answer.status_code == 413
        assert client.get(RESOURCES).json()["count"] == 0
