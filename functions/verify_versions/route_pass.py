"""One pass over an API's routes with their event fixtures: creates, changes, reads, deletes, and leaves nothing behind.

Knows no noun: it takes routes, requests and parameters from the fixtures. The caller sends the requests, over HTTP
(`python -m tools.smoke`) or as events to versions of functions (`verification`).

POST requests go first, then PUT, PATCH and reads, and DELETE requests last, even if others have failed. The `Location`
header of a POST's response, or else the `id` in its body, fills the paths of the requests after it.

Nothing is created that no route can delete. A request that would create it is sent with a body that is not JSON and
must get 400, and a request about it carries the fixture's own ID and must get 404.
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
"""An HTTP API's event in payload format 2.0."""

_FIRST_METHODS = ("POST", "PUT", "PATCH")
_NOT_JSON = "{"
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Check:
    """A route and a valid request to it.

    Attributes:
        event: the route's fixture; `routeKey` names the route.
        status: expected if the request succeeds; None accepts any 2xx.
    """

    event: Event
    status: int | None = None

    @property
    def route(self) -> str:
        """The route, such as `GET /things/{id}`."""
        return str(self.event["routeKey"])

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.partition(" ")[0]

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments of the path, parameters in braces."""
        return tuple(self.route.partition(" ")[2].strip("/").split("/"))

    @property
    def parameters(self) -> list[tuple[str, ...]]:
        """The path up to and including each of its parameters."""
        return [self.segments[: index + 1] for index, name in enumerate(self.segments) if _is_parameter(name)]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response.

    Attributes:
        status: status code.
        headers: by name, in lower case.
        body: text; empty if there is none.
    """

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a pass and its outcome.

    Attributes:
        route: such as `GET /things/{id}`.
        seconds: until the response.
        status: of the response; None if there was none.
        problem: what went wrong, in a sentence; empty if nothing did.
    """

    route: str
    seconds: float
    status: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class _Created:
    """Something that the pass created: its path's segments, and the values of the parameters in them."""

    segments: tuple[str, ...]
    values: Mapping[str, str]


class _NotSentError(Exception):
    """A request has nothing to be about: nothing was created, or its fixture names nothing."""


def find_success(document: Mapping[str, Any], route: str) -> int:
    """Return the status of a successful request in an OpenAPI document: the lowest that the operation describes.

    Raises:
        LookupError: the document does not have the route, or describes no response to it.

    >>> find_success({"paths": {"/things": {"post": {"responses": {"201": {}, "400": {}}}}}}, "POST /things")
    201
    """
    method, _, path = route.partition(" ")
    operation = (document.get("paths") or {}).get(path, {}).get(method.lower(), {})
    statuses = [int(status) for status in operation.get("responses", {}) if str(status).isdecimal()]
    if not statuses:
        raise LookupError(f"The API's document describes no response to {route}.")
    return min(statuses)


def select_checks(checks: Iterable[Check], tried: Check) -> list[Check]:
    """Return the checks that a pass over one route needs: what creates its subject, the route itself, what deletes."""
    checks = list(checks)
    created = set(tried.parameters)
    if tried.method == "PUT":
        created.add(tried.segments)
    if tried.method == "POST":
        created |= {check.segments for check in checks if _creates(tried, check.segments)}
    return [
        check
        for check in checks
        if check.route == tried.route
        or (check.method == "DELETE" and check.segments in created)
        or any(_creates(check, place) for place in created)
    ]


def run_pass(
    checks: Iterable[Check], send: Callable[[Event], Answer], report: Callable[[Step], object] = lambda _: None
) -> list[Step]:
    """Send each check's request and compare the response with what is expected.

    Args:
        checks: one for each route.
        send: sends a request and returns the response; an exception becomes the step's problem.
        report: is called with each step when it is done.

    Returns:
        The steps in the order taken. If none has a problem, every route works and nothing is left behind.
    """
    return _Pass(checks, send, report).run()


