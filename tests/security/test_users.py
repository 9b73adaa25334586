"""One user who is after what is another's, through the gateway and at the functions alone."""

import base64
import hashlib
import itertools
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.security.doors import INPUT, RESOURCES, Door
from tests.support.gateway import Answer

_numbers = itertools.count(1)
KEY = "0b9d3a"


@dataclass(frozen=True)
class Victim:
    """Somebody with one resource, made with an idempotency key."""

    door: Door
    subject: str
    created: Answer

    @property
    def id(self) -> str:
        return str(self.created.json()["id"])

    @property
    def path(self) -> str:
        return f"{RESOURCES}/{self.id}"

    @property
    def tag(self) -> str:
        return self.created.headers["etag"]

    def assert_unharmed(self) -> None:
        page = self.door.send(self.subject, "GET").json()
        assert page["resources"] == [self.created.json()]
        read = self.door.send(self.subject, "GET", self.path)
        assert (read.status, read.headers["etag"]) == (200, self.tag)


@pytest.fixture
def victim(door: Door) -> Victim:
    subject = f"Victim-{next(_numbers)}-jos\u00e9"
    created = door.send(subject, "POST", headers={"Idempotency-Key": KEY}, body=INPUT)
    assert created.status == 201
    return Victim(door, subject, created)


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("PUT", 404), ("DELETE", 404)], ids=str)
@pytest.mark.parametrize("condition", ["no condition", "their ETag", "any ETag"])
def test_anothers_resource_by_its_id(
    door: Door, victim: Victim, attacker: str, condition: str, method: str, status: int
) -> None:
    tag = {"no condition": None, "their ETag": victim.tag, "any ETag": "*"}[condition]
    headers = {"If-None-Match" if method == "GET" else "If-Match": tag} if tag else {}
    answer = door.send(attacker, method, victim.path, headers=headers, body=INPUT if method == "PUT" else None)
    # The same as for what does not exist at all.
    assert (answer.status, answer.json()["error"]) == (status, "There is no such resource")
    assert "etag" not in answer.headers
    victim.assert_unharmed()


def test_anothers_etag_on_ones_own_resource(door: Door, victim: Victim, attacker: str) -> None:
    own = door.send(attacker, "POST", body=INPUT)
    path = f"{RESOURCES}/{own.json()['id']}"
    assert door.send(attacker, "PUT", path, headers={"If-Match": victim.tag}, body=INPUT).status == 412
    assert door.send(attacker, "GET", path, headers={"If-None-Match": victim.tag}).status == 200


def test_anothers_next_token(door: Door, victim: Victim, attacker: str) -> None:
    door.send(victim.subject, "POST", body=INPUT)
    token = door.send(victim.subject, "GET", query={"limit": "1"}).json()["nextToken"]
    assert door.send(attacker, "GET", query={"nextToken": token}).json() == {"resources": [], "count": 0}
    door.send(attacker, "POST", body=INPUT | {"name": "later than the token"})
    # A token is a place in time and nothing else: what is newer is not on its page.
    assert door.send(attacker, "GET", query={"nextToken": token}).json() == {"resources": [], "count": 0}


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def dynamodb_key(victim: Victim) -> dict[str, str]:
    return {"pk": f"user#{victim.subject}", "sk": f"resource#{victim.id}"}


# Most name the victim's partition, in the forms that such tokens have elsewhere.
FORGED_TOKENS: dict[str, Callable[[Victim], str]] = {
    "the victim's key as JSON": lambda victim: encode(json.dumps(dynamodb_key(victim)).encode()),
    "the victim's key in DynamoDB's JSON": lambda victim: encode(
        json.dumps({name: {"S": value} for name, value in dynamodb_key(victim).items()}).encode()
    ),
    "the victim's sort key": lambda victim: encode(dynamodb_key(victim)["sk"].encode()),
    "an id that is none": lambda _: encode(b"\xff" * 16),
    "an id and more": lambda victim: encode(bytes.fromhex(victim.id.replace("-", "")) + b"#"),
    "an id that is not encoded": lambda victim: victim.id,
    "an empty one": lambda _: "",
    "not base64": lambda _: "%00'; DROP",
    "1 kB": lambda _: "A" * 1024,
}


@pytest.mark.parametrize(("token", "status"), [(token, 400) for token in FORGED_TOKENS])
def test_forged_next_token(door: Door, victim: Victim, attacker: str, token: str, status: int) -> None:
    answer = door.send(attacker, "GET", query={"nextToken": FORGED_TOKENS[token](victim)})
    assert (answer.status, list(answer.problems)) == (status, ["nextToken"])


@pytest.mark.parametrize(("body", "status"), [("the same", 201), ("another", 201)])
def test_anothers_idempotency_key(door: Door, victim: Victim, attacker: str, body: str, status: int) -> None:
    content = INPUT if body == "the same" else {"name": "another", "type": "B"}
    answer = door.send(attacker, "POST", headers={"Idempotency-Key": KEY}, body=content)
    # Neither their answer, nor 409 or 422, which would tell that they used the key.
    assert answer.status == status
    assert answer.json()["id"] != victim.id
    victim.assert_unharmed()


