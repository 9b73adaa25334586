"""The DynamoDB table: plain dicts in and out, retries, circuit breaker, and one clear error for each refusal.

Source: «Amazon DynamoDB API Reference» and «Error handling with DynamoDB», Amazon DynamoDB Developer Guide.
"""

import math
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Context, Decimal, Inexact, Overflow, Subnormal
from functools import cache
from itertools import batched
from typing import Any, NamedTuple

from serverless_api.environment import settings
from serverless_api.resilience.circuit_breaker import CircuitBreaker, CircuitOpen, CircuitState, DependencyUnavailable
from serverless_api.resilience.deadline import DeadlineExceeded, current_deadline
from serverless_api.resilience.retry import RetryableError, RetryBudget, RetryPolicy
from serverless_api.storage.dynamodb import Answer, DynamoDB, DynamoDBError
from serverless_api.storage.error_codes import Handling, classify
from serverless_api.storage.signed_requests import find_endpoint
from serverless_api.telemetry.observability import Dependency, Metric, Usage, count, count_usage, logger
from serverless_api.telemetry.tracing import TableCall

type Item = dict[str, Any]

_FAILED = "ConditionalCheckFailed"
_OF_SEVERAL_TABLES = {"BatchGetItem", "TransactWriteItems"}
_READS = {"BatchGetItem", "GetItem", "Query"}

ATTEMPT_SECONDS = 1.0
"""Time limit of one attempt; DynamoDB answers within milliseconds."""

MAX_ALTERNATIVES = 100
"""Most values of a `one_of` («Comparison operator and function reference», Amazon DynamoDB Developer Guide)."""

MAX_READ = 25
"""Most items of one batch read: together they stay below the 16 MB that an answer may have, whatever they hold."""

MAX_QUERIED = 1000
"""Most items that a query reads at a time while it looks for items among marks of deleted ones."""

# While the circuit is open, one request a second goes through as a probe.
_RESET_SECONDS = 1.0

# DynamoDB completes an interrupted transaction if it is repeated 5 s after the first attempt or later. With this pause
# between attempts, the last one is («TransactWriteItems», Amazon DynamoDB API Reference).
_PAUSE_SECONDS = 2.0

# What DynamoDB can store («Supported data types and naming rules», Amazon DynamoDB Developer Guide).
_NUMBERS = Context(prec=38, Emin=-130, Emax=125, traps=[Inexact, Overflow, Subnormal])

_THROTTLES = Metric("TableThrottles")
_ERRORS = Metric("TableErrors")


class Vector(tuple[float, ...]):
    """The value of an attribute of a vector index."""

    __slots__ = ()


class Update(NamedTuple):
    """A change of an item, as a part of a transaction; see `update_item`."""

    key: Item
    changes: Item
    removed: Iterable[str]
    condition: str
    values: Mapping[str, Any] | None = None


class ConditionFailed(Exception):
    """The item is not in the state that the write requires.

    Never raised because of an earlier attempt of the same write whose answer was lost: the store recognizes its own
    write and reports success.

    Attributes:
        item: the item as it is, or None if there is none.
    """

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition of a write failed")
        self.item = item


class ItemTooLarge(Exception):
    """An item is larger than 400 KB, DynamoDB's limit."""


class NumberNotStorable(ValueError):
    """A number has more than 38 digits, or an exponent that DynamoDB does not have."""


class TableUnavailable(Exception):
    """The table is throttled, down or out of time.

    Attributes:
        retry_after: whole seconds after which to try again.
    """

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("the table is unavailable")
        self.retry_after = retry_after


class WriteConflict(TableUnavailable):
    """Other writes to the same item were in progress during all attempts; nothing was written."""


class _Conflict(RetryableError):
    """Another write to the same item was in progress; nothing was written. The table is well."""


class _Throttled(DependencyUnavailable):
    """The table rejected an attempt before anything was done."""


class _AnswerLost(DependencyUnavailable):
    """An attempt got no answer, or one that proves nothing: it may have been performed or not."""


