"""The pass over the routes of an API with other nouns: what it sends, in what order, and what it leaves behind."""

import itertools
import json
from urllib.parse import quote, unquote

import pytest

from functions.verify_versions.route_pass import Answer, Check, find_success, run_pass, select_checks


class Shops:
    """An API of shops and the items in them; a shop goes only when it is empty."""

    def __init__(self, *, broken=(), names_by="location"):
        self.items = {}
        self.requests = []
        self._numbers = itertools.count(1)
        self._broken = broken
        self._names_by = names_by

    def send(self, event):
        method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        self.requests.append((event["routeKey"], path, event["headers"].get("idempotency-key")))
        if event["routeKey"] in self._broken:
            return Answer(500, {}, "broken")
        return self._answer(method, unquote(path), event)

    def _answer(self, method, found, event):
        if event["body"] == "{":
            return Answer(400, {}, "not JSON")
        if found.rpartition("/items")[0] not in ("", *self.items):
            return Answer(404, {}, "")
        if method == "POST" and found.endswith("/open"):
            return Answer(200, {}, "{}")
        if method == "POST":
            new = f"{found}/{next(self._numbers)} a"
            self.items[new] = event["body"]
            if self._names_by == "location":
                return Answer(201, {"location": f"https://shops.example.com/prod{quote(new)}"}, "")
            return Answer(201, {}, json.dumps({"id": new.rpartition("/")[2]}))
        if method == "GET" and found.endswith(("s", "/count", "/newest")):
            return Answer(200, {}, "[]")
        if found not in self.items:
            return Answer(404, {}, "")
        if method == "DELETE":
            if any(other.startswith(f"{found}/") for other in self.items):
                return Answer(409, {}, "not empty")
            del self.items[found]
        return Answer(204 if method == "DELETE" else 200, {}, "")


ROUTES = {
    "DELETE /shops/{shop}": 204,
    "DELETE /shops/{shop}/items/{item}": 204,
    "GET /shops": 200,
    "GET /shops/{shop}": 200,
    "GET /shops/{shop}/items": 200,
    "PUT /shops/{shop}/items/{item}": 200,
    "POST /shops/{shop}/items": 201,
    "POST /shops": 201,
}


def make_checks(routes=ROUTES):
    def make_event(route):
        method, path = route.split()
        return {
            "routeKey": route,
            "rawPath": path,
            "headers": {"idempotency-key": "fixture"} if method == "POST" else {},
            "requestContext": {"http": {"method": method, "path": path}},
            "pathParameters": {"shop": "of-the-fixture", "item": "of-the-fixture", "owner": "of-the-fixture"},
            "body": "{}" if method in ("POST", "PUT") and not path.endswith("/open") else None,
        }

    return [Check(make_event(route), status) for route, status in routes.items()]


@pytest.mark.parametrize("names_by", ["location", "id"])
def test_every_route_is_asked_about_what_was_created_and_nothing_stays(names_by):
    shops, reported = Shops(names_by=names_by), []
    steps = run_pass(make_checks(), shops.send, reported.append)
    assert not [step.problem for step in steps if step.problem]
    assert reported == steps
    assert {step.route: step.status for step in steps} == ROUTES
    assert shops.items == {}
    assert [route for route, _, _ in shops.requests] == [
        "POST /shops",
        "POST /shops/{shop}/items",
        "PUT /shops/{shop}/items/{item}",
        "GET /shops",
        "GET /shops/{shop}",
        "GET /shops/{shop}/items",
        "DELETE /shops/{shop}/items/{item}",
        "DELETE /shops/{shop}",
    ]
    assert shops.requests[2][1] == "/shops/1%20a/items/2%20a"


def test_each_pass_has_idempotency_keys_of_its_own():
    shops, checks = Shops(), make_checks()
    for _ in range(2):
        run_pass(checks, shops.send)
    keys = [key for _, _, key in shops.requests if key]
    assert len(set(keys)) == len(keys) == 4
    assert checks == make_checks(), "the fixtures are as they were"


@pytest.mark.parametrize("broken", [route for route in ROUTES if not route.startswith("DELETE")])
def test_what_was_created_goes_though_a_route_is_broken(broken):
    shops = Shops(broken=[broken])
    steps = run_pass(make_checks(), shops.send)
    problems = {step.route: step.problem for step in steps if step.problem}
    assert "answered 500 instead of" in problems[broken]
    assert "broken" in problems[broken]
    assert shops.items == {}
    # Only what needed the thing that was not created fails with it.
    assert all("has created nothing" in problem for route, problem in problems.items() if route != broken)


def test_what_cannot_be_deleted_is_said():
    shops = Shops(broken=["DELETE /shops/{shop}"])
    steps = run_pass(make_checks(), shops.send)
    assert [step.problem for step in steps if step.problem] == [
        "DELETE /shops/1%20a answered 500 instead of 204: broken"
    ]


