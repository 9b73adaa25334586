"""A user who knows what must be stored: sends requests and checks each answer against those before it.

Only this user writes its items, so every answer is known beforehand. A write that gets a 503 may have been performed or
not: the user waits as long as `Retry-After` says and sends it again until it gets another answer.
"""

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.api_client import Answer, ApiClient
from tests.support.items import read_items
from tests.support.resources import RESOURCES

# The noun that the model is of. A team that renames it edits these lines and `make_body`.
COLLECTION = RESOURCES
FIELDS = ("name", "type", "metadata")
UNIQUE_FIELD = "name"


def make_body(numbers: random.Random, unique: str) -> dict[str, Any]:
    """A valid body that contains a unique text."""
    body: dict[str, Any] = {"name": unique, "type": numbers.choice("ABC")}
    if numbers.random() < 0.5:
        body["metadata"] = {"unique": unique, "text": "x" * numbers.randrange(200)}
    return body


MOST_REPEATS = 60
ACTIONS = {"create": 30, "read": 25, "update": 10, "patch": 10, "list": 10, "delete": 10, "replay": 5}
"""How often each is chosen, in percent."""


@dataclass
class Tally:
    """The answers to the requests of an experiment.

    Attributes:
        right: those that the model expects.
        unavailable: 503 with `Retry-After`, from a function.
        wrong: all others, described.
        repeats: how often a request was sent again; not counted elsewhere.
        seconds: how long each answer took.
    """

    right: int = 0
    unavailable: int = 0
    wrong: list[str] = field(default_factory=list)
    repeats: int = 0
    seconds: list[float] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return self.right + self.unavailable + len(self.wrong)

    def add(self, other: "Tally") -> None:
        self.right += other.right
        self.unavailable += other.unavailable
        self.wrong += other.wrong
        self.repeats += other.repeats
        self.seconds += other.seconds
        self.actions += other.actions


@dataclass
class _Known:
    """An item as of its last answer."""

    document: dict[str, Any]
    etag: str


