"""The response cache of the internal API, switched on: whose answers it gives, and how they stay fresh."""

import json
import os
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess, poll
from tests.support.http_server import Server, make_reply
from tests.support.internal import (
    EVERYTHING,
    InternalClient,
    allow,
    has_started_function,
    make_principal,
)
from tests.support.permissions import translate_stack
from tests.support.resources import make_body
from tests.support.stack import find_fixture
from tests.support.templates import write_variant

REQUESTS = int(os.environ.get("CACHE_REQUESTS", "400"))
PRINCIPALS, SUBJECTS, ITEMS = 20, 10, 3
ON = {"CacheSize": '"0.5"'}
CACHE = "Internal/Cache"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    """The stack with a cache whose entries live for an hour, so that only refreshes replace them."""
    given = {"Issuer": "{issuer}", "Audience": AUDIENCE}
    with (
        write_variant(**ON, PageCacheSeconds="3600", ItemCacheSeconds="3600") as template,
        EngineProcess(template, parameters=given) as engine,
    ):
        yield engine


@pytest.fixture(scope="module")
def caller(engine: EngineProcess) -> InternalClient:
    return InternalClient(engine, make_principal("internal-tests", EVERYTHING))


def test_a_kept_answer_takes_no_function(engine: EngineProcess, caller: InternalClient) -> None:
    item = caller.create("kept")
    for path in (item, "/users/kept/resources", "/users/kept/resources?limit=1"):
        first, second = caller.send("GET", path), caller.send("GET", path)
        assert second.json() == first.json()
        assert not has_started_function(engine, second)


def test_the_function_itself_would_have_answered_alike(engine: EngineProcess, caller: InternalClient) -> None:
    """Headers of a kept answer say nothing of the request that it was made for."""
    item = caller.create("headers")
    first = caller.send("GET", item, headers={"X-Correlation-Id": "first", "If-None-Match": "*"})
    second = caller.send("GET", item, headers={"X-Correlation-Id": "second"})
    assert (first.status_code, second.status_code) == (200, 200)
    assert "first" not in str(second.headers)
    assert not has_started_function(engine, second)


def test_a_change_replaces_what_is_kept(engine: EngineProcess, caller: InternalClient) -> None:
    item = caller.create("changed")
    page = "/users/changed/resources"
    assert caller.send("GET", item).json() == caller.send("GET", page).json()["resources"][0]
    # By the user, at the other API.
    token = engine.mint_token("write:resources", subject="changed")
    path = f"/api/v1/resources/{item.rpartition('/')[2]}"
    with engine.client("Api", headers={"Authorization": f"Bearer {token}"}) as user:
        changed = user.put(path, json=make_body(1))
        assert changed.status_code == 200
        poll(lambda: caller.send("GET", item).json() == changed.json(), "the resource is stale", 60)
        poll(lambda: caller.send("GET", page).json()["resources"][0] == changed.json(), "the page is stale", 60)
        user.delete(path)
        poll(lambda: caller.send("GET", item).status_code == 404, "the deleted resource is there", 60)
        poll(lambda: caller.send("GET", page).json()["count"] == 0, "the page has the deleted resource", 60)


def test_other_limits_only_expire(engine: EngineProcess, caller: InternalClient) -> None:
    item = caller.create("limits")
    pages = ["/users/limits/resources?limit=1", "/users/limits/resources"]
    kept = [caller.send("GET", page).json() for page in pages]
    caller.send("PUT", item, make_body(1))
    poll(lambda: caller.send("GET", pages[1]).json() != kept[1], "the page is stale", 60)
    assert caller.send("GET", pages[0]).json() == kept[0]


def test_a_caller_without_the_permission_cannot_refresh(engine: EngineProcess, caller: InternalClient) -> None:
    refresh = {"Cache-Control": "max-age=0"}
    caller.create("refresh")
    properties = translate_stack(**ON).resources[f"{CACHE}/RejectedRefreshes"].properties
    done: list[dict[str, str]] = []
    with Server(lambda request: (done.append(json.loads(request.body)), make_reply({}))[1]) as cloud_formation:
        event = json.loads(find_fixture("RejectRefreshes").read_text())
        event |= {"ResponseURL": cloud_formation.url, "ResourceProperties": properties}
        engine.invoke("local-Internal-Cache-RejectRefreshes", event)
        # A stage that does not exist, which the deployment is told of.
        event["ResourceProperties"] = {**properties, "StageName": "v0"}
        engine.invoke("local-Internal-Cache-RejectRefreshes", event)
    assert [answer["Status"] for answer in done] == ["SUCCESS", "FAILED"]
    answer = caller.send("GET", "/users/refresh/resources", headers=refresh)
    assert (answer.status_code, answer.json().keys()) == (403, {"error", "requestId"})
    assert "execute-api:InvalidateCache" in answer.json()["error"]
    refresher = make_principal("refresher", EVERYTHING, allow("GET/users/*", action="execute-api:InvalidateCache"))
    assert InternalClient(engine, refresher).send("GET", "/users/refresh/resources", headers=refresh).status_code == 200


