"""Tokens that a caller may use in a day, counted in the table.

Before an answer, the most that it can use is reserved. Afterwards, the rest is given back. So callers never exceed
their quota, however many requests they send at a time; an answer that is cut off counts as what was reserved. The count
of a day (UTC) is an item in the caller's partition, and expires.
"""

import math
import random
import time
from dataclasses import dataclass

from serverless_api import Caller, TableUnavailable, TooManyRequests
from serverless_api.http.collection import make_version
from serverless_api.storage import table

PREFIX = "quota#"
KEPT_SECONDS = 2 * 86_400
_DAY_SECONDS = 86_400
_ATTEMPTS = 40
_LONGEST_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that are counted already."""

    caller: Caller
    sort_key: str
    tokens: int

    def settle(self, used: int) -> None:
        """Count the tokens that were used, instead of those that were reserved.

        If the user was erased meanwhile, there is nothing to count.

        Raises:
            TableUnavailable: the reservation stays counted.
        """
        if used != self.tokens:
            _add(self.caller, self.sort_key, used - self.tokens, most=None)


def reserve(caller: Caller, tokens: int, most: int) -> Reservation:
    """Count tokens before they are used.

    Args:
        caller: the user.
        tokens: the most tokens that an answer can use.
        most: how many the caller may use in a day.

    Raises:
        TooManyRequests: there are not as many left today.
        TableUnavailable: the table is throttled, down or out of time.
    """
    sort_key = PREFIX + time.strftime("%Y-%m-%d", time.gmtime())
    _add(caller, sort_key, tokens, most)
    return Reservation(caller, sort_key, tokens)


def _add(caller: Caller, sort_key: str, tokens: int, most: int | None) -> None:
    """Add to the count of a day, unless that exceeds the quota. Without a quota, only a count that exists changes."""
    key = {"pk": caller.partition, "sk": sort_key}
    item = table.get_item(key)
    for _ in range(_ATTEMPTS):
        if most is None and item is None:
            return
        count = max(int(item["tokens"]) if item else 0, 0) + tokens
        if most is not None and count > most:
            raise TooManyRequests("The tokens for answers of today are used up", _seconds_until_tomorrow())
        changes: table.Item = {"tokens": max(count, 0), "revision": make_version()}
        if most is not None:
            changes |= {"expiresAt": int(time.time()) + KEPT_SECONDS, "writer": caller.origin.to_attribute()}
        condition = "#revision = :revision" if item else "attribute_not_exists(#pk)"
        values = {":revision": item["revision"]} if item else None
        try:
            table.update_item(key, changes, [], condition, values)
        except table.ConditionFailed as failure:
            # Another request of the caller has counted in between.
            item = failure.item
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
        else:
            return
    raise TableUnavailable


def _seconds_until_tomorrow() -> int:
    return math.ceil(_DAY_SECONDS - time.time() % _DAY_SECONDS)