def test_no_answer_is_a_problem_and_stops_nothing():
    shops = Shops()

    def send(event):
        if event["routeKey"] == "GET /shops":
            raise TimeoutError("nobody answers")
        return shops.send(event)

    steps = run_pass(make_checks(), send)
    assert [(step.status, step.problem) for step in steps if step.problem] == [(None, "nobody answers")]
    assert shops.items == {}


def test_what_was_created_goes_when_the_pass_is_interrupted():
    shops = Shops()

    def send(event):
        if event["routeKey"] == "GET /shops":
            raise KeyboardInterrupt
        return shops.send(event)

    with pytest.raises(KeyboardInterrupt):
        run_pass(make_checks(), send)
    assert shops.items == {}


def test_a_parameter_that_nothing_creates_is_the_fixtures():
    shops = Shops()
    run_pass(make_checks({"GET /shops/{shop}": 404}), shops.send)
    assert [path for _, path, _ in shops.requests] == ["/shops/of-the-fixture"]


def run(routes, shops=None):
    """The problems of a pass over routes, and the status of each."""
    shops = shops or Shops()
    steps = run_pass(make_checks(routes), shops.send)
    assert shops.items == {}
    return [step.problem for step in steps if step.problem], {step.route: step.status for step in steps}


def without(*routes):
    return {route: status for route, status in ROUTES.items() if route not in routes}


def test_what_nothing_deletes_is_not_created():
    problems, statuses = run(without("DELETE /shops/{shop}"))
    assert problems == []
    assert statuses == {
        "POST /shops": 400,
        "POST /shops/{shop}/items": 404,
        "PUT /shops/{shop}/items/{item}": 404,
        "GET /shops": 200,
        "GET /shops/{shop}": 404,
        "GET /shops/{shop}/items": 404,
        "DELETE /shops/{shop}/items/{item}": 404,
    }


def test_what_lies_below_something_is_not_created_if_only_that_is_deleted():
    problems, statuses = run(without("DELETE /shops/{shop}/items/{item}"))
    assert problems == []
    assert (statuses["POST /shops"], statuses["DELETE /shops/{shop}"]) == (201, 204)
    assert (statuses["POST /shops/{shop}/items"], statuses["PUT /shops/{shop}/items/{item}"]) == (400, 404)


@pytest.mark.parametrize(
    ("route", "status"),
    [
        ("GET /shops/count", 200),
        ("GET /shops/{shop}/items/newest", 200),
        ("POST /shops/{shop}/open", 200),
        ("PUT /shops/{shop}/sign", 400),
        ("PUT /owners/{owner}", 400),
        ("GET /owners/{owner}", 404),
        ("POST /owners/{owner}/items", 400),
    ],
)
def test_a_route_that_fits_no_pattern_is_tried(route, status):
    problems, statuses = run({**ROUTES, route: 200})
    assert problems == []
    assert statuses == {**ROUTES, route: status}


def test_a_body_that_is_not_json_must_be_refused():
    class Credulous(Shops):
        def send(self, event):
            return Answer(201, {}, "{}") if event["body"] == "{" else super().send(event)

    problems, _ = run(without("DELETE /shops/{shop}"), Credulous())
    assert problems == ["POST /shops answered 201 instead of 400: {}"]


def test_any_success_will_do_where_none_is_stated():
    problems, _ = run(dict.fromkeys(ROUTES))
    assert problems == []
    problems, _ = run(dict.fromkeys(ROUTES), Shops(broken=["GET /shops"]))
    assert problems == ["GET /shops answered 500 instead of 2xx: broken"]


@pytest.mark.parametrize(
    ("tried", "others"),
    [
        ("GET /shops", []),
        ("GET /shops/count", []),
        ("POST /shops", ["DELETE /shops/{shop}"]),
        ("DELETE /shops/{shop}", ["POST /shops"]),
        ("GET /shops/{shop}/items", ["DELETE /shops/{shop}", "POST /shops"]),
        (
            "PUT /shops/{shop}/items/{item}",
            [
                "DELETE /shops/{shop}",
                "DELETE /shops/{shop}/items/{item}",
                "POST /shops/{shop}/items",
                "POST /shops",
            ],
        ),
    ],
)
def test_a_pass_over_one_route_takes_what_that_route_needs(tried, others):
    checks = make_checks({**ROUTES, "GET /shops/count": 200, "POST /owners": 201, "DELETE /owners/{owner}": 204})
    (check,) = [check for check in checks if check.route == tried]
    chosen = select_checks(checks, check)
    assert sorted(other.route for other in chosen) == sorted([tried, *others])
    shops = Shops()
    assert not [step.problem for step in run_pass(chosen, shops.send) if step.problem]
    assert shops.items == {}


def test_success_is_the_lowest_status_that_the_document_describes():
    responses = {"default": {}, "404": {}, "304": {}, "202": {}}
    document = {"paths": {"/shops": {"parameters": [], "put": {"responses": responses}, "get": {"responses": {}}}}}
    assert find_success(document, "PUT /shops") == 202
    for route in ("GET /shops", "POST /shops", "PUT /else"):
        with pytest.raises(LookupError, match=route):
            find_success(document, route)
