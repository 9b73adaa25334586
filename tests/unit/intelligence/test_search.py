"""The search of one environment: what it calls, and what it makes of what the index returns."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.dynamodb import DynamoDB, Refusal
from tests.support.gateway import Gateway, import_functions
from tests.support.resources import RESOURCES

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

BODY = {"name": "a name", "type": "A"}


@pytest.fixture
def api(dynamodb: DynamoDB) -> Iterator[Gateway]:
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}) as handlers:
        yield Gateway(handlers)


def search(api: Gateway, **query: str) -> Any:
    return api.send("GET", "/api/v1/search", query={"q": "text", **query})


def write(api: Gateway, **changes: str) -> str:
    answer = api.send("POST", RESOURCES, body=BODY | changes)
    assert answer.status == 201
    return answer.headers["location"]


def test_a_search_takes_one_search_and_one_batch_read(api: Gateway, dynamodb: DynamoDB) -> None:
    for _ in range(10):
        write(api)
    before = len(dynamodb.operations)
    answer = search(api)
    assert (answer.status, answer.json()["count"]) == (200, 10)
    assert dynamodb.operations[before:] == ["SearchVectors", "BatchGetItem"]
    assert {float(result["score"]) for result in answer.json()["results"]} == {0.75}


@pytest.mark.example_fields
def test_a_deleted_item_and_one_that_no_longer_fits_are_left_out(api: Gateway) -> None:
    write(api, type="B")
    api.send("DELETE", write(api))
    kept = write(api)
    found = [result["resource"]["id"] for result in search(api, type="A").json()["results"]]
    assert found == [kept.rpartition("/")[2]]


def test_a_new_index_is_asked_again(api: Gateway, dynamodb: DynamoDB) -> None:
    write(api)
    missing = Refusal("ValidationException", message="The table does not have the specified index: VectorsA")
    dynamodb.fail("SearchVectors", missing, missing)
    assert search(api).status == 200
    dynamodb.fail("SearchVectors", *[missing] * 4)
    answer = search(api)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    dynamodb.recover()


def test_a_vector_of_another_user_is_never_followed(api: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    item_id = write(api).rpartition("/")[2]
    from serverless_api.storage import table

    def leak(*_: object) -> list[tuple[Mapping[str, Any], float]]:
        return [({"pk": "user#bob", "sk": f"vector#resource#{item_id}"}, 0.0)]

    monkeypatch.setattr(table, "search_vectors", leak)
    assert search(api).json() == {"results": [], "count": 0}


def test_a_deployment_without_search_says_so_and_calls_nothing(dynamodb: DynamoDB) -> None:
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url, "VECTOR_INDEX": ""}) as handlers:
        answer = Gateway(handlers).send("GET", "/api/v1/search", query={"q": ""})
        from intelligence.search import find_items
        from resources import resources
        from serverless_api import Caller, NotFound

        with pytest.raises(NotFound):
            find_items(resources, Caller("ann", frozenset()), "text", limit=1)
    assert (answer.status, answer.json()["error"]) == (404, "Search is not part of this deployment")
    assert dynamodb.operations == []
