"""A user who is after another user's items, through the gateway and at the functions alone."""

import base64
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from local_engine.testing import poll
from serverless_api.telemetry.pseudonyms import make_pseudonym
from tests.security.doors import Door
from tests.support.bodies import make_other_body
from tests.support.cases import combine, each, takes
from tests.support.gateway import Answer
from tests.support.items import call, create, find_path, find_source, read_state
from tests.support.stack import SUCCESS, Route, list_creators, select_routes

_numbers = itertools.count(1)
KEY = "0b9d3a"

ITEM_ROUTES = select_routes(lambda route: route.creator)
PAGES = select_routes(lambda route: route.takes("nextToken"))
KEYED = select_routes(lambda route: route.takes("Idempotency-Key"))
WITH_BODY = select_routes(lambda route: route.model)


@dataclass(frozen=True)
class Victim:
    """A user with one item, created with an idempotency key.

    Attributes:
        send: sends the victim's requests.
        path: of the collection.
        created: the answer that the item was created with.
        keys: of everything in the victim's partitions of the table and the ledger.
    """

    subject: str
    send: Callable[..., Answer]
    creator: Route
    path: str
    created: Answer
    keys: tuple[Mapping[str, str], ...]

    @property
    def id(self) -> str:
        return str(self.created.json()["id"])

    @property
    def location(self) -> str:
        return self.created.headers["location"]

    @property
    def tag(self) -> str:
        """The item's entity tag, or one that nothing has."""
        return self.created.headers.get("etag", '"none"')

    @property
    def key(self) -> Mapping[str, str]:
        """The item's own key in the table, which is that of its vector without the prefix."""
        keys = (key for key in self.keys if key["sk"].endswith(f"#{self.id}"))
        return min(keys, key=lambda key: len(key["sk"]))

    def assert_unharmed(self) -> None:
        if self.creator.page:
            assert read_state(self.creator, self.send, self.path) == [self.created.json()]
        for reader in ITEM_ROUTES:
            if reader.method == "GET" and reader.creator == self.creator:
                read = self.send("GET", reader.fill(self.location))
                assert (read.status, read.headers.get("etag", '"none"')) == (200, self.tag)


def find_creator(route: Route) -> Route:
    """The route that creates items of the kind that a route is about."""
    return route.creator or find_source(route)


@pytest.fixture(scope="module")
def make_victim(door: Door, table: Any, settings: Mapping[str, str]) -> Callable[[Route], Victim]:
    def make(creator: Route) -> Victim:
        subject = f"Victim-{next(_numbers)}-jos\u00e9"
        send = partial(door.send, subject)
        path = find_path(creator, send)
        created = send("POST", path, headers={"Idempotency-Key": KEY}, body=creator.body)
        assert created.status == creator.success
        partitions = {
            "TABLE_NAME": f"user#{subject}",
            "ERASURE_LEDGER": make_pseudonym(settings["PSEUDONYM_KEY"], subject),
        }
        keys = tuple(
            {name: item[name]["S"] for name in ("pk", "sk")}
            for variable, partition in partitions.items()
            for item in table.query(
                TableName=settings[variable],
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": partition}},
            )["Items"]
        )
        return Victim(subject, send, creator, path, created, keys)

    return make


@pytest.fixture(scope="module")
def victims() -> dict[tuple[Door, str], Victim]:
    """Victims of earlier tests, by door and creator's key. Each of these tests leaves its victim unharmed."""
    return {}


@pytest.fixture
def victim(
    door: Door,
    route: Route,
    make_victim: Callable[[Route], Victim],
    victims: dict[tuple[Door, str], Victim],
) -> Iterator[Victim]:
    """The owner of an item of the kind that the test's route is about, whom the test must leave unharmed."""
    creator = find_creator(route)
    victim = victims.pop((door, creator.key), None) or make_victim(creator)
    yield victim
    victim.assert_unharmed()
    victims[door, creator.key] = victim


@pytest.mark.parametrize(
    ("route", "condition", "expected"),
    combine(ITEM_ROUTES, {"no condition": 404, "their ETag": 404, "any ETag": 404}),
)
def test_anothers_item_by_its_id(
    door: Door, victim: Victim, attacker: str, route: Route, condition: str, expected: int
) -> None:
    tag = {"no condition": None, "their ETag": victim.tag, "any ETag": "*"}[condition]
    send = partial(door.send, attacker)
    for name in ("If-Match", "If-None-Match"):
        headers = {name: tag} if tag else {}
        answer = call(route, send, route.fill(victim.location), headers=headers)
        # The same as for an item that does not exist.
        missing = call(route, send, route.fill(), headers=headers)
        assert (answer.status, answer.json()["error"]) == (expected, missing.json()["error"])
        assert "etag" not in answer.headers


