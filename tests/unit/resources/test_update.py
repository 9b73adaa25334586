import pytest


@pytest.mark.example_fields
def test_what_the_caller_may_change_is_replaced(api, clock):
    created = api.create({"name": "old", "type": "A", "metadata": {"a": 1}})
    clock.advance(5)
    answer = api.update(created.json()["id"], {"name": "new", "type": "C", "metadata": {"b": 2}})
    before, after = created.json(), answer.json()
    assert answer.status == 200
    assert (after["name"], after["type"], after["metadata"]) == ("new", "C", {"b": 2})
    assert (after["id"], after["createdAt"]) == (before["id"], before["createdAt"])
    assert after["updatedAt"] > before["updatedAt"]
    assert answer.headers["etag"] != created.headers["etag"]
    read = api.read(before["id"])
    assert (read.body, read.headers["etag"]) == (answer.body, answer.headers["etag"])


def test_metadata_that_is_not_given_is_removed(api):
    resource_id = api.create({"name": "old", "type": "A", "metadata": {"a": 1}}).json()["id"]
    assert "metadata" not in api.update(resource_id, {"name": "new", "type": "A"}).json()
    assert "metadata" not in api.read(resource_id).json()


def test_each_write_has_an_entity_tag_of_its_own(api):
    resource_id = api.create().json()["id"]
    tags = {api.update(resource_id, {"name": "same", "type": "A"}).headers["etag"] for _ in range(3)}
    assert len(tags) == 3


def test_an_update_does_not_move_a_resource_in_the_list(api):
    ids = [api.create().json()["id"] for _ in range(3)]
    api.update(ids[0])
    assert [each["id"] for each in api.page().json()["resources"]] == ids[::-1]


@pytest.mark.parametrize("method", ["update", "delete"])
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("form", ["*", "{tag}", '"other"', "W/{tag}"])
def test_what_is_gone_is_not_found_whatever_the_condition(api, method, name, form):
    created = api.create()
    api.delete(created.json()["id"])
    headers = {name: form.replace("{tag}", created.headers["etag"])}
    assert getattr(api, method)(created.json()["id"], headers=headers).status == 404
    assert api.read(created.json()["id"]).status == 404


@pytest.mark.parametrize("method", ["update", "delete"])
def test_of_two_writers_with_the_same_version_one_wins(api, method):
    created = api.create()
    headers = {"If-Match": created.headers["etag"]}
    assert api.update(created.json()["id"], headers=headers).status == 200
    assert getattr(api, method)(created.json()["id"], headers=headers).status == 412


def test_an_update_never_creates(api):
    resource_id = api.create().json()["id"]
    api.delete(resource_id)
    assert api.update(resource_id).status == 404
    assert api.page().json()["count"] == 0


@pytest.mark.example_fields
def test_an_invalid_update_changes_nothing(api):
    created = api.create()
    answer = api.update(created.json()["id"], {"name": "", "type": "Z", "x": 1})
    assert (answer.status, set(answer.problems)) == (400, {"name", "type", "x"})
    assert api.read(created.json()["id"]).body == created.body


@pytest.mark.example_fields
def test_an_update_over_400_kb_is_too_large(api):
    created = api.create()
    answer = api.update(created.json()["id"], {"name": "x", "type": "A", "metadata": {"text": "x" * 410_000}})
    # Unlike DynamoDB, moto stores what it rejects, so the resource cannot be checked afterwards.
    assert (answer.status, "400 KB" in answer.json()["error"]) == (413, True)


def test_a_deleted_resource_is_gone(api):
    resource_id = api.create().json()["id"]
    answer = api.delete(resource_id)
    assert (answer.status, answer.body) == (204, "")
    assert "content-type" not in answer.headers
    assert api.read(resource_id).status == 404
    assert api.page().json() == {"resources": [], "count": 0}


def test_what_is_deleted_twice_is_not_found_the_second_time(api):
    resource_id = api.create().json()["id"]
    assert api.delete(resource_id).status == 204
    assert api.delete(resource_id).status == 404
