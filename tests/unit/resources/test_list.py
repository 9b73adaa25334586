import base64
import json
import uuid

import pytest

from tests.support.resources import make_body


def walk(api, **options):
    """All pages, following nextToken to the end."""
    query = dict(options.pop("query", {}))
    pages = []
    while True:
        answer = api.page(query=query, **options)
        assert answer.status == 200
        page = answer.json()
        assert page["count"] == len(page["resources"])
        pages.append([resource["id"] for resource in page["resources"]])
        if "nextToken" not in page:
            return pages
        query["nextToken"] = page["nextToken"]


def test_a_caller_without_resources_gets_an_empty_page(api):
    answer = api.page()
    assert answer.status == 200
    assert answer.json() == {"resources": [], "count": 0}
    assert answer.headers["cache-control"] == "private, max-age=60"


def test_resources_are_listed_newest_first_as_they_are_read(api):
    ids = [api.create(make_body(number)).json()["id"] for number in range(3)]
    page = api.page().json()
    assert page["count"] == 3
    assert page["resources"] == [api.read(resource_id).json() for resource_id in reversed(ids)]


@pytest.mark.parametrize(("total", "limit", "sizes"), [(3, 3, [3]), (4, 3, [3, 1]), (6, 3, [3, 3]), (2, 1, [1, 1])])
def test_the_last_page_has_no_token(api, total, limit, sizes):
    ids = [api.create().json()["id"] for _ in range(total)]
    pages = walk(api, query={"limit": str(limit)})
    assert [len(page) for page in pages] == sizes
    assert [each for page in pages for each in page] == ids[::-1]


def test_a_page_holds_twenty_unless_asked_and_a_hundred_at_most(api):
    for _ in range(101):
        assert api.create().status == 201
    assert [len(page) for page in walk(api)] == [20, 20, 20, 20, 20, 1]
    for limit, count in {"100": 100, "101": 100, "1000": 100, "9" * 5000: 100, "0000000000101": 100, "007": 7}.items():
        answer = api.page(query={"limit": limit})
        assert answer.status == 200
        page = answer.json()
        assert page["count"] == count
        assert "nextToken" in page


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "0",
        "000",
        "-1",
        "+5",
        "1.0",
        "1e2",
        "0x10",
        " 5",
        "5 ",
        "5,5",
        "five",
        "1_0",
        "\u0663",
        "\u00b2",
        "\uff15",
        "NaN",
        "\u0000",
    ],
)
def test_a_limit_that_is_no_whole_number_of_at_least_one_is_refused(api, limit):
    answer = api.page(query={"limit": limit})
    assert (answer.status, set(answer.problems)) == (400, {"limit"})


def test_a_limit_given_twice_is_refused(api):
    answer = api.page(query="limit=5&limit=6")
    assert (answer.status, set(answer.problems)) == (400, {"limit"})


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "garbage",
        "====",
        "ü",
        "A" * 10_000,
        base64.urlsafe_b64encode(b"user#bob").decode(),
        base64.urlsafe_b64encode(b"x" * 16).decode().rstrip("="),
        base64.urlsafe_b64encode(uuid.UUID(int=0).bytes).decode().rstrip("="),
        '{"pk": "user#bob"}',
        "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10",
    ],
)
def test_a_token_that_no_page_had_is_refused(api, token):
    answer = api.page(query={"nextToken": token})
    assert (answer.status, set(answer.problems)) == (400, {"nextToken"})


def test_a_token_given_twice_is_refused(api):
    for _ in range(2):
        api.create()
    token = api.page(query={"limit": "1"}).json()["nextToken"]
    answer = api.page(query=f"nextToken={token}&nextToken={token}")
    assert (answer.status, set(answer.problems)) == (400, {"nextToken"})


def test_another_callers_token_leads_to_ones_own_resources(api):
    own = [api.create(subject="bob").json()["id"] for _ in range(2)]
    for _ in range(3):
        api.create(subject="alice")
    token = api.page(subject="alice", query={"limit": "1"}).json()["nextToken"]
    page = api.page(subject="bob", query={"nextToken": token}).json()
    assert [resource["id"] for resource in page["resources"]] == own[::-1]


def test_a_token_names_neither_caller_nor_resource_in_clear(api):
    for _ in range(2):
        resource_id = api.create(subject="carol").json()["id"]
    token = api.page(subject="carol", query={"limit": "1"}).json()["nextToken"]
    assert "carol" not in token
    assert b"carol" not in base64.urlsafe_b64decode(token + "==")
    assert resource_id not in token


def test_a_token_outlives_the_resource_that_it_follows(api):
    ids = [api.create().json()["id"] for _ in range(4)]
    page = api.page(query={"limit": "2"}).json()
    for resource in page["resources"]:
        api.delete(resource["id"])
    rest = api.page(query={"nextToken": page["nextToken"]}).json()
    assert [resource["id"] for resource in rest["resources"]] == [ids[1], ids[0]]
    assert "nextToken" not in rest


def test_idempotency_keys_are_not_listed(api):
    for number in range(3):
        api.create(headers={"Idempotency-Key": f"key {number}".replace(" ", "-")})
    assert [len(page) for page in walk(api, query={"limit": "2"})] == [2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("character", ["😀", '"', "\\", "\x01"])
def test_a_full_page_fits_whatever_its_characters(api, character):
    # In JSON in JSON in UTF-8, these characters grow most. The gateway of these tests rejects more than 6 MB.
    body = {"name": character * 100, "type": "A", "metadata": {"text": character * 20_000}}
    ids = [api.create(json.dumps(body, ensure_ascii=False)).json()["id"] for _ in range(100)]
    pages = walk(api, query={"limit": "100"})
    assert [each for page in pages for each in page] == ids[::-1]


@pytest.mark.example_fields
@pytest.mark.slow
@pytest.mark.parametrize("limit", ["1", "3", "4", "100"])
def test_large_resources_are_all_listed_in_pages_that_fit(api, limit):
    # Twelve items of 300 KB exceed DynamoDB's 1 MB per query and, quoted, Lambda's 6 MB per response.
    text = '"' * 150_000
    ids = [api.create({"name": "large", "type": "A", "metadata": {"text": text}}).json()["id"] for _ in range(12)]
    pages = walk(api, query={"limit": limit})
    assert [each for page in pages for each in page] == ids[::-1]
    assert all(pages)
    assert max(map(len, pages)) <= int(limit)


@pytest.mark.example_fields
@pytest.mark.slow
def test_pages_of_wide_characters_fit(api):
    text = "😀" * 95_000
    ids = [api.create({"name": "wide", "type": "A", "metadata": {"text": text}}).json()["id"] for _ in range(20)]
    assert [each for page in walk(api) for each in page] == ids[::-1]