_ENDPOINT = find_endpoint(os.environ, "dynamodb")
_database = DynamoDB(settings.REGION, _ENDPOINT)
_dependency = Dependency("table")
_policy = RetryPolicy()
_budget = RetryBudget()


def _report_transition(before: CircuitState, after: CircuitState) -> None:
    _dependency.report_transition(before, after)


_circuit = CircuitBreaker(reset=_RESET_SECONDS, on_transition=_report_transition)


def dry_run() -> None:
    """Dry run of a request to the table: sends nothing, needs no credentials, and works without a network."""
    _decode_item(_encode_item({"pk": "", "list": [{"number": 1, "fraction": Decimal("0.5"), "nothing": None}]}))
    with suppress(OSError):
        _database.dry_run(ATTEMPT_SECONDS)


def reset() -> None:
    """Drop connection and credentials, and forget the table's health: a restored environment starts afresh."""
    _database.close()
    _open_searches.cache_clear()
    _budget.refill()
    _circuit.reset()


def get_item(key: Item, *, table_name: str = "") -> Item | None:
    """Return the item with the primary key `key` as last written, or None."""
    found = _call("GetItem", TableName=table_name, Key=_encode_item(key), ConsistentRead=True).get("Item")
    return _decode_item(found) if found else None


def get_items(keys: Sequence[Item]) -> list[Item]:
    """Return the items with these primary keys as last written, in any order, without those that do not exist."""
    found: list[Item] = []
    for chunk in batched(keys, MAX_READ, strict=False):
        left = {"Keys": [_encode_item(key) for key in chunk], "ConsistentRead": True}
        while left:
            answer = _call("BatchGetItem", RequestItems={settings.TABLE_NAME: left})
            found += [_decode_item(item) for item in answer["Responses"].get(settings.TABLE_NAME, ())]
            # What exceeds 16 MB, or was throttled while others were not.
            left = answer.get("UnprocessedKeys", {}).get(settings.TABLE_NAME)
    return found


def search_vectors(
    index: str, vector: Sequence[float], limit: int, conditions: Mapping[str, str]
) -> list[tuple[Item, float]]:
    """Return the items of a vector index that are nearest to a vector, as far as the index has them, nearest first.

    Args:
        index: the index's name.
        vector: the vector, with as many dimensions as the index.
        limit: the most items, up to 100.
        conditions: the values that attributes of the index's search schema must have.

    Returns:
        Each item with its distance, as the index measures it.
    """
    answer = _call(
        "SearchVectors",
        IndexName=index,
        SearchVector=_encode_vector(vector),
        TopK=limit,
        SearchConditionExpression=" AND ".join(f"#{name} = :{name}" for name in conditions),
        ExpressionAttributeNames={f"#{name}": name for name in conditions},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in conditions.items()},
    )
    return [(_decode_item(result["Item"]), float(result["Score"])) for result in answer["SearchResults"]]


def put_item(item: Item, condition: str, values: Mapping[str, Any] | None = None, *, table_name: str = "") -> None:
    """Write a whole item, which must differ from every item written before.

    Args:
        item: the item; a random attribute, such as a version, makes it differ.
        condition: a condition expression; write every attribute name as `#name`.
        values: the values of its placeholders, by `:value`.
        table_name: another table.

    Raises:
        ConditionFailed: the condition does not hold.
        ItemTooLarge: the item is over DynamoDB's limit.
        NumberNotStorable: it has a number that DynamoDB cannot store; this goes for every write.
    """
    arguments = {"TableName": table_name, "Item": _encode_item(item), **_condition(condition, values)}
    _write("PutItem", lambda found: found == item, **arguments)


