"""The one table, through the one client: items are plain dicts, and what DynamoDB refuses becomes an error of ours.

Source: «Amazon DynamoDB API Reference» and «Error handling with DynamoDB», Amazon DynamoDB Developer Guide.
"""

import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from serverless_api.environment import settings
from serverless_api.http.errors import ContentTooLarge, ServiceUnavailable
from serverless_api.resilience.circuit_breaker import CircuitBreaker, CircuitOpen, CircuitState
from serverless_api.resilience.deadline import DeadlineExceeded, current_deadline
from serverless_api.resilience.retry import RetryableError, RetryBudget, RetryPolicy
from serverless_api.storage.dynamodb import DynamoDB, DynamoDBError, find_endpoint
from serverless_api.telemetry.observability import Metric, Usage, count, count_usage, logger, report_transition
from serverless_api.telemetry.tracing import TableCall

type Item = dict[str, Any]

# Refused before anything was done.
_THROTTLED = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
}

_READS = {"GetItem", "Query"}

ATTEMPT_SECONDS = 1.0
"""How long one attempt may take; DynamoDB answers within some milliseconds."""

# While the circuit is open, one request a second goes through to see whether the table is back.
RESET_SECONDS = 1.0

REQUEST_TIMEOUT = 408

TOO_LARGE = "The resource is larger than the 400 KB that can be kept"

_database = DynamoDB(settings.REGION, find_endpoint(os.environ))


class ConditionFailed(Exception):
    """The item is not in the state that the write asked for.

    Attributes:
        item: the item as it is, or None where there is none.
        may_be_done: whether an earlier attempt of the same write got no answer, and may have been carried out.
    """

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition of a write failed")
        self.item = item
        self.may_be_done = False


class AnswerLost(RetryableError):
    """An attempt got no answer, or one that says nothing: it may have been carried out or not."""


class TransactionConflict(Exception):
    """Another write to the same items was under way; nothing was written."""


def _report_transition(before: CircuitState, after: CircuitState) -> None:
    report_transition("table", before, after)


_policy = RetryPolicy()
_budget = RetryBudget()
_circuit = CircuitBreaker(RetryableError, reset=RESET_SECONDS, on_transition=_report_transition)


def rehearse() -> None:
    """Do what a request to the table takes, without one and without credentials; where there is no network, too."""
    _decode_item(_encode_item({"pk": "", "of": [{"number": 1, "fraction": Decimal("0.5"), "nothing": None}]}))
    with suppress(OSError):
        _database.rehearse(ATTEMPT_SECONDS)


def start_over() -> None:
    """Drop connection and credentials, and what was learnt of the table's health: it was another time's."""
    _database.close()
    _budget.refill()
    _circuit.reset()


def get_item(key: Item) -> Item | None:
    """Return the item with the primary key `key` as last written, or None."""
    found = _call("GetItem", Key=_encode_item(key), ConsistentRead=True).get("Item")
    return _decode_item(found) if found else None


def put_item(item: Item, condition: str, values: Mapping[str, Any] | None = None) -> None:
    """Write a whole item.

    Args:
        item: what to write.
        condition: a condition expression; every attribute name in it is written `#name`.
        values: what its placeholders `:value` stand for.

    Raises:
        ConditionFailed: the condition does not hold.
        ContentTooLarge: the item is over DynamoDB's 400 KB.
    """
    _call("PutItem", Item=_encode_item(item), **_condition(condition, values))


def update_item(key: Item, update: str, condition: str, values: Mapping[str, Any]) -> Item:
    """Change an item and return it as it is then.

    Args:
        key: its primary key.
        update: an update expression; every attribute name in it is written `#name`.
        condition: a condition expression, written in the same way.
        values: what the placeholders `:value` of both stand for.

    Raises:
        ConditionFailed: the condition does not hold.
        ContentTooLarge: the item would be over DynamoDB's 400 KB.
    """
    arguments = _condition(condition, values, update)
    answer = _call("UpdateItem", Key=_encode_item(key), ReturnValues="ALL_NEW", **arguments)
    return _decode_item(answer["Attributes"])


