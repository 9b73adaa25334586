"""What the API's document says of answers: every status that code can give, each with an example that fits."""

import json
import re
from datetime import datetime
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.support.answers import find_function_answers, find_gateway_answers, list_error_statuses
from tests.support.cases import ROUTES
from tests.support.stack import ROOT, Route, list_routes

ANSWERS = pytest.mark.parametrize(
    ("route", "status"),
    [
        pytest.param(route, int(status), id=f"{route.key}-{status}")
        for route in list_routes()
        for status in route.operation["responses"]
    ],
)
# Its answer to a path that is no route's.
NO_ROUTE = 404


def find_content(route: Route, status: int):
    """The schema and the example of an answer; None without a body."""
    content = route.operation["responses"][str(status)].get("content")
    if content is None:
        return None
    assert content.keys() == {"application/json"}
    schema = content["application/json"]["schema"]
    return schema, content["application/json"].get("example", schema.get("example"))


@ROUTES
def test_every_status_that_a_function_can_answer_is_described(route):
    answers = find_function_answers(route)
    # What the endpoint answers for every handler.
    assert {400, 401, 403, 413, 500, 503} <= answers.keys()
    described = {int(status) for status in route.operation["responses"]}
    assert answers.keys() <= described
    # The rest is the gateway's; a status that nothing gives is not described.
    own = {status for status in described - find_gateway_answers().keys() if status in list_error_statuses()}
    assert own <= answers.keys()


@ROUTES
def test_every_status_that_the_gateway_can_answer_is_described(route):
    answers = find_gateway_answers()
    assert {400, 401, 403, 404, 413, 429, 431, 500, 503} <= answers.keys()
    assert answers.keys() - {NO_ROUTE} <= {int(status) for status in route.operation["responses"]}


@ROUTES
def test_every_answer_of_a_function_carries_the_correlation_id(route):
    answers = {int(status): answer for status, answer in route.operation["responses"].items()}
    described = {status for status, answer in answers.items() if "X-Correlation-Id" in answer.get("headers", {})}
    # The gateway's own answers carry none.
    assert described == {status for status in answers if status < 400} | find_function_answers(route).keys()


@ROUTES
def test_a_status_of_every_operation_is_described_once(route):
    for response in json.loads((ROOT / "models/openapi/responses.json").read_text(encoding="utf-8")).values():
        if "x-every-operation" in response:
            described = route.operation["responses"][response["x-every-operation"]]
            assert described["description"] == response["description"]


@ANSWERS
def test_an_answer_has_an_example_that_its_schema_allows(route, status):
    content = find_content(route, status)
    # RFC 9110, sections 15.3.5 and 15.4.5.
    assert (content is None) == (status in {204, 304})
    if content:
        schema, example = content
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(example)


def list_items(example):
    """The items in an example: what has an ID and the time of its creation."""
    if isinstance(example, dict):
        if {"id", "createdAt"} <= example.keys():
            yield example
        example = list(example.values())
    if isinstance(example, list):
        for part in example:
            yield from list_items(part)


@ANSWERS
def test_the_id_of_an_item_in_an_example_holds_the_time_of_its_creation(route, status):
    # RFC 9562, section 5.7: the first 48 bits of a UUID of version 7 are milliseconds.
    content = find_content(route, status)
    for item in list_items(content[1] if content else None):
        created = datetime.fromisoformat(item["createdAt"])
        assert UUID(item["id"]).int >> 80 == round(created.timestamp() * 1000)
        assert item["updatedAt"] >= item["createdAt"]


@ANSWERS
def test_an_example_of_an_error_is_one_of_its_status(route, status):
    if status < 400:
        return
    content = find_content(route, status)
    assert content
    example = content[1]
    if "message" in example:
        texts, text = find_gateway_answers().get(status, {"Request Timeout"}), example["message"]
    else:
        texts, text = find_function_answers(route).get(status, {".+"}), example["error"]
    assert any(re.fullmatch(pattern, text) for pattern in texts), f"{text!r} is no answer of status {status}"


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.json")), ids=lambda path: path.stem)
def test_an_object_says_which_properties_it_has(path):
    """Without properties and additionalProperties, generators of clients take an object for an empty one."""

    def walk(schema, where):
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                assert {"properties", "additionalProperties"} & schema.keys(), where
            for name, part in schema.items():
                if name not in {"example", "enum", "default"}:
                    walk(part, f"{where}.{name}")
        elif isinstance(schema, list):
            for part in schema:
                walk(part, where)

    walk(json.loads(path.read_text(encoding="utf-8")), path.stem)
