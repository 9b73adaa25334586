"""What to do about each error of DynamoDB. docs/decisions/dynamodb-errors.md has the table.

Source: «Error handling with DynamoDB», Amazon DynamoDB Developer Guide; «Common Errors» and the operations, Amazon
DynamoDB API Reference.
"""

from collections.abc import Collection
from enum import Enum, auto

from serverless_api.storage.dynamodb import DynamoDBError


class Handling(Enum):
    """What to do about an error."""

    THROTTLED = auto()
    """Repeat. The request was rejected before anything was done, because there are too many."""
    LOST = auto()
    """Repeat. The operation may have been performed."""
    CONFLICT = auto()
    """Repeat. The request was rejected because another write to the item was in progress."""
    IN_PROGRESS = auto()
    """Repeat after a pause. The earlier attempt of the same transaction is still in progress."""
    EXPIRED = auto()
    """Unavailable. There are no fresh credentials yet."""
    CONDITION = auto()
    """Tell the caller that the condition does not hold."""
    TOO_LARGE = auto()
    """Tell the caller that the item is too large."""
    UNEXPECTED = auto()
    """Fail. It takes a change of the code, the permissions or the table."""


_BY_CODE = {
    "ConditionalCheckFailedException": Handling.CONDITION,
    "ExpiredToken": Handling.EXPIRED,
    "ExpiredTokenException": Handling.EXPIRED,
    "InternalFailure": Handling.LOST,
    "InternalServerError": Handling.LOST,
    "LimitExceededException": Handling.THROTTLED,
    "ProvisionedThroughputExceededException": Handling.THROTTLED,
    "ReplicatedWriteConflictException": Handling.CONFLICT,
    "RequestAbortedException": Handling.LOST,
    "RequestEntityTooLargeException": Handling.TOO_LARGE,
    "RequestLimitExceeded": Handling.THROTTLED,
    "RequestTimeoutException": Handling.LOST,
    "ServiceUnavailable": Handling.LOST,
    "Throttling": Handling.THROTTLED,
    "ThrottlingException": Handling.THROTTLED,
    "TransactionConflictException": Handling.CONFLICT,
    "TransactionInProgressException": Handling.IN_PROGRESS,
}
_BY_STATUS = {408: Handling.LOST, 413: Handling.TOO_LARGE, 429: Handling.THROTTLED}

# The first that a cancelled transaction has among its reasons decides.
_BY_REASON = {
    "ConditionalCheckFailed": Handling.CONDITION,
    "ItemCollectionSizeLimitExceeded": Handling.UNEXPECTED,
    "TransactionConflict": Handling.CONFLICT,
    "ProvisionedThroughputExceeded": Handling.THROTTLED,
    "ThrottlingError": Handling.THROTTLED,
}


def classify(error: DynamoDBError) -> Handling:
    """Return what to do about an error."""
    if error.code == "ValidationException":
        return _classify_validation([error.message])
    if error.code == "TransactionCanceledException":
        reasons = error.document.get("CancellationReasons") or ()
        codes = {reason.get("Code") for reason in reasons}
        if "ValidationError" in codes and "ConditionalCheckFailed" not in codes:
            return _classify_validation([reason.get("Message") or "" for reason in reasons])
        return next((handling for code, handling in _BY_REASON.items() if code in codes), Handling.UNEXPECTED)
    status = error.response.status
    if handling := _BY_CODE.get(error.code) or _BY_STATUS.get(status):
        return handling
    return Handling.LOST if status >= 500 else Handling.UNEXPECTED


def _classify_validation(messages: Collection[str]) -> Handling:
    # DynamoDB has no error code for an item over 400 KB; only the message distinguishes it.
    is_size = any("exceeded the maximum allowed size" in message for message in messages)
    return Handling.TOO_LARGE if is_size else Handling.UNEXPECTED