def delete_item(key: Item, condition: str, values: Mapping[str, Any] | None = None) -> None:
    """Delete an item.

    Raises:
        ConditionFailed: the condition does not hold.
    """
    _call("DeleteItem", Key=_encode_item(key), **_condition(condition, values))


def put_and_update(item: Item, key: Item, update: str, condition: str, values: Mapping[str, Any]) -> None:
    """Write the new item `item` and change the item at `key`, both or neither.

    Raises:
        ConditionFailed: `condition` does not hold for the item at `key`, or `item` exists already.
        TransactionConflict: another write to one of the two was under way.
        ContentTooLarge: one of the two is over DynamoDB's 400 KB.
    """
    put = {"TableName": settings.TABLE_NAME, "Item": _encode_item(item), **_condition("attribute_not_exists(#pk)")}
    change = {"TableName": settings.TABLE_NAME, "Key": _encode_item(key), **_condition(condition, values, update)}
    # With a token DynamoDB itself recognises a repeated transaction, for ten minutes.
    token = secrets.token_hex(16)
    _call("TransactWriteItems", ClientRequestToken=token, TransactItems=[{"Update": change}, {"Put": put}])


def query_items(partition: str, prefix: str, before: str | None, limit: int) -> Iterator[Item]:
    """Yield at most `limit` items of a partition whose sort key starts with `prefix`, the last ones first.

    Args:
        partition: the value of `pk`.
        prefix: what their `sk` starts with.
        before: an `sk`; only items before it are wanted.
        limit: how many, at the most.
    """
    left = limit
    start = {"pk": partition, "sk": before} if before else None
    while left > 0:
        arguments: dict[str, Any] = {"ExclusiveStartKey": _encode_item(start)} if start else {}
        # One answer holds at most 1 MB; the loop asks on until the page is full or the partition at its end.
        answer = _call(
            "Query",
            KeyConditionExpression="#pk = :pk AND begins_with(#sk, :sk)",
            ExpressionAttributeNames={"#pk": "pk", "#sk": "sk"},
            ExpressionAttributeValues=_encode_item({":pk": partition, ":sk": prefix}),
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=left,
            **arguments,
        )
        for found in answer["Items"]:
            yield _decode_item(found)
        left -= len(answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        start = _decode_item(answer["LastEvaluatedKey"])


def _condition(condition: str, values: Mapping[str, Any] | None = None, update: str = "") -> dict[str, Any]:
    """Return the arguments that a conditional write takes.

    Names always go through placeholders, since `name` and a few hundred more are reserved words in expressions.
    """
    arguments: dict[str, Any] = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in re.findall(r"#(\w+)", f"{condition} {update}")},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if values:
        arguments["ExpressionAttributeValues"] = _encode_item(values)
    if update:
        arguments["UpdateExpression"] = update
    return arguments


def _call(operation: str, **arguments: Any) -> dict[str, Any]:
    """Carry out one operation: attempts, retries and circuit.

    Every operation here is safe to repeat: reads are, and each write is conditional on what it would find changed.
    """
    if operation != "TransactWriteItems":
        arguments["TableName"] = settings.TABLE_NAME
    arguments["ReturnConsumedCapacity"] = "TOTAL"
    failed: list[RetryableError] = []

    def count_retry(error: RetryableError) -> None:
        failed.append(error)
        count(Metric.TABLE_RETRIES)
        logger.debug("The table is asked again", operation=operation, reason=str(error))

    def attempt_and_retry() -> dict[str, Any]:
        return _policy.call(
            lambda: _attempt(operation, arguments, len(failed)), current_deadline(), _budget, count_retry
        )

    try:
        return _circuit.call(attempt_and_retry)
    except ConditionFailed as failure:
        failure.may_be_done = any(isinstance(error, AnswerLost) for error in failed)
        raise
    except RetryableError as error:
        raise ServiceUnavailable from error
    except CircuitOpen as error:
        count(Metric.TABLE_CIRCUIT_REFUSALS)
        raise ServiceUnavailable(retry_after=math.ceil(error.retry_after)) from error


