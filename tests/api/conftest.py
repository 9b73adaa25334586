"""The API over real HTTP, as `make run` serves it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local_engine.testing import EngineProcess
from tests.support.gateway import Answer
from tests.support.matrix import EVERY_SCOPE
from tests.support.stack import find_media_type


class Server:
    """The running API, and the means to get tokens for it."""

    def __init__(self, engine: EngineProcess) -> None:
        self.url = engine.url
        self._engine = engine

    def authorize(
        self, subject: str, scopes: str = EVERY_SCOPE, claims: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """The header that carries a caller's token."""
        token = self._engine.mint_token(*scopes.split(), subject=subject, claims=claims)
        return {"Authorization": f"Bearer {token}"}

    def connect(self, subject: str | None = None, scopes: str = EVERY_SCOPE, **options: Any) -> httpx.Client:
        """A client of the API; without a subject it sends no token."""
        headers = self.authorize(subject, scopes, **options) if subject else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


class User:
    """A user with a connection, for the helpers that create what a route needs."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, method: str, path: str, *, query: Any = None, headers: Any = None, body: Any = None) -> Answer:
        # Several lines of one header come as a list of pairs.
        sent = httpx.Headers(headers)
        if body is not None:
            sent.setdefault("Content-Type", find_media_type(method))
        response = self._client.request(method, path, params=query, headers=sent, json=body)
        return Answer(response.status_code, response.headers, response.text)


@pytest.fixture(scope="session")
def server(engine: EngineProcess) -> Server:
    return Server(engine)


@pytest.fixture
def user(server: Server, request: pytest.FixtureRequest) -> Iterator[User]:
    """A user who has nothing yet."""
    with server.connect(request.node.nodeid) as client:
        yield User(client)
