"""`python -m tools.smoke`: sends requests to every route of a running API, with and without a token."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from functions.verify_versions.route_pass import Answer, Check, Event, Step, find_success, run_pass
from local_engine.template import TemplateError, load_template
from tools.arguments import add_target, find_target
from tools.command_parser import CommandParser
from tools.profiles import ROOT, OperationError
from tools.targets import Target, is_local

# The gateway answers within 30 seconds.
_ANSWER_SECONDS = 35
_METHODS = {"get", "post", "put", "patch", "delete", "head"}
# Headers of the fixture that describe how another request travelled.
_TRAVEL_HEADERS = {"content-length", "host", "user-agent"}


def read_checks(template: Path = ROOT / "template.yaml") -> list[Check]:
    """Return a check for every route of the template's main API, with its fixture and the status of its success.

    APIs of nested applications have addresses, and some have callers, of their own.

    Raises:
        OperationError: the template cannot be read, or a route has no fixture or no documented success.
    """
    try:
        documents = [api.document for api in load_template(template, {}).apis if "/" not in api.logical_id]
    except TemplateError as error:
        raise OperationError(str(error)) from error
    events = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((template.parent / "events").glob("*.json"))
    ]
    fixtures = {event["routeKey"]: event for event in events if "routeKey" in event}
    checks = []
    for document in documents:
        for path, operations in document["paths"].items():
            # A path may also have parameters that its methods share.
            for method in (name for name in operations if name in _METHODS):
                route = f"{method.upper()} {path}"
                if route not in fixtures:
                    raise OperationError(f"{route} has no event fixture; add one to the events folder.")
                try:
                    success = find_success(document, route)
                except LookupError as error:
                    raise OperationError(f"The API's document describes no successful response to {route}.") from error
                checks.append(Check(fixtures[route], success))
    return checks


def run_smoke_test(target: Target, checks: Sequence[Check], show: Callable[[str], None] = print) -> list[str]:
    """Get a token, check that each route rejects requests without it, and run a pass over the routes with it.

    Args:
        target: the API.
        checks: one for each of its routes.
        show: is called with a line for each step.

    Returns:
        A sentence for each step that failed.

    Raises:
        OperationError: the issuer gives no token.
    """
    problems: list[str] = []

    def report(step: Step) -> None:
        show(_describe(step.route, step.status, step.seconds) + ("  failed" if step.problem else ""))
        if step.problem:
            problems.append(f"{step.route}: {step.problem}")

    started = time.perf_counter()
    token = target.client.get_token()
    show(_describe("Token by client credentials", None, time.perf_counter() - started))
    with httpx.Client(base_url=target.url, timeout=_ANSWER_SECONDS, trust_env=not is_local(target.url)) as session:
        show("Without a token:")
        for check in checks:
            report(_try_without_token(session, check))
        show("With a token:")
        session.headers["Authorization"] = f"Bearer {token}"
        run_pass(checks, lambda event: _send(session, event), report)
    return problems


def _describe(step: str, status: int | None, seconds: float) -> str:
    return f"  {step:<44} {status or '':>3} {seconds * 1000:>7.0f} ms"


def _try_without_token(session: httpx.Client, check: Check) -> Step:
    started = time.perf_counter()
    try:
        status = _send(session, check.event).status
    except httpx.HTTPError as error:
        return Step(check.route, time.perf_counter() - started, None, f"{type(error).__name__}: {error}")
    problem = "" if status == 401 else f"Answered {status} instead of 401 to a request without a token."
    return Step(check.route, time.perf_counter() - started, status, problem)


def find_path(event: Event) -> str:
    """Return the path of the request that an event describes, with the query string."""
    query = event.get("rawQueryString", "")
    return str(event["rawPath"]) + (f"?{query}" if query else "")


def _send(session: httpx.Client, event: Event) -> Answer:
    """Send the request that an event describes."""
    headers = {
        name: value
        for name, value in event["headers"].items()
        if name not in _TRAVEL_HEADERS and not name.startswith("x-forwarded-")
    }
    response = session.request(
        event["requestContext"]["http"]["method"], find_path(event), headers=headers, content=event.get("body")
    )
    return Answer(response.status_code, dict(response.headers), response.text)


def main(arguments: Sequence[str]) -> int:
    """Run the smoke test and return the exit status: 1 if a step failed, 2 if it could not start."""
    parser = CommandParser(
        prog="make smoke", usage="make smoke URL=http://127.0.0.1:3000 | STAGE=dev | STACK=name", allow_abbrev=False
    )
    add_target(parser)
    options = parser.parse_args(arguments)
    try:
        target = find_target(options)
        checks = read_checks()
        print(f"Smoke test of {target.url}", flush=True)
        problems = run_smoke_test(target, checks, lambda line: print(line, flush=True))
    except OperationError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    print("Failed." if problems else "Every route works.", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
