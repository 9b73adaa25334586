"""Load profiles: the mix of requests, their rate and duration."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.benchmarks.machine import BenchmarkError

OPERATIONS = {
    "list": "GET /api/v1/resources",
    "get": "GET /api/v1/resources/{id}",
    "create": "POST /api/v1/resources",
    "update": "PUT /api/v1/resources/{id}",
    "patch": "PATCH /api/v1/resources/{id}",
    "delete": "DELETE /api/v1/resources/{id}",
}
"""Routes by the names that a profile uses."""
OTHERS = "others"
"""Name in a profile of the other routes that only read and have no path parameter, one after the other."""
_MIXED = (*OPERATIONS, OTHERS)
MOST_USERS = 2000


class ProfileError(BenchmarkError):
    """A profile is invalid; the message names the file and the key."""


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
        seconds: duration.
        rate: requests per second; None if users send requests back to back.
        users: number of concurrent users.
    """

    seconds: float
    rate: float | None
    users: int

    def describe(self) -> str:
        return f"{self.rate:g} requests/s" if self.rate else f"{self.users} users"


@dataclass(frozen=True)
class Profile:
    """A run's load and limits.

    Attributes:
        name: name of its file.
        title: title in a report.
        mix: relative frequency of each of `OPERATIONS`, and of `OTHERS` together.
        stages: the stages in order.
        resources: number of resources at the start.
        allowed_errors: share of requests that may fail, from 0 to 1.
        allowed_growth: MB a minute that a local process may grow; None for no limit.
    """

    name: str
    title: str
    mix: Mapping[str, int]
    stages: tuple[Stage, ...]
    resources: int
    allowed_errors: float
    allowed_growth: float | None

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)


def load_profile(file: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: the file is missing, not TOML, or has an invalid key.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(
            f"{file} cannot be read ({error.strerror}); see the profiles in tools/benchmarks/load/profiles/."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{file} is no TOML: {error}.") from error
    try:
        return _read_profile(file.stem, content)
    except ValueError as error:
        raise ProfileError(f"{file} is no load profile: {error}.") from error


def _read_profile(name: str, content: Mapping[str, object]) -> Profile:
    _refuse_unknown(content, ("title", "allowed_errors", "allowed_growth", "resources", "mix", "stages"), "")
    stages = content.get("stages")
    if not isinstance(stages, list) or not stages:
        raise ValueError("it needs at least one [[stages]]")
    title = content.get("title", name)
    if not isinstance(title, str):
        raise ValueError(f"title is {title!r}; it must be text")
    return Profile(
        name=name,
        title=title,
        mix=_read_mix(content.get("mix")),
        stages=tuple(_read_stage(f"stages[{number}]", stage) for number, stage in enumerate(stages)),
        resources=int(_read_number("resources", content.get("resources", 50), 1, 10_000, whole=True)),
        allowed_errors=_read_number("allowed_errors", content.get("allowed_errors", 0), 0, 1),
        allowed_growth=(
            _read_number("allowed_growth", content["allowed_growth"], 0, 1000) if "allowed_growth" in content else None
        ),
    )


def _read_mix(content: object) -> Mapping[str, int]:
    if not isinstance(content, dict):
        raise ValueError(f"it needs a [mix] of {', '.join(_MIXED)}")
    _refuse_unknown(content, _MIXED, "mix.")
    mix = {name: int(_read_number(f"mix.{name}", entry, 0, 1000, whole=True)) for name, entry in content.items()}
    if not any(mix.values()):
        raise ValueError("mix has no request that comes more often than never")
    if mix.get("delete", 0) > mix.get("create", 0):
        raise ValueError("mix.delete is more than mix.create, so that nothing would be left to delete")
    return mix


def _read_stage(key: str, content: object) -> Stage:
    if not isinstance(content, dict):
        raise ValueError(f"{key} is no table")
    _refuse_unknown(content, ("seconds", "rate", "users"), f"{key}.")
    if ("rate" in content) == ("users" in content):
        raise ValueError(f"{key} needs either a rate or users")
    seconds = _read_number(f"{key}.seconds", content.get("seconds"), 1, 7 * 24 * 3600)
    if "users" in content:
        return Stage(seconds, None, int(_read_number(f"{key}.users", content["users"], 1, MOST_USERS, whole=True)))
    rate = _read_number(f"{key}.rate", content["rate"], 0.1, MOST_USERS)
    # One request per second each: a user keeps up if a request takes less than a second.
    return Stage(seconds, rate, max(1, round(rate)))


def _read_number(key: str, value: object, least: float, most: float, *, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:  # type: ignore[operator]
        kind = "a whole number" if whole else "a number"
        found = "missing" if value is None else repr(value)
        raise ValueError(f"{key} is {found}; it must be {kind} from {least:g} to {most:g}")
    return float(value)  # type: ignore[arg-type]


def _refuse_unknown(content: Mapping[str, object], known: Iterable[str], prefix: str) -> None:
    if unknown := sorted(content.keys() - set(known)):
        raise ValueError(f"{prefix}{unknown[0]} is not known; there are {', '.join(prefix + name for name in known)}")
