"""`sam build && sam local start-api`, `start-lambda` and `invoke`, with introspection in place of the authorizer."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sam_local.conftest import ROOT, SamLocal
from tests.support.cases import ROUTES, each
from tests.support.gateway import Answer
from tests.support.items import call, create, find_path, read_items, read_state
from tests.support.matrix import find_claims, list_cells
from tests.support.permissions import list_functions, translate_stack
from tests.support.stack import Route, find_fixture, find_media_type, list_creators, select_routes

pytestmark = pytest.mark.timeout(600)

BAD_TOKENS: dict[str, dict[str, Any]] = {
    "expired": {"expires": -1},
    "wrong audience": {"aud": "other"},
    "wrong issuer": {"iss": "http://127.0.0.1:1/"},
    "not valid yet": {"nbf": 9999999999},
}


@pytest.fixture(scope="module")
def client(sam_local: SamLocal) -> Iterator[httpx.Client]:
    # The first request to a function waits for its container.
    with httpx.Client(base_url=sam_local.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def bad_tokens(sam_local: SamLocal) -> dict[str, str]:
    minted = {name: sam_local.mint_token(**changes) for name, changes in BAD_TOKENS.items()}
    return {"garbage": "garbage", **minted}


def _send(
    client: httpx.Client, token: str | None, method: str, path: str, *, body: Any = None, headers: Any = None
) -> Answer:
    sent = {} if token is None else {"Authorization": f"Bearer {token}"}
    sent |= ({} if body is None else {"Content-Type": find_media_type(method)}) | (headers or {})
    response = client.request(method, path, headers=sent, json=body)
    return Answer(response.status_code, response.headers, response.text)


@pytest.mark.parametrize("kind", ["garbage", *BAD_TOKENS])
@ROUTES
def test_a_bad_token_is_unauthorized(client: httpx.Client, bad_tokens: dict[str, str], route: Route, kind: str) -> None:
    assert call(route, partial(_send, client, bad_tokens[kind]), route.fill()).status == 401


@pytest.fixture(scope="module")
def owner(sam_local: SamLocal) -> str:
    """A valid token of the user whose tokens are tried."""
    return sam_local.mint_token("owner")


@pytest.mark.parametrize(
    ("route", "kind", "expected"),
    [pytest.param(*cell, id=f"{cell[0].key}-{cell[1]}-{cell[2]}") for cell in list_cells()],
)
def test_every_route_by_every_kind_of_token(
    client: httpx.Client, sam_local: SamLocal, owner: str, route: Route, kind: str, expected: str | int
) -> None:
    own = partial(_send, client, owner)
    path = find_path(route, own)
    before = read_state(route, own, path)
    claims = find_claims(route, kind)
    token = None if claims is None else sam_local.mint_token("owner", **claims)
    assert call(route, partial(_send, client, token), path).status == route.resolve(expected)
    if expected in (401, 403):
        assert read_state(route, own, path) == before


@each(lambda route: route.model and route in list_creators())
def test_a_created_item_is_the_users_own(client: httpx.Client, sam_local: SamLocal, route: Route) -> None:
    send = partial(_send, client, sam_local.mint_token())
    path = find_path(route, send)
    created = create(route, send).json()
    assert {name: created[name] for name in route.body} == route.body
    assert route.page is None or read_items(send("GET", path).json()) == [created]


@pytest.fixture(scope="module")
def invocations(sam_local: SamLocal) -> Iterator[dict[str, Future[Any]]]:
    """An invocation of each route's function with its fixture, several at once, because each waits for a container."""
    with ThreadPoolExecutor(3) as threads:

        def start(routes: Iterable[Route]) -> dict[str, Future[Any]]:
            return {route.key: threads.submit(sam_local.invoke, route.function, find_event(route)) for route in routes}

        started = start(select_routes(lambda route: route.method != "DELETE"))
        # The fixtures of several routes are about the same item.
        wait(started.values())
        yield started | start(select_routes(lambda route: route.method == "DELETE"))


def find_event(route: Route) -> Path:
    return ROOT / f"events/{route.folder.name}.json"


BATCH = {"batchItemFailures": []}
BACKGROUND = {
    function: BATCH if "Records" in json.loads(find_fixture(function).read_text()) else None
    for function in list_functions()
    if function.startswith(("Records/", "Vectors/"))
}
"""What the functions of nested applications, and of theirs, answer to their fixtures."""


@pytest.fixture(scope="module")
def background_invocations(sam_local: SamLocal) -> Iterator[dict[str, Future[Any]]]:
    with ThreadPoolExecutor(3) as threads:
        yield {name: threads.submit(sam_local.invoke, name, find_fixture(name)) for name in BACKGROUND}


@pytest.mark.parametrize("function", BACKGROUND)
def test_the_function_of_a_nested_application_runs(
    sam_local: SamLocal, background_invocations: dict[str, Future[Any]], function: str
) -> None:
    result = background_invocations[function].result()
    if result != BACKGROUND[function]:
        # As Lambda does with a record whose call of the table took too long beside other containers that start.
        result = sam_local.invoke(function, find_fixture(function))
    assert result == BACKGROUND[function]


@pytest.mark.parametrize("function", ["ListResources", "Records/RecordChanges", "Records/Erasure/EraseUser"])
def test_invoke_runs_a_function_of_each_depth(sam_local: SamLocal, function: str) -> None:
    def run() -> Any:
        answer = sam_local.run_invoke(function, find_fixture(function))
        return answer if function in BACKGROUND else answer["statusCode"]

    expected = BACKGROUND.get(function, 200)
    outcome = run()
    if outcome != expected:
        # As above: a call of the table took too long.
        outcome = run()
    assert outcome == expected


def test_containers_know_the_names_of_what_the_backend_has() -> None:
    given = json.loads((ROOT / "tools/sam_local.json").read_text())["Parameters"]
    stack = translate_stack(Issuer="http://127.0.0.1:3000/_local/issuer", Audience="local", Intelligence="on")
    names = {name: value for function in stack.functions.values() for name, value in function.environment.items()}
    shared = given.keys() - {"AWS_ENDPOINT_URL", "TOKEN_INTROSPECTION_URL"}
    assert {name: names[name] for name in shared} == {name: given[name] for name in shared}
    # `sam local` does not resolve what a nested application puts out, and names what it has by logical IDs.
    assert {
        name for name in names if name.endswith(("_TABLE", "_LEDGER", "_QUEUE", "_BUCKET", "_BUS", "_INDEX"))
    } <= given.keys()


@ROUTES
def test_a_function_answers_its_fixture(sam_local: SamLocal, invocations: dict[str, Future[Any]], route: Route) -> None:
    answer = invocations[route.key].result()
    if answer["statusCode"] == 503:
        # As a client does if the call of the table took too long beside other containers that start.
        answer = sam_local.invoke(route.function, find_event(route))
    assert answer["statusCode"] == (route.success if is_seeded(route) else 404), answer


def is_seeded(route: Route) -> bool:
    """Whether the example data has what the route's fixture names: they have items of some nouns."""
    if route.creator is None:
        return True
    collection = route.creator.path.rpartition("/")[2]
    seed = json.loads((ROOT / "examples/resources.json").read_text())
    keys = [request["PutRequest"]["Item"]["sk"]["S"].partition("#") for items in seed.values() for request in items]
    return any(collection.startswith(noun) and key in route.path_parameters.values() for noun, _, key in keys)
