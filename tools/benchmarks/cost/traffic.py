"""Traffic profiles: requests by hour and route, their sizes, and the share of bad ones."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.benchmarks.machine import BenchmarkError

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
WEEKEND = frozenset({"SAT", "SUN"})
HOURS_OF_A_MONTH = 730
"""A twelfth of 365 days, as in the AWS Pricing Calculator."""


@dataclass(frozen=True)
class RouteTraffic:
    """The traffic of one route.

    Attributes:
        weekday: requests in each of the 24 hours of a working day.
        weekend: requests in each of the 24 hours of a Saturday or Sunday.
        request_bytes: size of a request with headers.
        response_bytes: size of a response with headers.
        items: items on a list's page; 0 for other routes.
        not_modified: share of requests answered with 304 and no body.
        invalid: share of requests that the function rejects with 400 before it calls the table.
        idempotent: share of requests with an `Idempotency-Key`.
    """

    weekday: tuple[float, ...]
    weekend: tuple[float, ...]
    request_bytes: int
    response_bytes: int
    items: int = 0
    not_modified: float = 0
    invalid: float = 0
    idempotent: float = 0

    def count_requests(self, day: str, hour: int) -> float:
        """Return the requests in an hour of one of `DAYS`."""
        return (self.weekend if day in WEEKEND else self.weekday)[hour]

    def count_month(self) -> float:
        """Return the requests of a month."""
        return sum(self.count_requests(day, hour) for day in DAYS for hour in range(24)) * HOURS_OF_A_MONTH / 168


@dataclass(frozen=True)
class Profile:
    """A month's traffic.

    Attributes:
        name: name of its file.
        title: title in a report.
        routes: requests that reach a function, by `METHOD path`.
        unauthorized: share of all requests that the gateway rejects with 401 or 403.
        throttled: share of all requests that the gateway rejects with 429.
        burst: the factor by which an hour's busiest moments exceed its average.
        stored_items: items in the table.
        item_bytes: size of an item.
        users: users who sign in within a month.
        machine_hours: hours of a month in which machine clients run, summed over their processes.
    """

    name: str
    title: str
    routes: Mapping[str, RouteTraffic]
    unauthorized: float
    throttled: float
    burst: float
    stored_items: float
    item_bytes: int
    users: int
    machine_hours: float

    def count_served(self) -> float:
        """Return a month's requests that reach a function."""
        return sum(route.count_month() for route in self.routes.values())

    def count_refused(self) -> float:
        """Return a month's requests that the gateway rejects."""
        refused = self.unauthorized + self.throttled
        return self.count_served() * refused / (1 - refused)


def load_profile(file: Path) -> Profile:
    """Read a profile.

    Raises:
        BenchmarkError: the file is missing or invalid.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        return _read_profile(file.stem, content)
    except FileNotFoundError as error:
        raise BenchmarkError(f"There is no profile {file}; see tools/benchmarks/traffic/.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{file} is not a traffic profile: {type(error).__name__} {error}.") from error


def scale_profile(profile: Profile, factor: float) -> Profile:
    """Return a profile with more or less of the same traffic."""

    routes = {name: scale_route(route, factor) for name, route in profile.routes.items()}
    return Profile(**{**vars(profile), "routes": routes})


def scale_route(route: RouteTraffic, factor: float, **changes: float) -> RouteTraffic:
    """Return a route with more or less of the same traffic, and other values of its attributes."""
    days = {day: tuple(requests * factor for requests in getattr(route, day)) for day in ("weekday", "weekend")}
    return RouteTraffic(**{**vars(route), **days, **changes})


def _read_profile(name: str, content: Mapping[str, object]) -> Profile:
    match content:
        case {"routes": {**routes}, "requests": {**requests}, **rest}:
            days = {day: _read_hours(requests[day]) for day in ("weekday", "weekend")}
            read = {str(route): _read_route(entry, days) for route, entry in routes.items()}
            profile = Profile(name=name, routes=read, **rest)  # type: ignore[arg-type]
        case _:
            raise ValueError("it needs [requests] and [routes]")
    shares = [share for entry in read.values() for share in (entry.not_modified, entry.invalid, entry.idempotent)]
    shares += [profile.unauthorized, profile.throttled]
    if not all(0 <= share <= 1 for share in shares) or profile.unauthorized + profile.throttled >= 1:
        raise ValueError("a share is a number from 0 to 1")
    return profile


def _read_route(content: object, days: Mapping[str, tuple[float, ...]]) -> RouteTraffic:
    """Read a route, which has a share of all requests or its own hours."""
    if not isinstance(content, dict):
        raise TypeError("a route is a table")
    settings = dict(content)
    share = settings.pop("share", None)
    hours = {
        day: _read_hours(settings.pop(day)) if share is None else tuple(entry * float(str(share)) for entry in shape)
        for day, shape in days.items()
    }
    return RouteTraffic(**hours, **settings)  # type: ignore[arg-type]


def _read_hours(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 24:
        raise ValueError("a day has 24 hours")
    return tuple(float(requests) for requests in value)
