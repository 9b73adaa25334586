"""The contract of every route over real HTTP, as the API's document, its models and its fixtures state it."""

from jsonschema import Draft202012Validator

from tests.api.conftest import Server, User
from tests.support.bodies import make_other_body
from tests.support.cases import ROUTES, each, takes
from tests.support.gateway import Answer
from tests.support.items import call, create, find_path, find_source, read_items, read_state, wait_for_items
from tests.support.stack import Route, find_route, list_creators, list_routes, load_template

ORIGIN = load_template()["Parameters"]["AllowedOrigin"]["Default"]


@ROUTES
def test_the_answer_is_as_the_document_describes_it(user: User, route: Route) -> None:
    answer = call(route, user.send)
    assert answer.status == route.success
    described = route.operation["responses"][str(route.success)]
    assert {name.lower() for name in described.get("headers", {})} <= answer.headers.keys()
    if route.answer_model is None:
        assert answer.body == ""
    else:
        assert answer.headers["content-type"] == "application/json"
        Draft202012Validator(route.answer_model).validate(answer.json())


def is_item(route: Route) -> bool:
    """Whether a route is that of an item itself: one below it, such as `/{id}/archive`, need not change it."""
    return route.path.endswith("}")


def is_unchanged(answer: Answer, created: Answer) -> bool:
    return answer.headers.get("etag", created.headers["etag"]) == created.headers["etag"]


@each(lambda route: route.model and route in list_creators())
def test_a_created_item_is_at_its_location_and_on_the_newest_page(user: User, route: Route) -> None:
    path = find_path(route, user.send)
    created = user.send("POST", path, body=route.body)
    location = created.headers["location"]
    assert location == f"{path}/{created.json()['id']}"
    assert {name: created.json()[name] for name in route.body} == route.body
    if find_route(f"GET {route.path}/{{id}}"):
        read = user.send("GET", location)
        assert (read.body, read.headers.get("etag")) == (created.body, created.headers.get("etag"))
    assert read_state(route, user.send, path) == [created.json()] * bool(route.page)


@takes("If-None-Match")
def test_a_version_that_the_caller_has_is_neither_sent_nor_changed(user: User, route: Route) -> None:
    created = create(route.creator, user.send)
    path = route.fill(created.headers["location"])
    for tags in (created.headers["etag"], "*", f'"another", W/{created.headers["etag"]}'):
        answer = call(route, user.send, path, headers={"If-None-Match": tags})
        assert answer.status == (304 if route.method == "GET" else 412)
        assert answer.body == "" or route.method != "GET"
    assert call(route, user.send, path, headers={"If-None-Match": '"another"'}).status == route.success


@each(lambda route: route.takes("If-Match") and route.method != "GET")
def test_only_the_current_version_is_changed(user: User, route: Route) -> None:
    created = create(route.creator, user.send)
    path = route.fill(created.headers["location"])
    stale = call(route, user.send, path, headers={"If-Match": '"another"'})
    assert stale.status == 412
    if find_route(f"GET {route.path}"):
        assert user.send("GET", path).body == created.body
    current = call(route, user.send, path, headers={"If-Match": created.headers["etag"]})
    assert current.status == route.success
    again = call(route, user.send, path, headers={"If-Match": created.headers["etag"]})
    if is_item(route):
        assert again.status == (404 if route.method == "DELETE" else 412)
    else:
        assert again.status == (route.success if is_unchanged(current, created) else 412)


@each(lambda route: route.method == "PUT" and route.model and is_item(route))
def test_an_item_is_replaced(user: User, route: Route) -> None:
    path = find_path(route, user.send)
    body = make_other_body(route)
    required = {name: body[name] for name in route.model["required"]}
    replaced = user.send("PUT", path, body=required)
    # What the new body leaves out is gone.
    assert {name: replaced.json().get(name) for name in body} == dict.fromkeys(body) | required
    assert user.send("GET", path).body == replaced.body


@each(lambda route: route.method == "DELETE" and is_item(route))
def test_a_deleted_item_is_gone(user: User, route: Route) -> None:
    path = find_path(route, user.send)
    assert user.send("DELETE", path).status == route.success
    assert [call(other, user.send, path).status for other in list_routes() if other.path == route.path] == [404] * len(
        [other for other in list_routes() if other.path == route.path]
    )


