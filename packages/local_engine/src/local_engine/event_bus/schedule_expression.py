"""Schedule expressions of rules and of EventBridge Scheduler: `rate(…)`, `cron(…)` and `at(…)`.

Sources: "Creating a rule that runs on a schedule" (Amazon EventBridge User Guide) and "Schedule types in EventBridge
Scheduler" (EventBridge Scheduler User Guide).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

type FindNext = Callable[[datetime], datetime | None]
"""Returns the first time after a moment, or None if there is none. Both are in UTC."""

_EXPRESSION = re.compile(r"(rate|cron|at)\((.*)\)")
_RATE = re.compile(r"([1-9]\d*) (minute|hour|day)(s?)")
_LOCAL_TIME = "%Y-%m-%dT%H:%M:%S"


class InvalidSchedule(ValueError):
    """An expression is malformed. The message is a sentence."""


@lru_cache(maxsize=256)
def parse_schedule(expression: str, zone: str = "UTC") -> FindNext:
    """Return a function that finds the next time of a cron or at expression.

    Raises:
        InvalidSchedule: the expression or the time zone is malformed, or it is a rate.
    """
    kind, argument = _split(expression)
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(f"{zone!r} is not a time zone.") from error
    if kind == "at":
        try:
            moment = _from_wall(datetime.strptime(argument, _LOCAL_TIME).replace(tzinfo=UTC), place)
        except (ValueError, OverflowError) as error:
            raise InvalidSchedule(f"{expression} must be at(yyyy-mm-ddThh:mm:ss).") from error
        return lambda after: moment if moment is not None and moment > after else None
    if kind == "cron":
        return _parse_cron(expression, argument, place)
    raise InvalidSchedule(f"{expression} is a rate.")


def parse_rate(expression: str) -> timedelta | None:
    """Return the interval of a rate expression, or None for another expression.

    Raises:
        InvalidSchedule: it is malformed.
    """
    kind, argument = _split(expression)
    if kind != "rate":
        return None
    match = _RATE.fullmatch(argument)
    if match is None:
        raise InvalidSchedule(f"{expression} must be rate(value unit), such as rate(5 minutes).")
    return timedelta(**{f"{match[2]}s": int(match[1])})


def is_one_time(expression: str) -> bool:
    """Return whether an expression gives one time only."""
    return expression.startswith("at(")


def _split(expression: str) -> tuple[str, str]:
    match = _EXPRESSION.fullmatch(expression.strip())
    if match is None:
        raise InvalidSchedule(f"{expression!r} is not rate(…), cron(…) or at(…).")
    return match[1], match[2].strip()


def _parse_cron(expression: str, argument: str, place: ZoneInfo) -> FindNext:
    # Most stacks have no cron expression.
    from aws_croniter import AwsCroniter  # noqa: PLC0415

    fields = argument.upper().split()
    if fields[4:5] == ["L"]:
        # The week's last day, which the library takes for none.
        fields[4] = "SAT"
    try:
        cron = AwsCroniter(" ".join(fields))
    except Exception as error:
        raise InvalidSchedule(f"{expression} is not valid: {error}") from error

    def find_next(after: datetime) -> datetime | None:
        # The library knows UTC only, so it gets the time on the wall.
        wall: datetime | None = after.astimezone(place).replace(tzinfo=UTC)
        while wall is not None:
            wall = cron.occurrence(wall).next()
            # A time that summer time skips does not exist; one that comes twice counts once.
            moment = wall and _from_wall(wall, place)
            if moment is not None and moment > after:
                return moment
        return None

    return find_next


def _from_wall(wall: datetime, place: ZoneInfo) -> datetime | None:
    """Return the moment at which clocks of a time zone first show a time, or None if they never do."""
    moment = wall.replace(tzinfo=place).astimezone(UTC)
    return moment if moment.astimezone(place).replace(tzinfo=UTC) == wall else None
