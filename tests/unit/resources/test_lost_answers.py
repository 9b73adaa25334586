"""Writes whose answer was lost are recognized as done when they are retried."""

import pytest

from tests.support.dynamodb import LoseAnswer, Refusal
from tests.support.gateway import ENVIRONMENT

pytestmark = pytest.mark.slow

TABLE = ENVIRONMENT["TABLE_NAME"]


@pytest.mark.parametrize("faults", [[LoseAnswer()], [LoseAnswer(), Refusal("ThrottlingException")]])
def test_a_delete_that_was_done_is_no_404(remote_api, dynamodb, faults):
    resource_id = remote_api.create().json()["id"]
    dynamodb.fail("UpdateItem", *faults)
    assert remote_api.delete(resource_id).status == 204
    assert remote_api.read(resource_id).status == 404


def test_a_delete_whose_mark_is_gone_is_no_404(remote_api, dynamodb, table):
    resource_id = remote_api.create().json()["id"]
    dynamodb.fail("UpdateItem", LoseAnswer())

    def remove_mark():
        (mark,) = table.scan(TableName=TABLE)["Items"]
        table.delete_item(TableName=TABLE, Key={"pk": mark["pk"], "sk": mark["sk"]})

    # Between the first attempt and the second.
    dynamodb.before("UpdateItem", lambda: dynamodb.before("UpdateItem", remove_mark))
    assert remote_api.delete(resource_id).status == 204


def test_a_delete_that_was_only_throttled_is_a_404_where_there_is_nothing(remote_api, dynamodb):
    resource_id = remote_api.create().json()["id"]
    remote_api.delete(resource_id)
    dynamodb.fail("UpdateItem", Refusal("ThrottlingException"))
    assert remote_api.delete(resource_id).status == 404


def test_an_update_that_was_done_is_no_conflict_with_itself(remote_api, dynamodb):
    created = remote_api.create()
    dynamodb.fail("UpdateItem", LoseAnswer())
    headers = {"If-Match": created.headers["etag"]}
    updated = remote_api.update(created.json()["id"], {"name": "new", "type": "B"}, headers=headers)
    assert updated.status == 200
    assert remote_api.read(created.json()["id"]).body == updated.body
