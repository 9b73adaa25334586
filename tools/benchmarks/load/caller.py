"""The callers that Locust runs: each sends one request after the other, drawn from the profile's mix."""

import random
import time
import uuid
from collections import deque
from collections.abc import Mapping

import gevent
from locust import FastHttpUser, task

from tools.benchmarks.load.profile import OPERATIONS, Stage

ANSWER_SECONDS = 35
"""How long a request waits for its answer; the gateway itself answers within 30 seconds."""
RESOURCES = "/api/v1/resources"
_STATUSES = {"list": 200, "get": 200, "create": 201, "update": 200, "delete": 204}


class Traffic:
    """What all callers of a run share: the mix, and the resources that they have made."""

    def __init__(self, mix: Mapping[str, int], token: str) -> None:
        self.headers = {"Authorization": f"Bearer {token}"}
        self.mark = f"load test {uuid.uuid4()}"
        """The name of every resource of this run."""
        self.resources: deque[str] = deque()
        """Ids of those that no request is about."""
        self.stage = Stage(0, None, 1)
        self._mix = mix
        self._deck: list[str] = []

    def draw(self) -> str:
        """Return the next operation: as a card from a deck that holds the mix once.

        A deck keeps to the mix within a few requests, so that the number of resources does not wander off as it would
        with independent draws.
        """
        if not self._deck:
            self._deck = [operation for operation, count in self._mix.items() for _ in range(count)]
            random.shuffle(self._deck)
        operation = self._deck.pop()
        if operation in ("get", "update", "delete") and not self.resources:
            return "create"
        return operation

    def describe_resource(self) -> dict[str, object]:
        return {"name": self.mark, "type": "A", "metadata": {"colour": "blue", "weight": 12.5}}


class Caller(FastHttpUser):
    """Sends requests at the stage's rate, or as fast as they are answered."""

    traffic: Traffic
    # Locust's own default accepts any certificate.
    insecure = False
    connection_timeout = network_timeout = ANSWER_SECONDS

    def on_start(self) -> None:
        """Take a moment of one's own within the second, so that callers do not send in step."""
        self._due = time.perf_counter() + random.random() * self._interval()
        gevent.sleep(self._due - time.perf_counter())

    def wait_time(self) -> float:
        """Return the seconds until the next request is due; one that is late is sent at once, and not made up for."""
        now = time.perf_counter()
        self._due = max(self._due + self._interval(), now)
        return self._due - now

    def _interval(self) -> float:
        stage = self.traffic.stage
        return stage.users / stage.rate if stage.rate else 0.0

    @task
    def send_next(self) -> None:
        """Send one request of the mix."""
        traffic = self.traffic
        operation = traffic.draw()
        if operation == "list":
            self._send(operation, "GET", RESOURCES)
        elif operation == "create":
            # Without an Idempotency-Key: what it leaves in the table could not be deleted afterwards.
            created = self._send(operation, "POST", RESOURCES, json=traffic.describe_resource())
            if created is not None:
                traffic.resources.append(str(created["id"]))
        else:
            self._send_about(operation, traffic.resources.popleft())

    def _send_about(self, operation: str, resource: str) -> None:
        """Send a request about a resource, which no other caller deletes meanwhile."""
        path = f"{RESOURCES}/{resource}"
        if operation == "delete":
            self._send(operation, "DELETE", path)
            return
        try:
            if operation == "get":
                self._send(operation, "GET", path)
            else:
                self._send(operation, "PUT", path, json=self.traffic.describe_resource())
        finally:
            self.traffic.resources.append(resource)

    def _send(
        self, operation: str, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> Mapping[str, object] | None:
        """Send a request, and return what it is answered with, or None where it failed or has no content."""
        expected = _STATUSES[operation]
        with self.client.request(
            method,
            path,
            name=OPERATIONS[operation],
            json=json,
            headers=self.traffic.headers,
            allow_redirects=False,
            catch_response=True,
        ) as response:
            if response.status_code != expected:
                response.failure(str(response.error) if response.status_code == 0 else f"{response.status_code}")
                return None
            return response.json() if response.content else None
