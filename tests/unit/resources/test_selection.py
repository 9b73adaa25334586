"""Lists of one type and lists in another order."""

import itertools
from typing import Any

import pytest

from tests.support.gateway import ENVIRONMENT
from tests.unit.resources.test_list import walk

pytestmark = pytest.mark.example_fields

SORTS = ("createdAt", "-createdAt", "updatedAt", "-updatedAt")
LISTS = [
    {**sort, **kind}
    for sort in ({}, *({"sort": name} for name in SORTS))
    for kind in ({}, {"type": "A"}, {"type": "B"})
]


@pytest.fixture
def resources(api: Any, clock: Any) -> list[dict[str, Any]]:
    """Seven resources, the older ones updated last; two are deleted."""
    created = []
    for number in range(9):
        clock.advance(1)
        created.append(api.create({"name": str(number), "type": "AB"[number % 2]}).json()["id"])
    for number, kind in ((5, "A"), (3, "B"), (0, "A")):
        clock.advance(1)
        assert api.update(created[number], {"name": "new", "type": kind}).status == 200
    clock.advance(1)
    assert api.patch(created[1], {"type": "B"}).status == 200
    for number in (4, 7):
        assert api.delete(created[number]).status == 204
    return [api.read(resource_id).json() for number, resource_id in enumerate(created) if number not in (4, 7)]


def choose(resources: list[dict[str, Any]], sort: str = "-createdAt", kind: str | None = None) -> list[str]:
    name = {"createdAt": "id", "updatedAt": "updatedAt"}[sort.lstrip("-")]
    chosen = sorted((each for each in resources if kind in (None, each["type"])), key=lambda each: each[name])
    return [each["id"] for each in (chosen[::-1] if sort.startswith("-") else chosen)]


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("query", LISTS, ids=lambda query: "&".join(query.values()) or "default")
def test_pages_hold_each_resource_of_the_list_once_in_its_order(api, resources, query, limit):
    pages = walk(api, query={**query, "limit": str(limit)})
    expected = choose(resources, query.get("sort", "-createdAt"), query.get("type"))
    assert list(itertools.chain(*pages)) == expected
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_a_list_shows_resources_as_they_are_read(api, resources):
    page = api.page(query={"type": "A", "sort": "updatedAt"}).json()
    assert page["resources"] == [api.read(each["id"]).json() for each in page["resources"]]


def test_a_token_is_of_one_list_only(api, resources):
    tokens = {}
    for query in LISTS:
        page = api.page(query={**query, "limit": "1"}).json()
        tokens[tuple(query.items())] = page["nextToken"]
    for query, (other, token) in itertools.product(LISTS, tokens.items()):
        answer = api.page(query={**query, "nextToken": token})
        is_same = {"sort": "-createdAt", **query} == {"sort": "-createdAt", **dict(other)}
        assert answer.status == (200 if is_same else 400)
        assert is_same or list(answer.problems) == ["nextToken"]


@pytest.mark.parametrize("token", ["", "x", "AAAA", "A" * 27, "A" * 38, "é", "=" * 9])
@pytest.mark.parametrize("query", [{"sort": "createdAt"}, {"sort": "updatedAt"}, {"type": "A"}])
def test_a_token_of_no_page_is_refused(api, query, token):
    answer = api.page(query={**query, "nextToken": token})
    assert (answer.status, list(answer.problems)) == (400, ["nextToken"])


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ({"sort": ""}, {"sort": "must be one of -createdAt, createdAt, -updatedAt, updatedAt"}),
        ({"sort": "name"}, {"sort": "must be one of -createdAt, createdAt, -updatedAt, updatedAt"}),
        ({"sort": "createdAt,updatedAt"}, {"sort": "must be one of -createdAt, createdAt, -updatedAt, updatedAt"}),
        ({"type": ""}, {"type": "must be one of A, B, C"}),
        ({"type": "A,B"}, {"type": "must be one of A, B, C"}),
        ({"type": "A#"}, {"type": "must be one of A, B, C"}),
    ],
)
def test_a_list_that_there_is_not_is_refused(api, query, problems):
    answer = api.page(query=query)
    assert (answer.status, answer.problems) == (400, problems)


@pytest.mark.parametrize("query", LISTS[3:], ids=lambda query: "&".join(query.values()))
def test_another_callers_resources_are_on_no_list(api, resources, query):
    assert api.page(query=query, subject="bob").json() == {"resources": [], "count": 0}
    tokens = [api.page(query={**query, "limit": "1"}).json()["nextToken"]]
    assert api.page(query={**query, "nextToken": tokens[0]}, subject="bob").json()["count"] == 0


def test_what_an_index_still_has_is_not_shown_if_it_no_longer_matches(api, table):
    stale, gone, kept = (api.create({"name": "x", "type": "A"}).json()["id"] for _ in range(3))
    name = ENVIRONMENT["TABLE_NAME"]

    def write(resource_id: str, expression: str, value: str) -> None:
        table.update_item(
            TableName=name,
            Key={"pk": {"S": "user#alice"}, "sk": {"S": f"resource#{resource_id}"}},
            UpdateExpression=expression,
            ExpressionAttributeNames={"#name": "type" if value == "B" else "deletedAt"},
            ExpressionAttributeValues={":value": {"S": value}},
        )

    # As an index is that has not followed the table yet: the entries of an older type and of a resource that is gone.
    write(stale, "SET #name = :value", "B")
    write(gone, "SET #name = :value", "2026-11-28T00:00:00.000Z")
    assert [each["id"] for each in api.page(query={"type": "A"}).json()["resources"]] == [kept]
    assert api.page(query={"type": "A", "limit": "1"}).json()["resources"][0]["id"] == kept


def test_an_update_during_the_walk_moves_one_resource_and_no_other(api):
    ids = [api.create({"name": "x", "type": "A"}).json()["id"] for _ in range(6)]
    first = api.page(query={"sort": "-updatedAt", "limit": "3"}).json()
    # The last one shown, and one that is still to come.
    api.update(ids[3])
    api.update(ids[1])
    rest = api.page(query={"sort": "-updatedAt", "limit": "10", "nextToken": first["nextToken"]}).json()
    assert [each["id"] for each in first["resources"]] == ids[:2:-1]
    assert [each["id"] for each in rest["resources"]] == [ids[2], ids[0]]


def test_the_plain_list_reads_no_index(api, remote_api, dynamodb):
    remote_api.create()
    before = len(dynamodb.operations)
    remote_api.page()
    remote_api.page(query={"sort": "-createdAt"})
    remote_api.page(query={"sort": "createdAt"})
    assert dynamodb.operations[before:] == ["Query"] * 3
    remote_api.page(query={"type": "A"})
    assert dynamodb.operations[before + 3 :] == ["Query", "BatchGetItem"]
