"""The stack with search in the local engine, its users, and clients of the AWS services behind it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest

from local_engine.child_environment import X_RAY_DAEMON
from local_engine.testing import EngineProcess, poll
from tests.support.api_client import Answer, ApiClient
from tests.support.programs import prepare_engine
from tests.support.resources import RESOURCES
from tools.benchmarks.search.service_calls import CallRecorder

type Clients = Callable[[str], Any]

SEARCH = "/api/v1/search"
WAIT_SECONDS = 240


class User(ApiClient):
    """A user who searches."""

    def write(self, name: str, kind: str = "A", **metadata: Any) -> str:
        """Create a resource and return its path."""
        answer = self.send("POST", RESOURCES, {"name": name, "type": kind, "metadata": metadata})
        assert answer.status == 201, answer
        return answer.headers["location"]

    def search(self, text: str, **options: Any) -> Answer:
        return self.send("GET", f"{SEARCH}?{urlencode({'q': text, **options})}")

    def find(self, text: str, **options: Any) -> list[str]:
        """Return the names of what a search finds, best first."""
        answer = self.search(text, **options)
        assert answer.status == 200, answer
        return [result["resource"]["name"] for result in answer.document["results"]]

    def wait_until_found(self, text: str, names: set[str], **options: Any) -> None:
        """Wait until a search finds exactly these names."""
        options = {"limit": 50, **options}
        poll(lambda: set(self.find(text, **options)) == names, f"{text!r} finds {names}", WAIT_SECONDS)


class Table:
    """What the table holds of a user."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def list_items(self, user: ApiClient, prefix: str = "vector#") -> dict[str, Mapping[str, Any]]:
        found = self._dynamodb.query(
            TableName="Table",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"user#{user.subject}"}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"]: item for item in found["Items"] if item["sk"]["S"].startswith(prefix)}

    def put(self, item: Mapping[str, Any]) -> None:
        self._dynamodb.put_item(TableName="Table", Item=item)

    def delete(self, user: ApiClient, sort_key: str) -> None:
        key = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": sort_key}}
        self._dynamodb.delete_item(TableName="Table", Key=key)


class Model:
    """The stand-in for Bedrock, and the quota and the faults that it has for a block."""

    def __init__(self, services: str) -> None:
        self._url = f"{services}/_local/bedrock"

    @contextmanager
    def limits(self, **settings: Any) -> Iterator[None]:
        self.configure(**settings)
        try:
            yield
        finally:
            self.configure()

    def configure(self, **settings: Any) -> None:
        httpx.put(self._url, json=settings).raise_for_status()

    def count_requests(self) -> int:
        return int(httpx.get(self._url).json()["requests"])

    def count_open_streams(self) -> int:
        return int(httpx.get(self._url).json()["openStreams"])

    def count_failed(self) -> int:
        return int(httpx.get(self._url).json()["failedRequests"])


@pytest.fixture(scope="session")
def calls() -> Iterator[CallRecorder]:
    """The functions' calls to other services."""
    with CallRecorder() as calls:
        yield calls


@pytest.fixture(scope="session")
def engine(calls: CallRecorder) -> Iterator[EngineProcess]:
    with prepare_engine(environment={X_RAY_DAEMON: calls.address}) as engine:
        yield engine


@pytest.fixture(scope="session")
def aws(engine: EngineProcess) -> Clients:
    """Makes clients of the services, and of the functions with `lambda`."""
    return cache(engine.aws_client)


@pytest.fixture(scope="session")
def table(aws: Clients) -> Table:
    return Table(aws("dynamodb"))


@pytest.fixture(scope="session")
def model(engine: EngineProcess) -> Model:
    return Model(engine.services)


@pytest.fixture
def user(engine: EngineProcess) -> User:
    return User(engine.url, f"user-{uuid4()}")


def make_message(owner: str, item_id: str) -> str:
    """Return a message such as a rule of the bus sends."""
    detail = {"schemaVersion": 1, "owner": owner, "id": item_id, "occurredAt": "2026-11-26T12:47:41.118Z"}
    return json.dumps({"detail-type": "ResourceUpdated", "detail": detail})
