"""Statuses that a function may return."""

import json
from typing import Any

import pytest

from local_engine.gateway.events import InvalidResponse, read_response, read_status


@pytest.mark.parametrize(("value", "status"), [(200, 200), ("404", 404), (599, 599)])
def test_a_status_is_a_number_or_the_text_of_one(value: Any, status: int) -> None:
    assert read_status(value) == status


@pytest.mark.parametrize("value", [199, 600, 0, True, None, "", "two", 200.0, [200]])
def test_anything_else_is_no_response(value: Any) -> None:
    with pytest.raises(InvalidResponse, match="statusCode is"):
        read_status(value)


@pytest.mark.parametrize(("status", "body"), [*((n, b"text") for n in (203, 205, 303, 305)), (204, b""), (304, b"")])
def test_only_204_and_304_have_no_body(status: int, body: bytes) -> None:
    assert read_response(json.dumps({"statusCode": status, "body": "text"}).encode()).body == body