class _Pass:
    def __init__(
        self, checks: Iterable[Check], send: Callable[[Event], Answer], report: Callable[[Step], object]
    ) -> None:
        self._checks = sorted(checks, key=lambda check: (_rank(check.method), len(check.segments)))
        self._send = send
        self._report = report
        self._deletable = {check.segments for check in self._checks if check.method == "DELETE"}
        self._steps: list[Step] = []
        self._created: list[_Created] = []
        self._absent: set[str] = set()

    def run(self) -> list[Step]:
        deletions = [check for check in reversed(self._checks) if check.method == "DELETE"]
        try:
            for check in self._checks:
                if check.method != "DELETE":
                    self._take(check, self._created)
        finally:
            # Children before their parents, and also if the pass is interrupted.
            for check in deletions:
                targets = [item for item in reversed(self._created) if item.segments == check.segments]
                for known in [[*self._created, item] for item in targets] or [self._created]:
                    self._take(check, known)
        return self._steps

    def _take(self, check: Check, known: Sequence[_Created]) -> None:
        started = time.perf_counter()
        status, problem = None, ""
        try:
            event = self._fill(check, known)
            answer = self._send(event)
        except Exception as error:
            problem = str(error) or type(error).__name__
        else:
            status = answer.status
            expected = self._find_expected(check)
            if not any(status in statuses for statuses in expected):
                wanted = " or ".join("2xx" if len(statuses) > 1 else str(statuses[0]) for statuses in expected)
                shown = answer.body[:_SHOWN_CHARACTERS]
                problem = f"{check.method} {event['rawPath']} answered {status} instead of {wanted}: {shown}"
            elif status == 404:
                self._absent.add(check.route)
            if check.method == "POST" and 200 <= status < 300:
                self._created.extend(self._find_created(check, answer, known))
        step = Step(check.route, time.perf_counter() - started, status, problem)
        self._steps.append(step)
        self._report(step)

    def _find_expected(self, check: Check) -> list[Sequence[int]]:
        """Return the statuses that a check may get."""
        if self._is_refused(check):
            return [[400]]
        if any(self._is_never_created(place) for place in check.parameters):
            return [[404]]
        success = [check.status] if check.status else range(200, 300)
        return [success, [404]] if self._may_be_absent(check) else [success]

    def _is_refused(self, check: Check) -> bool:
        """Whether a check would create something that no route deletes. An action without a body creates nothing."""
        if not check.event.get("body"):
            return False
        if check.method == "POST":
            return not any(_creates(check, place) for place in self._deletable)
        return check.method == "PUT" and not self._creators(check.segments) and check.segments not in self._deletable

    def _is_never_created(self, place: tuple[str, ...]) -> bool:
        """Whether no request that would create something can succeed."""
        creators = self._creators(place)
        return bool(creators) and all(self._is_refused(check) or check.route in self._absent for check in creators)

    def _may_be_absent(self, check: Check) -> bool:
        """Whether the pass cannot know if the subject of a check exists: no POST creates it, or only a refused PUT.

        The same goes for a route of which its fixture says that it is `optional`.
        """
        return (
            bool(check.event.get("optional"))
            or any(not self._creators(place) for place in check.parameters)
            or any(
                other.method == "PUT" and other.segments == check.segments and self._is_refused(other)
                for other in self._checks
            )
        )

    def _creators(self, place: tuple[str, ...]) -> list[Check]:
        return [check for check in self._checks if _creates(check, place)]

    def _fill(self, check: Check, known: Sequence[_Created]) -> Event:
        """Return the check's event, about what was created before it."""
        values = self._choose_values(check, known)
        segments = [quote(values[segment], safe="") if segment in values else segment for segment in check.segments]
        event = copy.deepcopy(dict(check.event))
        event["rawPath"] = event["requestContext"]["http"]["path"] = "/" + "/".join(segments)
        if values:
            event["pathParameters"] = {name.strip("{+}"): value for name, value in values.items()}
        if self._is_refused(check):
            event |= {"body": _NOT_JSON, "isBase64Encoded": False}
        # With the fixture's own key, a second pass would get the first one's response again.
        if "idempotency-key" in event["headers"]:
            event["headers"]["idempotency-key"] = str(uuid.uuid4())
        return event

    def _choose_values(self, check: Check, known: Sequence[_Created]) -> dict[str, str]:
        """Return the values of a check's path parameters: of what was created, or else the fixture's."""
        values: dict[str, str] = {}
        for place in check.parameters:
            made = next((item for item in reversed(known) if item.segments == place), None)
            if made:
                values |= made.values
            elif self._creators(place) and not self._is_never_created(place):
                raise _NotSentError(f"Not sent: POST /{'/'.join(place[:-1])} has created nothing.")
            else:
                values[place[-1]] = self._read_fixture(check, place[-1].strip("{+}"))
        return values

    @staticmethod
    def _read_fixture(check: Check, name: str) -> str:
        values = check.event.get("pathParameters") or {}
        if name not in values:
            raise _NotSentError(f"Not sent: its event fixture has no path parameter {name}.")
        return str(values[name])

    def _find_created(self, check: Check, answer: Answer, known: Sequence[_Created]) -> Iterable[_Created]:
        """Return what a POST has created by its response: one thing, or nothing."""
        places = {place for other in self._checks for place in other.parameters}
        location = urlsplit(answer.headers.get("location", "")).path.strip("/")
        if location:
            parts = tuple(unquote(part) for part in location.split("/"))
            for place in places:
                # The stage's name may precede the route's own path.
                pairs = list(zip(place, parts[-len(place) :], strict=False))
                if len(pairs) == len(place) and all(_is_parameter(name) or name == part for name, part in pairs):
                    return [_Created(place, {name: part for name, part in pairs if _is_parameter(name)})]
        try:
            identifier = json.loads(answer.body)["id"]
        except (ValueError, TypeError, KeyError):
            return []
        before = self._choose_values(check, known)
        return [_Created(place, before | {place[-1]: str(identifier)}) for place in places if _creates(check, place)]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _rank(method: str) -> int:
    return _FIRST_METHODS.index(method) if method in _FIRST_METHODS else len(_FIRST_METHODS)


def _creates(check: Check, place: tuple[str, ...]) -> bool:
    """Whether a check creates what is at a path: a POST to /things creates /things/{id}."""
    return check.method == "POST" and _is_parameter(place[-1]) and check.segments == place[:-1]
