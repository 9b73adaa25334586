"""Calls the API as its users do: over HTTP, with a token, and again where it is told to come back."""

import http.client
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from local_engine.issuer import AUDIENCE, issuer_url, load_signing_key, mint_token

RESOURCES = "/api/v1/resources"
SCOPES = ("read:resources", "write:resources")


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def is_unavailable(self) -> bool:
        """Whether it is the functions' own «come back later», and not the gateway's or half of one."""
        return self.status == 503 and set(self.document) == {"error", "requestId"} and self.retry_after >= 1

    @property
    def retry_after(self) -> int:
        """Seconds; 0 where the answer does not say."""
        return int(self.headers.get("retry-after", 0))


class ApiClient:
    """One user with one connection."""

    def __init__(self, url: str, subject: str) -> None:
        port = urlsplit(url).port
        assert port is not None
        self.subject = subject
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._token = mint_token(
            load_signing_key(), issuer=issuer_url(port), audience=AUDIENCE, subject=subject, scopes=SCOPES
        )

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        started = time.perf_counter()
        sent = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        content = None
        if body is not None:
            content = json.dumps(body)
            sent["Content-Type"] = "application/json"
        self._connection.request(method, path, content, sent)
        response = self._connection.getresponse()
        received = response.read()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            received,
            time.perf_counter() - started,
        )

    def list_all(self) -> list[dict[str, Any]]:
        """Return all resources of the user, page by page."""
        found: list[dict[str, Any]] = []
        query = "?limit=7"
        while True:
            answer = self.send("GET", RESOURCES + query)
            if answer.is_unavailable:
                time.sleep(answer.retry_after)
                continue
            assert answer.status == 200, answer
            found += answer.document["resources"]
            if "nextToken" not in answer.document:
                return found
            query = f"?limit=7&nextToken={answer.document['nextToken']}"


def make_id() -> str:
    """An id as the API gives them, of no resource."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def make_next_token() -> str:
    return urlsafe_b64encode(bytes.fromhex(make_id().replace("-", ""))).decode().rstrip("=")


KINDS: Sequence[Callable[[ApiClient], Answer]] = (
    lambda client: client.send("POST", RESOURCES, {"name": "one", "type": "A"}, {"Idempotency-Key": make_id()}),
    lambda client: client.send("GET", f"{RESOURCES}/{make_id()}"),
    lambda client: client.send("PUT", f"{RESOURCES}/{make_id()}", {"name": "one", "type": "A"}),
    lambda client: client.send("DELETE", f"{RESOURCES}/{make_id()}"),
    lambda client: client.send("GET", f"{RESOURCES}?nextToken={make_next_token()}"),
)
"""A request of each route, each time another one."""
