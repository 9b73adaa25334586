"""Tokens that a caller may use in a day, counted in the table.

Before an answer, the most that it can use is reserved. Afterwards, what it has used is counted instead. So callers
never exceed their quota, however many requests they send at a time; an answer that is cut off stays reserved.

The count of a user and day (UTC) is an item that expires. It is in no user's partition, and its key is a pseudonym of
both, so an erasure does not begin the day's quota anew, and the item says nothing of whose it is.
"""

import math
import random
import time
from dataclasses import dataclass

from serverless_api import Caller, TableUnavailable, TooManyRequests
from serverless_api.http.collection import make_version
from serverless_api.storage import table
from serverless_api.telemetry.pseudonyms import pseudonymize

PREFIX = "quota#"
_DAY_SECONDS = 86_400
KEPT_SECONDS = 2 * _DAY_SECONDS
RESERVED_SECONDS = 60
"""How long an answer can take. What is reserved for longer belongs to one that was cut off."""
BUSY_SECONDS = 5
"""When to ask again if other answers have reserved what is left."""
_NOTHING: table.Item = {"used": 0, "reserved": 0, "reservedUntil": 0}
_ATTEMPTS = 40
_LONGEST_PAUSE = 0.2


class Quota:
    """The tokens of a caller and the current day, as last read or written.

    Args:
        caller: the user.
        most: how many tokens the caller may use in a day.

    Raises:
        TableUnavailable: the table is throttled, down or out of time.
    """

    def __init__(self, caller: Caller, most: int) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        self._key = {"pk": PREFIX + pseudonymize(f"{day} {caller.subject}"), "sk": "tokens"}
        self._most = most
        self._item = table.get_item(self._key)

    def check(self, tokens: int) -> None:
        """Check that so many tokens are left.

        Raises:
            TooManyRequests: they are not.
        """
        count = self._item or _NOTHING
        if count["used"] + count["reserved"] + tokens <= self._most:
            return
        if count["used"] + tokens <= self._most and time.time() < count["reservedUntil"]:
            raise TooManyRequests("Too many answers are being made at once", BUSY_SECONDS)
        raise TooManyRequests("The tokens for answers of today are used up", _seconds_until_tomorrow())

    def reserve(self, tokens: int) -> "Reservation":
        """Count tokens before they are used.

        Args:
            tokens: the most tokens that an answer can use.

        Raises:
            TooManyRequests: there are not as many left today.
            TableUnavailable: the table is throttled, down or out of time.
        """
        self.add(reserved=tokens)
        return Reservation(self, tokens)

    def add(self, *, reserved: int, used: int = 0) -> None:
        """Add to both counts. Only what reserves tokens is checked against the quota."""
        for _ in range(_ATTEMPTS):
            if reserved > 0:
                self.check(reserved)
            now = int(time.time())
            count = self._item or _NOTHING
            changes: table.Item = {
                "used": count["used"] + used,
                "reserved": count["reserved"] + reserved,
                "reservedUntil": now + RESERVED_SECONDS if reserved > 0 else count["reservedUntil"],
                "expiresAt": now + KEPT_SECONDS,
                "revision": make_version(),
            }
            condition = "#revision = :revision" if self._item else "attribute_not_exists(#pk)"
            values = {":revision": self._item["revision"]} if self._item else None
            try:
                self._item = table.update_item(self._key, changes, [], condition, values)
            except table.ConditionFailed as failure:
                # Another request of the caller has counted in between.
                self._item = failure.item
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
            else:
                return
        raise TableUnavailable


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that are counted already."""

    quota: Quota
    tokens: int

    def settle(self, used: int) -> None:
        """Count the tokens that were used, instead of those that were reserved.

        Raises:
            TableUnavailable: the reservation stays counted.
        """
        self.quota.add(reserved=-self.tokens, used=used)


def _seconds_until_tomorrow() -> int:
    return math.ceil(_DAY_SECONDS - time.time() % _DAY_SECONDS)
