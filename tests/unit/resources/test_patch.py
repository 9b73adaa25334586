"""JSON Merge Patch of a resource."""

import json

import pytest

from tests.support.dynamodb import LoseAnswer, Refusal
from tests.support.stack import find_media_type

pytestmark = pytest.mark.example_fields

BODY = {"name": "old", "type": "A", "metadata": {"a": 1, "b": {"c": 2, "d": 3}}}


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({}, BODY),
        ({"name": "new"}, {**BODY, "name": "new"}),
        ({"metadata": {"a": None}}, {**BODY, "metadata": {"b": {"c": 2, "d": 3}}}),
        ({"metadata": {"b": {"c": None, "e": [None]}}}, {**BODY, "metadata": {"a": 1, "b": {"d": 3, "e": [None]}}}),
        ({"metadata": {"x": {"y": None}}}, {**BODY, "metadata": {**BODY["metadata"], "x": {}}}),
        ({"metadata": None}, {"name": "old", "type": "A"}),
        ({"type": "C", "metadata": {}}, {**BODY, "type": "C"}),
    ],
)
def test_a_patch_changes_what_it_names(api, clock, patch, after):
    created = api.create(BODY)
    clock.advance(5)
    answer = api.patch(created.json()["id"], patch)
    assert answer.status == 200
    document = answer.json()
    assert {name: document[name] for name in BODY if name in document} == after
    assert (document["id"], document["createdAt"]) == (created.json()["id"], created.json()["createdAt"])
    assert document["updatedAt"] > created.json()["updatedAt"]
    assert answer.headers["etag"] != created.headers["etag"]
    read = api.read(document["id"])
    assert (read.body, read.headers["etag"]) == (answer.body, answer.headers["etag"])


def test_numbers_that_a_patch_leaves_alone_keep_every_digit(api):
    created = api.create('{"name": "x", "type": "A", "metadata": {"price": 1.10, "big": 1e2}}')
    patched = api.patch(created.json()["id"], '{"metadata": {"other": 2.50}}')
    assert '"metadata":{"price":1.10,"big":1e2,"other":2.50}' in patched.body


@pytest.mark.parametrize(
    ("patch", "problems"),
    [
        ({"name": None}, {"name": "is missing"}),
        ({"name": None, "type": None, "x": 1}, {"name", "type", "x"}),
        ({"name": ""}, {"name"}),
        ({"metdata": None}, {"metdata": "is not a known property"}),
        ({"type": "Z"}, {"type"}),
        ({"metadata": []}, {"metadata"}),
        ([], {"body"}),
        ("null", {"body"}),
        ('"x"', {"body"}),
        ("{", {"body"}),
    ],
)
def test_an_invalid_patch_changes_nothing(api, patch, problems):
    created = api.create(BODY)
    answer = api.patch(created.json()["id"], patch)
    assert (answer.status, answer.problems.keys()) == (400, set(problems))
    if isinstance(problems, dict):
        assert answer.problems == problems
    assert api.read(created.json()["id"]).body == created.body


def test_a_patch_says_that_it_is_one(api):
    created = api.create(BODY)
    answer = api.patch(created.json()["id"], {"name": "x"}, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.problems) == (400, {"Content-Type": f"must be {find_media_type('PATCH')}"})


def test_a_patch_over_what_can_be_stored_is_too_large(api):
    created = api.create({**BODY, "metadata": {"a": "x" * 210_000}})
    assert api.patch(created.json()["id"], {"metadata": {"b": "x" * 210_000}}).status == 413
    assert api.patch(created.json()["id"], json.dumps({"metadata": {"b": "x" * 3_000_000}})).status == 413


def test_preconditions_hold_for_the_version_that_is_read(api):
    created = api.create(BODY)
    resource_id, tag = created.json()["id"], created.headers["etag"]
    assert api.patch(resource_id, {"name": "x"}, headers={"If-Match": '"other"'}).status == 412
    assert api.patch(resource_id, {"name": "x"}, headers={"If-None-Match": tag}).status == 412
    assert api.read(resource_id).body == created.body
    assert api.patch(resource_id, {"name": "x"}, headers={"If-Match": tag}).status == 200
    assert api.patch(resource_id, {"name": "y"}, headers={"If-Match": tag}).status == 412


def test_what_is_gone_is_not_found(api):
    resource_id = api.create(BODY).json()["id"]
    api.delete(resource_id)
    assert api.patch(resource_id, {"name": "x"}).status == 404
    assert api.read(resource_id).status == 404


def test_a_patch_that_is_overtaken_loses_neither_change(remote_api, dynamodb):
    created = remote_api.create(BODY)
    resource_id = created.json()["id"]
    dynamodb.before("UpdateItem", lambda: remote_api.patch(resource_id, {"metadata": {"other": True}}))
    patched = remote_api.patch(resource_id, {"metadata": {"mine": True}})
    assert patched.json()["metadata"] == {**BODY["metadata"], "other": True, "mine": True}
    assert remote_api.read(resource_id).body == patched.body


def test_a_conditional_patch_that_is_overtaken_fails(remote_api, dynamodb):
    created = remote_api.create(BODY)
    resource_id = created.json()["id"]
    dynamodb.before("UpdateItem", lambda: remote_api.patch(resource_id, {"name": "theirs"}))
    answer = remote_api.patch(resource_id, {"name": "mine"}, headers={"If-Match": created.headers["etag"]})
    assert answer.status == 412
    assert remote_api.read(resource_id).json()["name"] == "theirs"


def test_a_patch_that_is_always_overtaken_may_be_sent_again(remote_api, dynamodb, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    resource_id = remote_api.create(BODY).json()["id"]
    is_overtaking = False

    def overtake():
        nonlocal is_overtaking
        dynamodb.before("UpdateItem", overtake)
        if not is_overtaking:
            is_overtaking = True
            remote_api.update(resource_id)
            is_overtaking = False

    dynamodb.before("UpdateItem", overtake)
    answer = remote_api.patch(resource_id, {"name": "mine"})
    assert (answer.status, "retry-after" in answer.headers) == (503, True)


@pytest.mark.parametrize("faults", [[LoseAnswer()], [LoseAnswer(), Refusal("ThrottlingException")]])
def test_a_patch_whose_answer_is_lost_is_done_once(remote_api, dynamodb, faults):
    created = remote_api.create(BODY)
    dynamodb.fail("UpdateItem", *faults)
    patched = remote_api.patch(created.json()["id"], {"name": "new"}, headers={"If-Match": created.headers["etag"]})
    assert patched.status == 200
    assert remote_api.read(created.json()["id"]).body == patched.body
    assert dynamodb.operations.count("UpdateItem") == len(faults) + 1
