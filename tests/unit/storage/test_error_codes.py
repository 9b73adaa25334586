"""Each error of DynamoDB, for each operation that has it, is handled as docs/decisions/dynamodb-errors.md says."""

import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.loaders import Loader

from tests.support.dynamodb import DynamoDB, LoseAnswer, Refusal
from tests.support.gateway import Answer, import_functions
from tests.support.resources_api import ResourcesApi
from tests.support.stack import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/decisions/dynamodb-errors.md").read_text(encoding="utf-8")
MODEL = Loader().load_service_model("dynamodb", "service-2")

READS, WRITES = ("Query", "GetItem", "BatchGetItem"), ("PutItem", "UpdateItem", "DeleteItem")
TRANSACTION, SEARCH = ("TransactWriteItems",), ("SearchVectors",)
OPERATIONS = {
    "all": (*READS, *WRITES, *TRANSACTION, *SEARCH),
    "all but the search": (*READS, *WRITES, *TRANSACTION),
    "writes": WRITES,
    "transaction": TRANSACTION,
    "search": SEARCH,
}

# «Common Errors», Amazon DynamoDB API Reference: those of any AWS service.
COMMON = {
    "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InternalFailure",
    "MalformedHttpRequestException", "NotAuthorized", "OptInRequired", "RequestAbortedException",
    "RequestEntityTooLargeException", "RequestExpired", "RequestTimeoutException", "ServiceUnavailable",
    "ThrottlingException", "UnknownOperationException", "UnrecognizedClientException",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the page's table."""

    code: str
    reason: str
    is_size: bool
    status: int
    operations: tuple[str, ...]
    attempts: int
    responses: frozenset[int]
    claim_responses: frozenset[int]

    def make_refusal(self) -> Refusal:
        is_common = self.code not in MODEL["shapes"]
        message = "Item size has exceeded the maximum allowed size" if self.is_size else "no"
        reasons = [{"Code": "None"}, {"Code": self.reason, "Message": message}]
        more = (("CancellationReasons", reasons),) if self.reason else ()
        namespace = "com.amazon.coral.service" if is_common else Refusal.namespace
        return Refusal(self.code, self.status, message, namespace, more)


def read_rows() -> Iterator[Row]:
    lines = PAGE.partition("| error |")[2].partition("\n\n")[0].splitlines()[2:]
    for line in lines:
        error, status, operations, attempts, _, response = [cell.strip() for cell in line.strip("|").split("|")]
        code, reason, *_ = *re.findall(r"`(\w+)`", error), ""
        outside, _, claim = response.partition("(claim:")
        numbers, claim_numbers = (frozenset(map(int, re.findall(r"\d{3}", text))) for text in (outside, claim))
        yield Row(
            code, reason, "400 KB" in error, int(status), OPERATIONS[operations], int(attempts), numbers,
            claim_numbers or numbers,
        )  # fmt: skip


ROWS = list(read_rows())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture
def api(waits: list[float], dynamodb: DynamoDB) -> Iterator[ResourcesApi]:
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}) as handlers:
        yield ResourcesApi(handlers)


KEY = {"Idempotency-Key": "key"}


def list_doors(
    api: ResourcesApi, dynamodb: DynamoDB, row: Row
) -> Iterator[tuple[str, Callable[[], Answer], frozenset[int]]]:
    """The operations of a row, with a request that leads to each and the responses to expect."""
    resource = api.create().json()["id"]
    keys = map(str, itertools.count())

    def release_claim() -> Answer:
        """Create with a key, fail, and try again: only a released claim lets the second attempt create."""
        headers = {"Idempotency-Key": next(keys)}
        dynamodb.fail("TransactWriteItems", Refusal("AccessDeniedException"))
        assert api.create(headers=headers).status in {500, *row.responses}
        return api.create(headers=headers)

    doors: dict[str, Callable[[], Answer]] = {
        "Query": api.page,
        "GetItem": lambda: api.read(resource),
        "BatchGetItem": api.search,
        "SearchVectors": api.search,
        "PutItem": api.create,
        "UpdateItem": lambda: api.update(resource),
        "DeleteItem": release_claim,
        "TransactWriteItems": lambda: api.create(headers={"Idempotency-Key": next(keys)}),
    }
    for operation in row.operations:
        # The ID of a new item is random, so its condition always holds.
        if (operation, row.code) != ("PutItem", "ConditionalCheckFailedException"):
            # Nobody but the next request with the key sees that a claim could not be released.
            yield operation, doors[operation], frozenset({409}) if operation == "DeleteItem" else row.responses
        if operation == "UpdateItem":
            yield operation, lambda: api.delete(resource), row.responses
        if operation == "PutItem":
            yield operation, doors["TransactWriteItems"], row.claim_responses


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code}{row.reason and '-'}{row.reason}")
def test_an_error_is_handled_as_documented(api: ResourcesApi, dynamodb: DynamoDB, row: Row) -> None:
    table: Any = importlib.import_module("serverless_api.storage.table")
    for operation, send, responses in list_doors(api, dynamodb, row):
        dynamodb.fail(operation, *(row.make_refusal(),) * 10)
        dynamodb.operations.clear()
        answer = send()
        assert answer.status in responses, operation
        assert dynamodb.operations.count(operation) == row.attempts, operation
        assert ("retry-after" in answer.headers) == (answer.status in (409, 503)), operation
        dynamodb.recover()
        table.reset()
        if row.attempts > 1:
            dynamodb.fail(operation, row.make_refusal())
            assert send().status < 300, operation