@dataclass(frozen=True)
class Item:
    subject: str
    path: str

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


@pytest.mark.timeout(1800)
def test_no_answer_crosses_a_key(engine: EngineProcess) -> None:
    """Random requests of many principals with different rights, while resources change."""
    subjects = [f"crossing-{number}" for number in range(SUBJECTS)]
    owner = InternalClient(engine, make_principal("internal-tests", EVERYTHING))
    items = [Item(subject, owner.create(subject)) for subject in subjects for _ in range(ITEMS)]
    rights = {number: {subjects[number % SUBJECTS], subjects[number * 7 % SUBJECTS]} for number in range(PRINCIPALS)}
    clients = [
        InternalClient(
            engine, make_principal(f"crossing-{number}", allow(*(f"*/users/{subject}/*" for subject in allowed)))
        )
        for number, allowed in rights.items()
    ]
    with ThreadPoolExecutor(4) as threads:
        asked = list(filter(None, threads.map(partial(send_at_random, clients, rights, items), range(REQUESTS))))
    # Of lines about requests, only those that a function has answered say how it started.
    engine.wait_for_line(f" {asked[-1]}$")
    started = {line.rpartition(" ")[2] for line in list(engine.lines) if re.search(r" Internal/\w+ (cold|warm) ", line)}
    assert len(set(asked) - started) > REQUESTS / 20, "the cache has answered next to nothing"


def send_at_random(
    clients: list[InternalClient],
    rights: dict[int, set[str]],
    items: list[Item],
    number: int,
) -> str:
    """Send a request, check its answer, and return how the engine's line about it ends; empty if it is denied."""
    chance = random.Random(number)
    who = chance.randrange(PRINCIPALS)
    client = clients[who]
    item = chance.choice([entry for entry in items if entry.subject in rights[who]] if chance.random() < 0.8 else items)
    page = item.path.rpartition("/")[0]
    kind = chance.choice(["item", "item", "page", "limit", "next", "change"])
    match kind:
        case "change":
            answer = client.send("PUT", item.path, make_body(number))
        case "item":
            answer = client.send("GET", item.path)
        case "page":
            answer = client.send("GET", page)
        case _:
            limit = chance.randint(1, ITEMS + 1)
            answer = client.send("GET", f"{page}?limit={limit}")
            token = answer.json().get("nextToken")
            if kind == "next" and token:
                check_page(item, items, answer, limit)
                answer = client.send("GET", f"{page}?limit={limit}&nextToken={token}")
    if item.subject not in rights[who]:
        assert answer.status_code == 403
        return ""
    assert answer.status_code == 200, answer.text
    if kind in ("change", "item"):
        assert answer.json()["id"] == item.id
    else:
        check_page(item, items, answer, 20 if kind == "page" else limit)
    return answer.headers["x-amzn-requestid"][:8]


def check_page(item: Item, items: list[Item], answer: httpx.Response, limit: int) -> None:
    """All entries of a page are the owner's, and it has as many as its limit says."""
    page = answer.json()
    ids = {entry["id"] for entry in page["resources"]}
    assert ids
    assert ids <= {other.id for other in items if other.subject == item.subject}
    asked = answer.request.url.params
    if "nextToken" in asked:
        assert page["count"] <= min(limit, ITEMS - limit)
    else:
        assert page["count"] == min(limit, ITEMS)


@pytest.mark.parametrize("owner", ["a/b", ".", ".."])
def test_events_of_every_owner_are_taken(engine: EngineProcess, owner: str) -> None:
    event = json.loads(find_fixture("RefreshCache").read_text())
    (record,) = event["Records"]
    body = json.loads(record["body"])
    body["detail"]["owner"] = owner
    record["body"] = json.dumps(body)
    assert engine.invoke("local-Internal-Cache-RefreshCache", event) == {"batchItemFailures": []}


def test_without_its_setting_there_is_no_cache() -> None:
    stage = translate_stack(CacheSize='"0"').resources["Internal/InternalApiv1Stage"].properties
    assert stage["CacheClusterEnabled"] is False
    assert not [name for name in translate_stack(CacheSize='"0"').resources if name.startswith(CACHE)]
    stage = translate_stack(**ON).resources["Internal/InternalApiv1Stage"].properties
    assert (stage["CacheClusterEnabled"], stage["CacheClusterSize"]) == (True, "0.5")
    kept = [entry for entry in stage["MethodSettings"] if entry.get("CachingEnabled")]
    assert {(entry["HttpMethod"], entry["CacheDataEncrypted"]) for entry in kept} == {("GET", True)}
    assert all(entry["CacheTtlInSeconds"] <= 60 for entry in kept)