@takes("If-Match")
def test_preconditions_have_their_order_and_their_grammar(user: User, route: Route) -> None:
    created = create(route.creator, user.send)
    path, tag = route.fill(created.headers["location"]), created.headers["etag"]
    both = call(route, user.send, path, headers={"If-Match": '"another"', "If-None-Match": tag})
    assert both.status == 412
    for name in ("If-Match", "If-None-Match"):
        answer = call(route, user.send, path, headers={name: tag.strip('"')})
        assert (answer.status, answer.problems.keys()) == (400, {name})
    # Two lines of a header are one list.
    lines = [("If-Match", '"another"'), ("If-Match", tag)]
    assert call(route, user.send, path, headers=lines).status == route.success


@each(lambda route: route.creator)
def test_an_id_may_have_either_case(user: User, route: Route) -> None:
    created = create(route.creator, user.send)
    collection, _, item_id = created.headers["location"].rpartition("/")
    assert item_id.upper() != item_id == created.json()["id"]
    assert call(route, user.send, route.fill(f"{collection}/{item_id.upper()}")).status == route.success


@takes("Idempotency-Key")
def test_a_repeated_request_is_carried_out_once(user: User, route: Route) -> None:
    path, key = find_path(route, user.send), {"Idempotency-Key": "one"}
    first = user.send("POST", path, headers=key, body=route.body)
    again = user.send("POST", path, headers=key, body=route.body)
    names = [name for name in ("location", "etag") if name in first.headers]
    assert (again.status, again.body) == (first.status, first.body)
    assert [again.headers[name] for name in names] == [first.headers[name] for name in names]
    assert user.send("POST", path, headers=key, body=make_other_body(route)).status == 422
    assert read_state(route, user.send, path) == [first.json()] * bool(route.page)


@takes("nextToken")
def test_pages_hold_every_item_once_newest_first(user: User, route: Route) -> None:
    creator = find_source(route)
    path = find_path(creator, user.send)
    own = [user.send("POST", path, body=creator.body).json()["id"] for _ in range(5)]
    path = path if creator.path == route.path else route.fill()
    wait_for_items(user.send, path, 5)
    seen, sizes, query = [], [], {"limit": "2"}
    while query:
        page = user.send("GET", path, query=query).json()
        seen += [item["id"] for item in read_items(page)]
        sizes.append(page["count"])
        query = {"limit": "2", "nextToken": page["nextToken"]} if "nextToken" in page else {}
    assert (seen, sizes) == (own[::-1], [2, 2, 1])


@each(lambda route: route.model)
def test_every_fault_is_named(user: User, route: Route) -> None:
    answer = call(route, user.send, body={"x": 1})
    assert answer.status == 400
    assert answer.problems.keys() == {*route.model.get("required", ()), "x"}
    assert answer.json()["requestId"]


@each(lambda route: route.creator)
def test_an_unknown_id_is_not_found(user: User, route: Route) -> None:
    answer = call(route, user.send, route.fill())
    assert (answer.status, answer.json().keys()) == (404, {"error", "requestId"})


@each(lambda route: not route.path_parameters)
def test_a_path_without_a_route_is_not_found(user: User, route: Route) -> None:
    requests = [
        *((method, route.path) for method in ("PATCH", "DELETE", "PUT")),
        *(("GET", path) for path in (f"{route.path}/a/b", route.path.rpartition("/")[0], "/")),
    ]
    # Another route's {id} may match the path.
    unrouted = [request for request in requests if not any(other.matches(*request) for other in list_routes())]
    assert ("GET", "/") in unrouted
    for method, path in unrouted:
        answer = user.send(method, path)
        assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


@ROUTES
def test_a_browser_may_call_from_the_allowed_origin(server: Server, route: Route) -> None:
    headers = [parameter["name"] for parameter in route.operation["parameters"] if parameter["in"] == "header"]
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": route.method,
        "Access-Control-Request-Headers": ",".join(["authorization", *headers]).lower(),
    }
    with server.connect() as client:
        allowed = client.options(route.fill(), headers=preflight)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    granted = {name.strip().lower() for name in allowed.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type", *(name.lower() for name in headers)} <= granted
    assert route.method in allowed.headers["access-control-allow-methods"].split(",")
    assert allowed.headers["access-control-max-age"] == "3600"


@ROUTES
def test_a_page_of_the_allowed_origin_sees_every_header_of_the_document(user: User, route: Route) -> None:
    answer = call(route, user.send, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    described = {
        name.lower() for response in route.operation["responses"].values() for name in response.get("headers", {})
    }
    assert described <= exposed