@each(lambda route: route.takes("If-Match") or route.takes("If-None-Match"))
def test_anothers_etag_on_ones_own_item(door: Door, victim: Victim, attacker: str, route: Route) -> None:
    send = partial(door.send, attacker)
    for name, expected in (("If-Match", 412), ("If-None-Match", route.success)):
        if route.takes(name):
            assert call(route, send, headers={name: victim.tag}).status == expected


@takes("nextToken")
def test_anothers_next_token(door: Door, make_victim: Callable[[Route], Victim], attacker: str, route: Route) -> None:
    victim = make_victim(find_creator(route))
    create(victim.creator, victim.send)
    path = victim.path if victim.creator.path == route.path else route.fill()
    pages: list[dict[str, Any]] = []

    def has_more() -> bool:
        # A list of changes follows the changes.
        pages.append(victim.send("GET", path, query={"limit": "1"}).json())
        return "nextToken" in pages[-1]

    poll(has_more, "the victim has no second page")
    token = pages[-1]["nextToken"]
    send = partial(door.send, attacker)
    for _ in range(2):
        page = call(route, send, query={"nextToken": token}).json()
        assert page["count"] == 0
        assert "nextToken" not in page
        # A token is a point in time: newer items are not on its page.
        create(victim.creator, send)


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


# Most name the victim's partition, in the forms that tokens have elsewhere.
FORGED_TOKENS: dict[str, Callable[[Victim], str]] = {
    "the victim's key as JSON": lambda victim: encode(json.dumps(victim.key).encode()),
    "the victim's key in DynamoDB's JSON": lambda victim: encode(
        json.dumps({name: {"S": value} for name, value in victim.key.items()}).encode()
    ),
    "the victim's sort key": lambda victim: encode(victim.key["sk"].encode()),
    "bytes that are no ID": lambda _: encode(b"\xff" * 16),
    "an ID and more": lambda victim: encode(bytes.fromhex(victim.id.replace("-", "")) + b"#"),
    "an ID that is not encoded": lambda victim: victim.id,
    "an empty one": lambda _: "",
    "not base64": lambda _: "%00'; DROP",
    "1 kB": lambda _: "A" * 1024,
}


@pytest.mark.parametrize(("route", "token", "expected"), combine(PAGES, dict.fromkeys(FORGED_TOKENS, 400)))
def test_forged_next_token(door: Door, victim: Victim, attacker: str, route: Route, token: str, expected: int) -> None:
    answer = call(route, partial(door.send, attacker), query={"nextToken": FORGED_TOKENS[token](victim)})
    assert (answer.status, list(answer.problems)) == (expected, ["nextToken"])


@pytest.mark.parametrize(("route", "body", "expected"), combine(KEYED, {"the same": SUCCESS, "another": SUCCESS}))
def test_anothers_idempotency_key(
    door: Door, victim: Victim, attacker: str, route: Route, body: str, expected: str
) -> None:
    content = route.body if body == "the same" else make_other_body(route)
    answer = call(route, partial(door.send, attacker), headers={"Idempotency-Key": KEY}, body=content)
    # Neither the victim's answer, nor 409 or 422, which would reveal that the victim used the key.
    assert answer.status == route.resolve(expected)
    assert answer.json()["id"] != victim.id


def test_one_idempotency_key_for_every_noun(door: Door, attacker: str) -> None:
    send = partial(door.send, attacker)
    for creator in list_creators():
        path = find_path(creator, send)
        answer = send("POST", path, headers={"Idempotency-Key": "one"}, body=creator.body)
        assert (answer.status, answer.headers["location"]) == (creator.success, f"{path}/{answer.json()['id']}")


ALIASES: dict[str, Callable[[str], str]] = {
    "other case": str.lower,
    "white space behind": lambda subject: subject + " ",
    "a # behind": lambda subject: subject + "#",
    "their key": lambda subject: f"user#{subject}",
    "a sort key behind": lambda subject: f"{subject}#item#",
    "a path to them": lambda subject: f"x/../{subject}",
    "percent-encoded": quote,
    "NUL behind": lambda subject: f"{subject}\0",
    "decomposed letters": lambda subject: unicodedata.normalize("NFD", subject),
    "the first part": lambda subject: subject[:-1],
    "in brackets": lambda subject: f"[{subject}]",
}