class ModelledUser:
    """Sends random requests, the same for the same seed, and tracks the state that they must lead to."""

    def __init__(self, client: ApiClient, seed: int) -> None:
        self.tally = Tally()
        self._client = client
        self._random = random.Random(f"{seed}/{client.subject}")
        self._known: dict[str, _Known] = {}
        self._deleted: list[str] = []
        self._created: list[tuple[dict[str, str], dict[str, Any], dict[str, Any]]] = []
        # Creates that may have been carried out, by their idempotency keys.
        self._unsettled: list[tuple[dict[str, Any], dict[str, str]]] = []
        self._number = 0

    def send_requests(self, count: int) -> None:
        for _ in range(count):
            action = self._random.choices([*ACTIONS], [*ACTIONS.values()])[0]
            needed = {"update": self._known, "patch": self._known, "delete": self._known, "replay": self._created}.get(
                action, True
            )
            if not needed:
                action = "create"
            self.tally.actions[action] += 1
            getattr(self, f"_{action}")()

    def check_end(self) -> None:
        """Compare what is stored with what must be: nothing lost, nothing duplicated."""
        while self._unsettled:
            self._settle_create(*self._unsettled.pop(), MOST_REPEATS)
        assert self._client.list_all(COLLECTION) == self._list_expected(), (
            f"{self._client.subject}: what is stored is not what was answered"
        )

    def _list_expected(self) -> list[dict[str, Any]]:
        return [self._known[key].document for key in sorted(self._known, reverse=True)]

    def _create(self) -> None:
        body = self._make_body()
        headers = {"Idempotency-Key": f"key-{self._number}"}
        answer = self._client.send("POST", COLLECTION, body, headers)
        is_right = answer.status == 201 and _matches(answer, body)
        self._count(answer, is_right, f"create {body}")
        if is_right:
            self._keep(answer, body, headers)
        elif answer.is_unavailable:
            time.sleep(answer.retry_after)
            self._settle_create(body, headers, 1)

    def _settle_create(self, body: dict[str, Any], headers: dict[str, str], repeats: int) -> None:
        """Send a create again until it is answered, or leave it for the end."""
        for _ in range(repeats):
            self.tally.repeats += 1
            answer = self._client.send("POST", COLLECTION, body, headers)
            if answer.status == 201:
                assert _matches(answer, body), answer
                self._keep(answer, body, headers)
                return
            # If the first request's process got no answer, its claim holds for a while longer: 409.
            assert answer.is_unavailable or (answer.status == 409 and answer.retry_after), answer
            time.sleep(answer.retry_after)
        self._unsettled.append((body, headers))

    def _keep(self, answer: Answer, body: dict[str, Any], headers: dict[str, str]) -> None:
        document = answer.document
        self._known[document["id"]] = _Known(document, answer.headers["etag"])
        self._created.append((headers, body, document))

    def _replay(self) -> None:
        headers, body, first = self._random.choice(self._created)
        answer = self._client.send("POST", COLLECTION, body, headers)
        self._count(answer, answer.status == 201 and answer.document == first, f"replay of {first}")

    def _read(self) -> None:
        if self._deleted and self._random.random() < 0.2:
            answer = self._client.send("GET", f"{COLLECTION}/{self._random.choice(self._deleted)}")
            self._count(answer, answer.status == 404, "read of a deleted item")
        elif self._known:
            known = self._known[self._pick()]
            answer = self._client.send("GET", f"{COLLECTION}/{known.document['id']}")
            right = answer.status == 200 and answer.document == known.document and answer.headers["etag"] == known.etag
            self._count(answer, right, f"read of {known}")
        else:
            self._list()

    def _list(self) -> None:
        answer = self._client.send("GET", f"{COLLECTION}?limit=100")
        unsettled = {body[UNIQUE_FIELD] for body, _ in self._unsettled}
        is_right = answer.status == 200 and self._list_expected() == [
            document for document in read_items(answer.document) if document[UNIQUE_FIELD] not in unsettled
        ]
        self._count(answer, is_right, "list")

    def _update(self) -> None:
        body = self._make_body()
        self._change("PUT", self._known[self._pick()], body, body)

    def _patch(self) -> None:
        known = self._known[self._pick()]
        before = {name: value for name, value in known.document.items() if name in FIELDS}
        patch = {UNIQUE_FIELD: self._make_body()[UNIQUE_FIELD]}
        self._change("PATCH", known, patch, before | patch)

    def _change(self, method: str, known: _Known, body: dict[str, Any], after: dict[str, Any]) -> None:
        resource_id = known.document["id"]
        headers = {"If-Match": known.etag} if self._random.random() < 0.5 else {}
        path = f"{COLLECTION}/{resource_id}"
        answer = self._write(
            method, path, body, headers, lambda answer: answer.status == 200 and _matches(answer, after)
        )
        if answer is not None:
            assert answer.document["createdAt"] == known.document["createdAt"]
            self._known[resource_id] = _Known(answer.document, answer.headers["etag"])

    def _delete(self) -> None:
        resource_id = self._pick()
        etag = self._known.pop(resource_id).etag
        headers = {"If-Match": etag} if self._random.random() < 0.5 else {}
        self._write("DELETE", f"{COLLECTION}/{resource_id}", None, headers, lambda answer: answer.status == 204)
        self._deleted.append(resource_id)

    def _write(self, method: str, path: str, body: Any, headers: Mapping[str, str], is_right: Any) -> Answer | None:
        """Send a write and return the answer that settles it, or None if it was wrong."""
        answer = self._client.send(method, path, body, headers)
        self._count(answer, is_right(answer), f"{method} {path} {body} {dict(headers)}")
        if not answer.is_unavailable:
            return answer if is_right(answer) else None
        for _ in range(MOST_REPEATS):
            time.sleep(answer.retry_after)
            self.tally.repeats += 1
            # Without the condition: the first request may have been carried out, and made it untrue.
            answer = self._client.send(
                method, path, body, {name: value for name, value in headers.items() if name != "If-Match"}
            )
            if is_right(answer) or (method == "DELETE" and answer.status == 404):
                return answer
            assert answer.is_unavailable, f"{method} {path} again: {answer}"
        raise AssertionError(f"{method} {path} was never answered: {answer}")

    def _count(self, answer: Answer, is_right: bool, what: str) -> None:
        self.tally.seconds.append(answer.seconds)
        if is_right:
            self.tally.right += 1
        elif answer.is_unavailable:
            self.tally.unavailable += 1
        else:
            self.tally.wrong.append(f"{what}: {answer}")

    def _make_body(self) -> dict[str, Any]:
        self._number += 1
        return make_body(self._random, f"{self._client.subject} {self._number}")

    def _pick(self) -> str:
        return self._random.choice(sorted(self._known))


def _matches(answer: Answer, body: Mapping[str, Any]) -> bool:
    document = answer.document
    return {name: document.get(name) for name in FIELDS} == dict.fromkeys(FIELDS) | dict(body)