def update_item(
    key: Item,
    changes: Item,
    removed: Iterable[str],
    condition: str,
    values: Mapping[str, Any] | None = None,
    *,
    table_name: str = "",
) -> Item:
    """Change an item and return it as it is afterwards.

    Args:
        key: its primary key.
        changes: the attributes to set, which must differ from every earlier change; see `put_item`.
        removed: the names of the attributes to remove.
        condition: a condition expression; write every attribute name as `#name`.
        values: the values of its placeholders, by `:value`.
        table_name: another table.

    Raises:
        ConditionFailed: the condition does not hold.
        ItemTooLarge: the item would be over DynamoDB's limit.
    """
    arguments = _update(changes, removed, condition, values)
    return _write(
        "UpdateItem",
        lambda found: _has(found, changes),
        TableName=table_name,
        Key=_encode_item(key),
        ReturnValues="ALL_NEW",
        **arguments,
    )


def mark_deleted(
    key: Item, mark: Item, removed: Iterable[str], condition: str, values: Mapping[str, Any] | None = None
) -> None:
    """Replace an item with the mark of its deletion, which may be removed at any time afterwards.

    Args:
        key: its primary key.
        mark: the attributes of the mark, which must differ from every earlier one; see `put_item`.
        removed: the names of the item's other attributes.
        condition: a condition expression; write every attribute name as `#name`.
        values: the values of its placeholders, by `:value`.

    Raises:
        ConditionFailed: the condition does not hold.
    """
    arguments = _update(mark, removed, condition, values)
    _write("UpdateItem", lambda found: found is None or _has(found, mark), Key=_encode_item(key), **arguments)


def delete_item(key: Item, condition: str, values: Mapping[str, Any] | None = None) -> None:
    """Delete an item.

    Raises:
        ConditionFailed: the condition does not hold.
    """
    _write("DeleteItem", lambda found: found is None, Key=_encode_item(key), **_condition(condition, values))


def put_item_beside(item: Item, key: Item, condition: str, values: Mapping[str, Any] | None = None) -> None:
    """Write a whole item, in place of one with its key if there is one, while another item fulfills a condition.

    Args:
        item: the item.
        key: the primary key of the other item.
        condition: a condition expression about the other item; write every attribute name as `#name`.
        values: the values of its placeholders, by `:value`.

    Raises:
        ConditionFailed: the condition does not hold.
    """
    name = {"TableName": settings.TABLE_NAME}
    _write(
        "TransactWriteItems",
        lambda _: False,
        ClientRequestToken=secrets.token_hex(16),
        TransactItems=[
            {"ConditionCheck": {**name, "Key": _encode_item(key), **_condition(condition, values)}},
            {"Put": {**name, "Item": _encode_item(item)}},
        ],
    )


def transact(updates: Sequence[Update], items: Iterable[Item] = ()) -> None:
    """Change items and write new ones: all or nothing.

    Args:
        updates: the changes. Those of the first one must differ from every earlier change; see `put_item`.
        items: the new items. With the changes, at most 100.

    Raises:
        ConditionFailed: the condition of a change does not hold, or an item exists already.
        ItemTooLarge: one of the items is over DynamoDB's limit.
    """
    name = {"TableName": settings.TABLE_NAME}
    absent = _condition("attribute_not_exists(#pk)")
    _write(
        "TransactWriteItems",
        lambda found: _has(found, updates[0].changes),
        # With a token, DynamoDB recognizes a repeated transaction for ten minutes.
        ClientRequestToken=secrets.token_hex(16),
        TransactItems=[
            *({"Update": {**name, "Key": _encode_item(update.key), **_update(*update[1:])}} for update in updates),
            *({"Put": {**name, "Item": _encode_item(item), **absent}} for item in items),
        ],
    )