@pytest.mark.parametrize(("route", "alias", "expected"), combine(ITEM_ROUTES, dict.fromkeys(ALIASES, 404)))
def test_a_subject_like_the_victims(door: Door, victim: Victim, route: Route, alias: str, expected: int) -> None:
    subject = ALIASES[alias](victim.subject)
    assert subject != victim.subject
    send = partial(door.send, subject)
    assert read_state(victim.creator, send, victim.path) == []
    assert call(route, send, route.fill(victim.location)).status == expected


@each(lambda route: route in ITEM_ROUTES)
def test_anothers_item_by_its_id_in_upper_case(door: Door, victim: Victim, attacker: str, route: Route) -> None:
    answer = call(route, partial(door.send, attacker), route.fill(f"{victim.path}/{victim.id.upper()}"))
    assert answer.status == 404


def find_other_key(victim: Victim) -> str:
    """The sort key of something else in the victim's partition, or its own if there is nothing else."""
    return next((key["sk"] for key in victim.keys if key != victim.key), victim.key["sk"])


INJECTED_IDS: dict[str, Callable[[Victim], str]] = {
    "another item's sort key": find_other_key,
    "its own sort key": lambda victim: victim.key["sk"],
    "the partition and sort key": lambda victim: "#".join(victim.key.values()),
    "a path to another item": lambda victim: f"../{find_other_key(victim)}",
    "a line break behind": lambda victim: f"{victim.id}\n",
    "NUL behind": lambda victim: f"{victim.id}\0",
    "white space before": lambda victim: f" {victim.id}",
    "digits of another script": lambda victim: victim.id.replace("0", "\u0660").replace("1", "\u0661"),
    "a prefix": lambda victim: victim.id[:8],
    "an expression": lambda _: "attribute_exists(pk)",
    "a placeholder": lambda _: ":version0",
    "8 kB": lambda _: "0" * 8192,
}


@pytest.mark.parametrize(("route", "injected", "expected"), combine(ITEM_ROUTES, dict.fromkeys(INJECTED_IDS, 404)))
def test_key_injected_through_an_id(victim: Victim, route: Route, injected: str, expected: int) -> None:
    # By the partition's own user: the partition holds other things that an ID must not reach.
    injected_id = quote(INJECTED_IDS[injected](victim), safe="")
    answer = call(route, victim.send, route.fill(f"{victim.path}/{injected_id}"))
    assert answer.status == expected


@pytest.mark.parametrize(
    ("route", "name", "expected"),
    combine(WITH_BODY, dict.fromkeys(("id", "pk", "sk", "version", "createdAt", "subject"), 400)),
)
def test_key_injected_through_a_property(
    door: Door, victim: Victim, attacker: str, route: Route, name: str, expected: int
) -> None:
    value = {"id": victim.id, **victim.key}.get(name, "x")
    send, body = partial(door.send, attacker), {**route.body, name: value}
    answer = call(route, send, body=body)
    assert (answer.status, answer.problems) == (expected, {name: "is not a known property"})
    if route.creator:
        # A merge patch is checked together with the item that it changes, and this user has no such item.
        refused = 404 if route.method == "PATCH" else expected
        assert call(route, send, route.fill(victim.location), body=body).status == refused


IDEMPOTENCY_KEYS = {
    "a sort key": ("idempotency#0", SUCCESS),
    "an attribute's placeholder": ("#pk", SUCCESS),
    "a value's placeholder": (":now", SUCCESS),
    "a path": ("../x", SUCCESS),
    "256 characters": ("x" * 256, 400),
    "a space": ("a b", 400),
}


@pytest.mark.parametrize(
    ("route", "key", "expected"),
    combine(KEYED, {name: expected for name, (_, expected) in IDEMPOTENCY_KEYS.items()}),
)
def test_key_injected_through_an_idempotency_key(
    door: Door, attacker: str, route: Route, key: str, expected: str | int
) -> None:
    send = partial(door.send, attacker)
    path = find_path(route, send)
    headers = {"Idempotency-Key": IDEMPOTENCY_KEYS[key][0]}
    first = send("POST", path, headers=headers, body=route.body)
    assert first.status == route.resolve(expected)
    if expected == SUCCESS:
        assert send("POST", path, headers=headers, body=route.body).json() == first.json()
        assert read_state(route, send, path) == [first.json()] * bool(route.page)
