"""One pass over every route of an API: each answers as its document says, and what was created is gone at the end.

It knows an API by the event fixtures of its routes and by the status of a request that is carried out, and none of its
nouns. How a request is sent is its caller's business: over HTTP (`python -m tools.smoke`), or as an event given to
a version of a function (`version_verification`). It stands for itself, so that both can have it.

What creates comes first, what changes and reads next, what deletes last. The `Location` of an answer to a POST, else
the `id` in its body, fills the path of every request after it. Deletions are sent whatever else has failed.
"""

import copy
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

type Event = Mapping[str, Any]
"""A request as HTTP APIs give it to functions, in payload format 2.0."""

_FIRST_METHODS = ("POST", "PUT", "PATCH")
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Check:
    """A route, by a request that it carries out.

    Attributes:
        event: the route's fixture; `routeKey` names the route.
        status: of the answer to it.
    """

    event: Event
    status: int

    @property
    def route(self) -> str:
        """The route, such as `GET /things/{id}`."""
        return str(self.event["routeKey"])

    @property
    def method(self) -> str:
        """The method of HTTP."""
        return self.route.partition(" ")[0]

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path, its parameters in braces."""
        return tuple(self.route.partition(" ")[2].strip("/").split("/"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: by their names in lower case.
        body: as text; empty where there is none.
    """

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a pass, and what became of it.

    Attributes:
        route: such as `GET /things/{id}`.
        seconds: until the answer.
        status: of the answer; None where there was none.
        problem: a sentence where it was not as it should be, else empty.
    """

    route: str
    seconds: float
    status: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class _Created:
    """Something that the pass has created: the path it is at, and what the path's parameters are there."""

    segments: tuple[str, ...]
    values: Mapping[str, str]


class _NotSentError(Exception):
    """What a request is about was not created."""


def find_success(document: Mapping[str, Any], route: str) -> int:
    """Return the status that an OpenAPI document gives a request that is carried out: the lowest it describes.

    Raises:
        LookupError: the document has no such route, or describes no answer of it.

    >>> find_success({"paths": {"/things": {"post": {"responses": {"201": {}, "400": {}}}}}}, "POST /things")
    201
    """
    method, _, path = route.partition(" ")
    operation = (document.get("paths") or {}).get(path, {}).get(method.lower(), {})
    statuses = [int(status) for status in operation.get("responses", {}) if str(status).isdecimal()]
    if not statuses:
        raise LookupError(f"The API's document describes no answer of {route}.")
    return min(statuses)


def run_pass(
    checks: Iterable[Check], send: Callable[[Event], Answer], report: Callable[[Step], object] = lambda _: None
) -> list[Step]:
    """Send the request of every check and compare what is answered.

    Args:
        checks: one for each route.
        send: sends a request and returns its answer; what it raises is the step's problem.
        report: is given each step when it is done.

    Returns:
        The steps in the order in which they were taken; where none has a problem, every route is as it should be and
        nothing is left behind.
    """
    checks = sorted(checks, key=lambda check: (_rank(check.method), len(check.segments)))
    deletions = [check for check in reversed(checks) if check.method == "DELETE"]
    steps: list[Step] = []
    created: list[_Created] = []

    def take(check: Check, known: Sequence[_Created]) -> None:
        step, answer = _take(check, checks, known, send)
        steps.append(step)
        report(step)
        if answer and check.method == "POST" and 200 <= answer.status < 300:
            created.extend(_find_created(check, checks, answer, known))

    try:
        for check in checks:
            if check.method != "DELETE":
                take(check, created)
    finally:
        # What lies below something is deleted before it, and what was interrupted is cleaned up as well.
        for check in deletions:
            targets = [[*created, item] for item in reversed(created) if item.segments == check.segments]
            for known in targets or [created]:
                take(check, known)
    return steps


def _rank(method: str) -> int:
    return _FIRST_METHODS.index(method) if method in _FIRST_METHODS else len(_FIRST_METHODS)


def _take(
    check: Check, checks: Sequence[Check], created: Sequence[_Created], send: Callable[[Event], Answer]
) -> tuple[Step, Answer | None]:
    started = time.perf_counter()
    try:
        event = _fill(check, checks, created)
        answer = send(event)
    except Exception as error:
        reason = str(error) or type(error).__name__
        return Step(check.route, time.perf_counter() - started, None, reason), None
    problem = ""
    if answer.status != check.status:
        body = answer.body[:_SHOWN_CHARACTERS]
        problem = f"{check.method} {event['rawPath']} answered {answer.status} instead of {check.status}: {body}"
    return Step(check.route, time.perf_counter() - started, answer.status, problem), answer


def _fill(check: Check, checks: Sequence[Check], created: Sequence[_Created]) -> Event:
    """Return the check's event, about what was created before it."""
    values = _choose_values(check, checks, created)
    segments = [quote(values[segment], safe="") if segment in values else segment for segment in check.segments]
    event = copy.deepcopy(dict(check.event))
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/" + "/".join(segments)
    if values:
        event["pathParameters"] = {name.strip("{+}"): value for name, value in values.items()}
    # With the fixture's own key a second pass would get the first one's answer again.
    if "idempotency-key" in event["headers"]:
        event["headers"]["idempotency-key"] = str(uuid.uuid4())
    return event


def _choose_values(check: Check, checks: Sequence[Check], created: Sequence[_Created]) -> dict[str, str]:
    """Return what the parameters of a check's path are: those of what was created, else those of the fixture."""
    values: dict[str, str] = {}
    for index, name in enumerate(check.segments):
        if not name.startswith("{"):
            continue
        place = check.segments[: index + 1]
        made = next((item for item in reversed(created) if item.segments == place), None)
        if made:
            values |= made.values
        elif any(other.method == "POST" and other.segments == place[:-1] for other in checks):
            raise _NotSentError(f"Not sent, since POST /{'/'.join(place[:-1])} has created nothing.")
        else:
            values[name] = str(check.event["pathParameters"][name.strip("{+}")])
    return values


def _find_created(
    check: Check, checks: Sequence[Check], answer: Answer, created: Sequence[_Created]
) -> Iterable[_Created]:
    """Return what an answer to a POST says to have created: nothing, or one thing."""
    location = urlsplit(answer.headers.get("location", "")).path.strip("/")
    if location:
        parts = tuple(unquote(part) for part in location.split("/"))
        for segments in {other.segments for other in checks if other.segments[-1].startswith("{")}:
            # A stage's name may stand in front of the route's own path.
            pairs = list(zip(segments, parts[-len(segments) :], strict=False))
            if len(pairs) == len(segments) and all(name.startswith("{") or name == part for name, part in pairs):
                return [_Created(segments, {name: part for name, part in pairs if name.startswith("{")})]
    try:
        identifier = json.loads(answer.body)["id"]
    except (ValueError, TypeError, KeyError):
        return []
    before = _choose_values(check, checks, created)
    return [
        _Created(segments, before | {segments[-1]: str(identifier)})
        for segments in {other.segments for other in checks}
        if segments[:-1] == check.segments and segments[-1].startswith("{")
    ]