def query_items(
    partition: str, prefix: str, before: str | None, limit: int, *, ascending: bool = False, table_name: str = ""
) -> Iterator[Item]:
    """Yield up to `limit` items of a partition whose sort key starts with `prefix`, last one first.

    Marks of deleted items, which have an attribute `deletedAt`, are left out.

    Args:
        partition: the value of `pk`.
        prefix: the start of `sk`.
        before: a sort key; only items that follow it, in the order of the query, are returned.
        limit: the most items to return.
        table_name: another table.
        ascending: whether the first one comes first.
    """
    left = most = limit
    start = {"pk": partition, "sk": before} if before else None
    while left > 0:
        arguments: dict[str, Any] = {"ExclusiveStartKey": _encode_item(start)} if start else {}
        # One answer holds at most 1 MB, and its limit counts marks; query again until the page is full or the partition
        # ends, with more at a time where there are marks.
        answer = _call(
            "Query",
            TableName=table_name,
            KeyConditionExpression="#pk = :pk AND begins_with(#sk, :sk)",
            FilterExpression="attribute_not_exists(#deletedAt)",
            ExpressionAttributeNames={"#pk": "pk", "#sk": "sk", "#deletedAt": "deletedAt"},
            ExpressionAttributeValues=_encode_item({":pk": partition, ":sk": prefix}),
            ScanIndexForward=ascending,
            ConsistentRead=True,
            Limit=most,
            **arguments,
        )
        for found in answer["Items"][:left]:
            yield _decode_item(found)
        left -= len(answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        most = MAX_QUERIED if answer.get("ScannedCount", 0) > len(answer["Items"]) else left
        start = _decode_item(answer["LastEvaluatedKey"])


def query_index(
    index: str,
    partition: str,
    prefix: str,
    after: Item | None,
    limit: int,
    *,
    ascending: bool = False,
    matching: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """Yield entries of a global secondary index, last one first. The index follows the table within moments.

    Args:
        index: the name of the index and of its sort key; its partition key is `pk`.
        partition: the value of `pk`.
        prefix: the start of the sort key.
        after: the keys of an entry (`pk`, `sk` and the index's sort key); only those behind it are returned.
        limit: how many entries the caller expects to use.
        ascending: whether the first one comes first.
        matching: the values that other attributes of the index must have.
    """
    conditions = dict(matching or {})
    names = {"#pk": "pk", "#sort": index, **{f"#filter{number}": name for number, name in enumerate(conditions)}}
    values = {":pk": partition, ":sort": prefix}
    values |= {f":filter{number}": value for number, value in enumerate(conditions.values())}
    arguments: dict[str, Any] = {"ExclusiveStartKey": _encode_item(after)} if after else {}
    if conditions:
        terms = (f"#filter{number} = :filter{number}" for number in range(len(conditions)))
        arguments["FilterExpression"] = " AND ".join(terms)
    while True:
        answer = _call(
            "Query",
            IndexName=index,
            KeyConditionExpression="#pk = :pk AND begins_with(#sort, :sort)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=_encode_item(values),
            ScanIndexForward=ascending,
            Limit=MAX_QUERIED if conditions else limit,
            **arguments,
        )
        yield from map(_decode_item, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def call_once(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Perform one operation of DynamoDB in one attempt, for a library that has its own item format.

    Args:
        operation: an operation of the «Amazon DynamoDB API Reference», such as `GetItem`.
        request: its parameters, in DynamoDB JSON.

    Returns:
        The result, in DynamoDB JSON.

    Raises:
        ConditionFailed: the condition does not hold.
        CircuitOpen, RetryableError, DynamoDBError: the operation failed.
    """
    return _circuit.call(lambda: _attempt(operation, request, retries=0))


def one_of(name: str, alternatives: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return a condition expression that holds if an attribute has one of some values, and its placeholders' values.

    Args:
        name: the attribute's name.
        alternatives: up to `MAX_ALTERNATIVES` values; if empty, the condition never holds.
    """
    # No attribute of a key or version is ever the empty string.
    values = {f":{name}{index}": value for index, value in enumerate(sorted(alternatives) or [""])}
    return f"#{name} IN ({', '.join(values)})", values


def _condition(condition: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments of a conditional write.

    Names always go through placeholders, because `name` and hundreds of others are reserved words in expressions.
    """
    arguments: dict[str, Any] = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in re.findall(r"#(\w+)", condition)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if values:
        arguments["ExpressionAttributeValues"] = _encode_item(values)
    return arguments


def _update(changes: Item, removed: Iterable[str], condition: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a conditional update."""
    # Numbered placeholders: a name may have characters that placeholders may not.
    names = {f"#set{index}": name for index, name in enumerate(changes)}
    absent = {f"#remove{index}": name for index, name in enumerate(removed)}
    update = "SET " + ", ".join(f"#set{index} = :set{index}" for index in range(len(names)))
    if absent:
        update += " REMOVE " + ", ".join(absent)
    placeholders = {f":set{index}": value for index, value in enumerate(changes.values())}
    arguments = _condition(condition, {**placeholders, **(values or {})})
    arguments["ExpressionAttributeNames"] |= names | absent
    return {**arguments, "UpdateExpression": update}


def _has(found: Item | None, changes: Item) -> bool:
    return found is not None and all(found.get(name) == value for name, value in changes.items())


def _write(operation: str, is_done: Callable[[Item | None], bool], **arguments: Any) -> Item:
    """Perform a conditional write and return the changed item, or an empty one if the operation returns none.

    An attempt whose answer was lost may have been performed. Then the next attempt fails on its condition, and the item
    that it finds shows whether the write is done.

    Args:
        operation: the operation.
        is_done: whether an item (None: none) is as this write, and no other one, leaves it.
        arguments: the operation's parameters.
    """
    errors: list[RetryableError] = []
    try:
        answer = _call(operation, errors, **arguments)
    except ConditionFailed as failure:
        if is_done(failure.item) and any(isinstance(error, _AnswerLost) for error in errors):
            return failure.item or {}
        raise
    return _decode_item(answer.get("Attributes") or {})


def _call(operation: str, errors: list[RetryableError] | None = None, /, **arguments: Any) -> dict[str, Any]:
    """Perform an operation with retries and circuit breaker, and return its result.

    Every operation here is safe to repeat: reads are, and each write is conditional on what it would find changed.

    Args:
        operation: the operation.
        errors: filled with the errors of the attempts that were repeated.
        arguments: the operation's parameters.

    Raises:
        TableUnavailable: the table is throttled, down or out of time, or (WriteConflict) others write to the item.
    """
    if operation not in _OF_SEVERAL_TABLES:
        arguments["TableName"] = arguments.get("TableName") or settings.TABLE_NAME
    arguments["ReturnConsumedCapacity"] = "TOTAL"
    repeated = [] if errors is None else errors

    def on_retry(error: RetryableError) -> None:
        repeated.append(error)
        # A cancelled transaction is over, and its repetition is another one. One that may have been performed is not.
        if "ClientRequestToken" in arguments and not any(isinstance(each, _AnswerLost) for each in repeated):
            arguments["ClientRequestToken"] = secrets.token_hex(16)
        _dependency.count_retry(error)

    def attempt_and_retry() -> dict[str, Any]:
        return _policy.call(
            lambda: _attempt(operation, arguments, len(repeated)), current_deadline(), _budget, on_retry
        )

    try:
        return _circuit.call(attempt_and_retry)
    except _Conflict as error:
        raise WriteConflict from error
    except RetryableError as error:
        raise TableUnavailable from error
    except CircuitOpen as error:
        _dependency.count_refusal()
        raise TableUnavailable(math.ceil(error.retry_after)) from error


def _attempt(operation: str, arguments: Mapping[str, Any], retries: int) -> dict[str, Any]:
    count_usage(Usage.TABLE_CALLS)
    with TableCall(operation, retries, arguments.get("TableName", settings.TABLE_NAME)) as subsegment:
        try:
            answer = _send(operation, arguments)
            subsegment.response = answer.response
        except _AnswerLost:
            count(_ERRORS)
            raise
        except DynamoDBError as refusal:
            subsegment.response = refusal.response
            error = _translate(refusal, operation)
            if isinstance(error, _AnswerLost):
                count(_ERRORS)
            elif isinstance(error, _Throttled):
                count(_THROTTLES)
                # DynamoDB throttles with status 400.
                subsegment.is_throttled = True
            if error is refusal:
                raise
            raise error from refusal
    _count_capacity(operation, answer.document)
    return answer.document


@cache
def _open_searches() -> DynamoDB:
    """Return the client of searches, which have their own endpoint.

    Source: «Creating and searching vector indexes», Amazon DynamoDB Developer Guide.
    """
    return DynamoDB(settings.REGION, _ENDPOINT, "search-dynamodb")


def _send(operation: str, arguments: Mapping[str, Any]) -> Answer:
    invocation = current_deadline()
    attempt = invocation.shorten(ATTEMPT_SECONDS)
    try:
        # The timeout bounds each wait on the socket; the signal bounds a response that arrives byte by byte.
        with attempt.enforce():
            database = _open_searches() if operation == "SearchVectors" else _database
            return database.call(operation, arguments, attempt.cut(ATTEMPT_SECONDS))
    except DeadlineExceeded as error:
        invocation.cut(ATTEMPT_SECONDS)
        raise _AnswerLost(f"no complete answer within {ATTEMPT_SECONDS} s") from error
    except OSError as error:
        raise _AnswerLost(f"{type(error).__name__}: {error}") from error


def _count_capacity(operation: str, answer: Mapping[str, Any]) -> None:
    consumed = answer.get("ConsumedCapacity") or []
    tables = consumed if isinstance(consumed, list) else [consumed]
    units = sum(float(table.get("CapacityUnits") or 0) for table in tables)
    count_usage(Usage.READ_UNITS if operation in _READS else Usage.WRITE_UNITS, units)
    logger.debug("The table answered", operation=operation, capacity_units=units)


def _translate(error: DynamoDBError, operation: str) -> Exception:
    """Return the error that callers of this module handle, or `error` itself if it is unexpected."""
    if operation == "SearchVectors" and error.code == "ValidationException":
        # An index that is new («Troubleshooting vector indexes», Amazon DynamoDB Developer Guide).
        return RetryableError(str(error))
    match classify(error):
        case Handling.THROTTLED:
            return _Throttled(str(error))
        case Handling.LOST:
            return _AnswerLost(str(error))
        case Handling.CONFLICT:
            return _Conflict(str(error))
        case Handling.IN_PROGRESS:
            return RetryableError(str(error), retry_after=_PAUSE_SECONDS)
        case Handling.EXPIRED:
            return TableUnavailable()
        case Handling.CONDITION:
            return _condition_failed(error.document)
        case Handling.TOO_LARGE:
            return ItemTooLarge()
        case Handling.UNEXPECTED:
            return error


def _condition_failed(document: Mapping[str, Any]) -> ConditionFailed:
    """Return the failure with the item that the error shows: its own, or that of the first failed condition."""
    reasons = [reason for reason in document.get("CancellationReasons") or () if reason.get("Code") == _FAILED]
    found = (reasons or [document])[0].get("Item")
    return ConditionFailed(_decode_item(found) if found else None)


def _encode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _encode(value) for name, value in item.items()}


def _encode(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, Vector):
        return {"L": _encode_vector(value)}
    if isinstance(value, int | Decimal):
        return {"N": _encode_number(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, Mapping):
        return {"M": _encode_item(value)}
    if isinstance(value, Sequence):
        return {"L": [_encode(entry) for entry in value]}
    raise TypeError(f"{type(value).__name__} cannot be stored in DynamoDB")


def _encode_vector(vector: Sequence[float]) -> list[dict[str, str]]:
    # A vector index keeps 32 bits of each number, which is seven digits.
    return [{"N": f"{number:.7g}"} for number in vector]


def _encode_number(value: int | Decimal) -> str:
    try:
        return str(_NUMBERS.create_decimal(value))
    except ArithmeticError as error:
        raise NumberNotStorable("DynamoDB stores numbers of up to 38 digits, from 1E-130 to 9.9E+125") from error


def _decode_item(item: Mapping[str, Any]) -> Item:
    # Most attributes are strings, which need no look at their kind.
    return {name: value["S"] if "S" in value else _decode(value) for name, value in item.items()}


def _decode(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return Decimal(content) if set(content) - set("-0123456789") else int(content)
        case "NULL":
            return None
        case "M":
            return _decode_item(content)
        case "L":
            return [_decode(entry) for entry in content]
        case _:
            return content