ALIASES: dict[str, Callable[[str], str]] = {
    "other case": str.lower,
    "white space behind": lambda subject: subject + " ",
    "a # behind": lambda subject: subject + "#",
    "their key": lambda subject: f"user#{subject}",
    "a sort key behind": lambda subject: f"{subject}#resource#",
    "a path to them": lambda subject: f"x/../{subject}",
    "percent-encoded": quote,
    "NUL behind": lambda subject: f"{subject}\0",
    "decomposed letters": lambda subject: unicodedata.normalize("NFD", subject),
    "the first part": lambda subject: subject[:-1],
    "in brackets": lambda subject: f"[{subject}]",
}


@pytest.mark.parametrize(("alias", "status"), [(alias, 404) for alias in ALIASES])
def test_a_subject_like_the_victims(door: Door, victim: Victim, alias: str, status: int) -> None:
    subject = ALIASES[alias](victim.subject)
    assert subject != victim.subject
    assert door.send(subject, "GET").json() == {"resources": [], "count": 0}
    assert door.send(subject, "DELETE", victim.path).status == status
    victim.assert_unharmed()


DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
INJECTED_IDS: dict[str, Callable[[Victim], str]] = {
    "another item's sort key": lambda _: f"idempotency#{DIGEST}",
    "the resource's sort key": lambda victim: f"resource#{victim.id}",
    "the partition and sort key": lambda victim: f"user#{victim.subject}#resource#{victim.id}",
    "a path to another item": lambda _: f"../idempotency#{DIGEST}",
    "upper case": lambda victim: victim.id.upper(),
    "a line break behind": lambda victim: f"{victim.id}\n",
    "NUL behind": lambda victim: f"{victim.id}\0",
    "white space before": lambda victim: f" {victim.id}",
    "digits of another script": lambda victim: victim.id.replace("0", "\u0660").replace("1", "\u0661"),
    "a prefix": lambda victim: victim.id[:8],
    "an expression": lambda _: "attribute_exists(pk)",
    "a placeholder": lambda _: ":version0",
    "8 kB": lambda _: "0" * 8192,
}


@pytest.mark.parametrize(("injected", "status"), [(name, 404) for name in INJECTED_IDS])
def test_key_injected_through_an_id(door: Door, victim: Victim, injected: str, status: int) -> None:
    # By its own user, whose partition holds the other items that must not be reached.
    path = f"{RESOURCES}/{quote(INJECTED_IDS[injected](victim), safe='')}"
    for method in ("GET", "PUT", "DELETE"):
        answer = door.send(victim.subject, method, path, body=INPUT if method == "PUT" else None)
        assert answer.status == status
    victim.assert_unharmed()


@pytest.mark.parametrize(
    ("name", "status"), [("id", 400), ("pk", 400), ("sk", 400), ("version", 400), ("createdAt", 400), ("subject", 400)]
)
def test_key_injected_through_a_property(door: Door, victim: Victim, attacker: str, name: str, status: int) -> None:
    value = {"pk": f"user#{victim.subject}", "id": victim.id}.get(name, "x")
    for method, path in (("POST", RESOURCES), ("PUT", victim.path)):
        answer = door.send(attacker, method, path, body={**INPUT, name: value})
        assert (answer.status, answer.problems) == (status, {name: "is not a known property"})
    victim.assert_unharmed()


NAMES = {
    "a partition": "user#victim",
    "a sort key": "resource#019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10",
    "an update expression": "#name, #pk = :version0",
    "a placeholder": ":name",
    "SQL": "x' OR '1'='1",
    "DynamoDB's JSON": '{"S": "x"}',
    "templates": "${AWS::AccountId} {{7*7}}",
    "a script": "<script>alert(1)</script>",
}


@pytest.mark.parametrize(("injected", "status"), [(name, 201) for name in NAMES])
def test_key_or_expression_injected_through_a_name(door: Door, attacker: str, injected: str, status: int) -> None:
    name = NAMES[injected]
    created = door.send(attacker, "POST", body={"name": name, "type": "A", "metadata": {name: name}})
    assert (created.status, created.headers["content-type"]) == (status, "application/json")
    path = f"{RESOURCES}/{created.json()['id']}"
    assert door.send(attacker, "PUT", path, body={"name": name, "type": "B"}).status == 200
    (read,) = door.send(attacker, "GET").json()["resources"]
    assert read["name"] == name


IDEMPOTENCY_KEYS = {
    "a sort key": ("idempotency#0", 201),
    "an attribute's placeholder": ("#pk", 201),
    "a value's placeholder": (":now", 201),
    "a path": ("../x", 201),
    "256 characters": ("x" * 256, 400),
    "a blank": ("a b", 400),
}


@pytest.mark.parametrize(
    ("key", "status"), [pytest.param(*attack, id=f"{name}-{attack[1]}") for name, attack in IDEMPOTENCY_KEYS.items()]
)
def test_key_injected_through_an_idempotency_key(door: Door, attacker: str, key: str, status: int) -> None:
    headers = {"Idempotency-Key": key}
    first = door.send(attacker, "POST", headers=headers, body=INPUT)
    assert first.status == status
    if status == 201:
        assert door.send(attacker, "POST", headers=headers, body=INPUT).json() == first.json()
        assert door.send(attacker, "GET").json()["count"] == 1
