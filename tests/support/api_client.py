"""Calls the API as its users do: over HTTP, with a token, and again if told to come back."""

import http.client
import itertools
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from local_engine.issuer import AUDIENCE, issuer_url, load_signing_key, mint_token
from tests.support.items import read_items
from tests.support.stack import ROOT, Route, find_media_type, list_routes, list_scopes

IDLE_SECONDS = 30
"""After so long, a client makes a new connection: the gateway closes the old one at some time."""


@dataclass(frozen=True)
class Answer:
    """The answer, and after how many seconds it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def is_unavailable(self) -> bool:
        """Whether a function says to come back later, rather than the gateway, and says all of it."""
        return self.status == 503 and set(self.document) == {"error", "requestId"} and self.retry_after >= 1

    @property
    def retry_after(self) -> int:
        """Seconds; 0 if the answer does not say."""
        return int(self.headers.get("retry-after", 0))


class ApiClient:
    """One user with one connection."""

    def __init__(self, url: str, subject: str) -> None:
        port = urlsplit(url).port
        assert port is not None
        self.subject = subject
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._used = 0.0
        self._token = mint_token(
            load_signing_key(ROOT), issuer=issuer_url(port), audience=AUDIENCE, subject=subject, scopes=list_scopes()
        )

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        started = time.perf_counter()
        if started - self._used > IDLE_SECONDS:
            self._connection.close()
        sent = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        content = None
        if body is not None:
            content = json.dumps(body)
            sent["Content-Type"] = find_media_type(method)
        self._connection.request(method, path, content, sent)
        response = self._connection.getresponse()
        received = response.read()
        self._used = time.perf_counter()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            received,
            self._used - started,
        )

    def list_all(self, path: str) -> list[dict[str, Any]]:
        """Return all items of the user in a collection, page by page."""
        found: list[dict[str, Any]] = []
        query = "?limit=7"
        while True:
            answer = self.send("GET", path + query)
            if answer.is_unavailable:
                time.sleep(answer.retry_after)
                continue
            assert answer.status == 200, answer
            found += read_items(answer.document)
            if "nextToken" not in answer.document:
                return found
            query = f"?limit=7&nextToken={answer.document['nextToken']}"


def make_id() -> str:
    """An ID as the API assigns them, of no item."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def make_next_token() -> str:
    return urlsafe_b64encode(bytes.fromhex(make_id().replace("-", ""))).decode().rstrip("=")


_limits = itertools.cycle(range(1, 101))


def _call(route: Route, client: ApiClient) -> Answer:
    path = route.path.format(**dict.fromkeys(route.path_parameters, make_id()))
    # The tokens of pages of items are the items' IDs; other pages have their own tokens.
    has_items = any(other.path == route.path + "/{id}" for other in list_routes())
    query = route.query
    if route.takes("nextToken") and has_items:
        query = f"?nextToken={make_next_token()}"
    elif route.takes("q"):
        query = f"?q={make_id()}"
    elif route.takes("limit"):
        query = f"?limit={next(_limits)}"
    headers = {"Idempotency-Key": make_id()} if route.takes("Idempotency-Key") else {}
    return client.send(route.method, path + query, route.body, headers)


KINDS: Sequence[Callable[[ApiClient], Answer]] = tuple(partial(_call, route) for route in list_routes())
"""A request of each route, each time another one; those about an item find none."""