def test_every_error_is_documented() -> None:
    documented = {row.code for row in ROWS}
    modelled = {
        error["shape"] for name in OPERATIONS["all"] for error in MODEL["operations"][name].get("errors", ())
    }  # fmt: skip
    assert modelled | COMMON <= documented
    with import_functions():
        codes: Any = importlib.import_module("serverless_api.storage.error_codes")
        client: Any = importlib.import_module("serverless_api.storage.dynamodb")
        assert set(codes._BY_CODE) | client.SIGNATURE_ERRORS <= documented
        assert set(codes._BY_REASON) <= {row.reason for row in ROWS}


def test_every_operation_of_the_code_is_covered() -> None:
    source = (ROOT / "layers/shared/serverless_api/storage/table.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(\w+)"', source)) & set(MODEL["operations"])
    assert named == set(OPERATIONS["all"])


@pytest.mark.parametrize("code", ["TransactionConflictException", "ReplicatedWriteConflictException"])
def test_a_claim_is_released_through_conflicts(api: ResourcesApi, dynamodb: DynamoDB, code: str) -> None:
    dynamodb.fail("TransactWriteItems", Refusal("AccessDeniedException"))
    dynamodb.fail("DeleteItem", *(Refusal(code),) * 3)
    assert api.create(headers=KEY).status == 500
    assert api.create({"name": "another", "type": "B"}, headers=KEY).status == 201


def test_a_cancelled_transaction_leaves_its_key_to_the_next_request(api: ResourcesApi, dynamodb: DynamoDB) -> None:
    reasons = (("CancellationReasons", [{"Code": "TransactionConflict"}, {"Code": "None"}]),)
    dynamodb.fail("TransactWriteItems", *(Refusal("TransactionCanceledException", more=reasons),) * 4)
    answer = api.create(headers=KEY)
    assert (answer.status, answer.headers["retry-after"]) == (409, "1")
    assert api.create(headers=KEY).status == 201


def test_conflicts_do_not_open_the_circuit(api: ResourcesApi, dynamodb: DynamoDB) -> None:
    resource = api.create().json()["id"]
    # More than the circuit's threshold, each with all attempts that the retry budget allows.
    dynamodb.fail("UpdateItem", *(Refusal("TransactionConflictException"),) * 40)
    for _ in range(8):
        assert api.update(resource).status == 503
    dynamodb.recover()
    assert api.update(resource).status == 200


def test_a_transaction_in_progress_is_repeated_until_dynamodb_completes_it(
    api: ResourcesApi, dynamodb: DynamoDB, waits: list[float]
) -> None:
    dynamodb.fail("TransactWriteItems", LoseAnswer(), *(Refusal("TransactionInProgressException"),) * 2)
    assert api.create(headers=KEY).status == 201
    assert api.page().json()["count"] == 1
    # Together with the second after which the first attempt is given up, that is 5 s.
    assert sum(waits) >= 4


def test_a_write_that_was_done_is_recognized_behind_any_other_error(api: ResourcesApi, dynamodb: DynamoDB) -> None:
    for error in ("TransactionConflictException", "ThrottlingException", "ExpiredTokenException"):
        created = api.create()
        dynamodb.fail("UpdateItem", LoseAnswer(), Refusal(error))
        updated = api.update(created.json()["id"], headers={"If-Match": created.headers["etag"]})
        assert updated.status == 200
        dynamodb.fail("UpdateItem", LoseAnswer(), Refusal(error))
        assert api.delete(created.json()["id"], headers={"If-Match": updated.headers["etag"]}).status == 204


def test_an_error_with_status_200_is_an_error(api: ResourcesApi, dynamodb: DynamoDB) -> None:
    resource = api.create().json()["id"]
    dynamodb.fail("GetItem", Refusal("InternalServerError", 200))
    assert api.read(resource).status == 200
    dynamodb.fail("GetItem", Refusal("AccessDeniedException", 200))
    assert api.read(resource).status == 500


def test_a_cancellation_without_reasons_is_unexpected(api: ResourcesApi, dynamodb: DynamoDB) -> None:
    dynamodb.fail("TransactWriteItems", Refusal("TransactionCanceledException"))
    assert api.create(headers=KEY).status == 500
    assert api.create(headers=KEY).status == 201