def _attempt(operation: str, arguments: Mapping[str, Any], retries: int) -> dict[str, Any]:
    count_usage(Usage.TABLE_CALLS)
    # Where no time is left, the database is not called, and has the answer to the call before.
    _database.response = None
    with TableCall(operation, retries) as subsegment:
        try:
            answer = _ask(operation, arguments)
        except AnswerLost:
            count(Metric.TABLE_ERRORS)
            raise
        except RetryableError:
            count(Metric.TABLE_THROTTLES)
            # DynamoDB says so with status 400.
            subsegment.is_throttled = True
            raise
        finally:
            subsegment.response = _database.response
    _count_capacity(operation, answer)
    return answer


def _ask(operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    invocation = current_deadline()
    attempt = invocation.shorten(ATTEMPT_SECONDS)
    try:
        # The time-out bounds each wait on the socket; an answer that comes byte by byte is bounded by the signal.
        with attempt.enforce():
            return _database.call(operation, arguments, attempt.cut(ATTEMPT_SECONDS))
    except DeadlineExceeded as error:
        invocation.cut(ATTEMPT_SECONDS)
        raise AnswerLost(f"no whole answer within {ATTEMPT_SECONDS} s") from error
    except DynamoDBError as error:
        _raise_refusal(error)
        raise
    except OSError as error:
        raise AnswerLost(f"{type(error).__name__}: {error}") from error


def _count_capacity(operation: str, answer: Mapping[str, Any]) -> None:
    consumed = answer.get("ConsumedCapacity") or []
    tables = consumed if isinstance(consumed, list) else [consumed]
    units = sum(float(of.get("CapacityUnits") or 0) for of in tables)
    count_usage(Usage.READ_UNITS if operation in _READS else Usage.WRITE_UNITS, units)
    logger.debug("The table has answered", operation=operation, capacity_units=units)


def _raise_refusal(error: DynamoDBError) -> None:
    if error.code == "ConditionalCheckFailedException":
        found = error.response.get("Item")
        raise ConditionFailed(_decode_item(found) if found else None) from error
    if error.code == "TransactionCanceledException":
        _raise_cancellation(error.response["CancellationReasons"], error)
    if error.code == "TransactionConflictException":
        raise TransactionConflict from error
    # DynamoDB has no code of its own for an item over 400 KB: only the message tells it from other invalid requests.
    if error.code == "ValidationException" and "exceeded the maximum allowed size" in error.message:
        raise ContentTooLarge(TOO_LARGE) from error
    if error.code in _THROTTLED:
        raise RetryableError(error.code) from error
    if error.status >= 500 or error.status == REQUEST_TIMEOUT:
        raise AnswerLost(error.code) from error


def _raise_cancellation(reasons: Sequence[Mapping[str, Any]], error: DynamoDBError) -> None:
    for reason in reasons:
        if reason.get("Code") == "ConditionalCheckFailed":
            raise ConditionFailed(_decode_item(reason["Item"]) if reason.get("Item") else None) from error
    codes = {reason.get("Code") for reason in reasons}
    if "TransactionConflict" in codes:
        raise TransactionConflict from error
    if "ValidationError" in codes and any("maximum allowed size" in reason.get("Message", "") for reason in reasons):
        raise ContentTooLarge(TOO_LARGE) from error
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        raise RetryableError("the transaction was throttled") from error


def _encode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _encode(value) for name, value in item.items()}


def _encode(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, Mapping):
        return {"M": _encode_item(value)}
    if isinstance(value, Sequence):
        return {"L": [_encode(of) for of in value]}
    raise TypeError(f"{type(value).__name__} cannot be kept in DynamoDB")


def _decode_item(item: Mapping[str, Any]) -> Item:
    return {name: _decode(value) for name, value in item.items()}


def _decode(value: Mapping[str, Any]) -> Any:
    ((kind, of),) = value.items()
    match kind:
        case "N":
            return Decimal(of) if set(of) - set("-0123456789") else int(of)
        case "NULL":
            return None
        case "M":
            return _decode_item(of)
        case "L":
            return [_decode(each) for each in of]
        case _:
            return of
