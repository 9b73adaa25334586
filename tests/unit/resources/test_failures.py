import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.dynamodb import Drop, Hang, LoseAnswer, Refusal
from tests.support.gateway import import_functions
from tests.support.http_server import Reply, Server, make_reply
from tests.support.resources_api import ResourcesApi

pytestmark = pytest.mark.slow

RESOURCE = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"
CALLS = [
    pytest.param("Query", lambda api: api.page(), id="list"),
    pytest.param("PutItem", lambda api: api.create(), id="create"),
    pytest.param("GetItem", lambda api: api.read(RESOURCE), id="get"),
    pytest.param("UpdateItem", lambda api: api.update(RESOURCE), id="update"),
    pytest.param("UpdateItem", lambda api: api.delete(RESOURCE), id="delete"),
]
calls = pytest.mark.parametrize(("operation", "call"), CALLS)


def assert_unavailable(answer):
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "requestId"}


@calls
@pytest.mark.parametrize(
    "fault",
    [
        Refusal("ThrottlingException"),
        Refusal("ProvisionedThroughputExceededException"),
        Refusal("RequestLimitExceeded"),
        Refusal("InternalServerError", 500),
        Refusal("ServiceUnavailable", 503),
        Refusal("SomethingNew", 502),
        Drop(),
    ],
    ids=lambda fault: getattr(fault, "code", "Drop"),
)
def test_a_table_that_stays_busy_or_down_is_a_503(remote_api, dynamodb, operation, call, fault):
    dynamodb.fail(operation, *(fault,) * 10)
    assert_unavailable(call(remote_api))


@pytest.mark.parametrize("fault", [Refusal("ThrottlingException"), Refusal("InternalServerError", 500), Drop()])
def test_a_fault_that_passes_is_not_noticed(remote_api, dynamodb, fault):
    dynamodb.fail("PutItem", fault)
    assert remote_api.create().status == 201
    assert remote_api.page().json()["count"] == 1


def test_a_table_that_does_not_answer_is_waited_for_in_vain(remote_api, dynamodb):
    dynamodb.fail("GetItem", *(Hang(),) * 10)
    assert_unavailable(remote_api.read(RESOURCE))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_table_that_cannot_be_reached_is_a_503():
    # Nothing listens on port 9 (discard) of the loopback interface.
    with import_functions({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}) as handlers:
        assert_unavailable(ResourcesApi(handlers).page())


def test_a_silent_credentials_endpoint_costs_no_attempt_while_the_keys_are_valid(dynamodb, monkeypatch, capsys):
    expires = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    keys = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "Token": "token", "Expiration": expires}
    replies = [make_reply(keys)]
    with (
        Server(lambda _: replies.pop() if replies else Reply(b"")) as endpoint,
        import_functions({"AWS_ENDPOINT_URL": dynamodb.url}) as handlers,
    ):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint.url}/credentials")
        api = ResourcesApi(handlers)
        assert [api.page().status for _ in range(3)] == [200] * 3
        assert len(endpoint.requests) == 2
    assert "TableErrors" not in capsys.readouterr().out


def test_a_lost_answer_makes_no_second_resource(remote_api, dynamodb):
    dynamodb.fail("PutItem", LoseAnswer())
    answer = remote_api.create()
    assert answer.status == 201
    assert remote_api.page().json()["resources"] == [answer.json()]


def test_a_lost_answer_makes_no_conflict_with_itself(remote_api, dynamodb):
    created = remote_api.create()
    dynamodb.fail("UpdateItem", LoseAnswer())
    answer = remote_api.update(created.json()["id"], headers={"If-Match": created.headers["etag"]})
    assert answer.status == 200
    read = remote_api.read(created.json()["id"])
    assert (read.body, read.headers["etag"]) == (answer.body, answer.headers["etag"])


@calls
@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_an_internal_error_is_a_500_without_its_cause(remote_api, dynamodb, operation, call, code, capsys):
    dynamodb.fail(operation, Refusal(code, message="secret: the cause"))
    answer = call(remote_api)
    assert answer.status == 500
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "requestId"}
    assert "secret" not in answer.body
    assert code not in answer.body
    log = read_log(capsys)
    (failure,) = [line for line in log if line["level"] == "ERROR"]
    assert failure["request_id"] == answer.json()["requestId"]
    assert "secret: the cause" in failure["exception"]


def test_a_claim_is_the_callers_again_after_any_failure(remote_api, dynamodb):
    headers = {"Idempotency-Key": "key"}
    dynamodb.fail("TransactWriteItems", Refusal("AccessDeniedException"))
    assert remote_api.create(headers=headers).status == 500
    assert remote_api.create(headers=headers).status == 201


def test_nothing_of_a_request_is_left_in_the_log_of_the_next(api, capsys):
    api.page(subject="alice")
    capsys.readouterr()
    api.page(claims={})
    assert all("caller" not in line for line in read_log(capsys))


def test_no_body_or_token_is_logged(api, capsys):
    api.create({"name": "private name", "type": "A"}, headers={"Authorization": "Bearer private-token"})
    assert "private" not in capsys.readouterr().out


def test_the_functions_own_id_stands_in_for_a_missing_one(api):
    event = api.make_event("GET", f"/api/v1/resources/{RESOURCE}")
    del event["requestContext"]["requestId"]
    assert api.invoke(event).json()["requestId"] == "8f5a4c1e-0000-4000-8000-00000000f00d"


def read_lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def read_log(capsys):
    return [line for line in read_lines(capsys) if "level" in line]
