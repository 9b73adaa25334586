"""Locust users that send requests from the profile's mix, one after the other."""

import random
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import cycle

import gevent
from locust import FastHttpUser, task

from tools.benchmarks.load.profile import OPERATIONS, OTHERS, Stage
from tools.benchmarks.load.routes import Read

ANSWER_SECONDS = 35
"""Timeout of a request; the gateway answers within 30 seconds."""
RESOURCES = "/api/v1/resources"
_MERGE_PATCH = "application/merge-patch+json"
_STATUSES = {"list": 200, "get": 200, "create": 201, "update": 200, "patch": 200, "delete": 204}


class Traffic:
    """State that a run's callers share: the mix, and the resources that they created."""

    def __init__(self, mix: Mapping[str, int], token: str, reads: Sequence[Read]) -> None:
        self.headers = {"Authorization": f"Bearer {token}"}
        self.mark = f"load test {uuid.uuid4()}"
        """Name of every resource of this run."""
        self.resources: deque[str] = deque()
        """IDs of resources that no request uses at the moment."""
        self.stage = Stage(0, None, 1)
        self.reads = cycle(reads)
        """Requests to the other routes, without end; empty if the API has none."""
        self._mix = mix
        self._deck: list[str] = []

    def draw(self) -> str:
        """Return the next operation, drawn from a shuffled deck that contains the mix once.

        A deck keeps to the mix within a few requests, so the number of resources does not drift as it would with
        independent draws.
        """
        if not self._deck:
            self._deck = [operation for operation, count in self._mix.items() for _ in range(count)]
            random.shuffle(self._deck)
        operation = self._deck.pop()
        if operation not in ("list", "create", OTHERS) and not self.resources:
            return "create"
        return operation

    def describe_resource(self) -> dict[str, object]:
        return {"name": self.mark, "type": "A", "metadata": {"colour": "blue", "weight": 12.5}}


class Caller(FastHttpUser):
    """Sends requests at the stage's rate, or back to back."""

    traffic: Traffic
    # Locust's default accepts any certificate.
    insecure = False
    connection_timeout = network_timeout = ANSWER_SECONDS

    def on_start(self) -> None:
        """Start at a random moment within the interval, so that callers do not send in step."""
        self._due = time.perf_counter() + random.random() * self._interval()
        gevent.sleep(self._due - time.perf_counter())

    def wait_time(self) -> float:
        """Return the seconds until the next request is due. A late one is sent at once, without catching up."""
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
        read = next(traffic.reads, None) if operation == OTHERS else None
        if read is not None:
            self._send(read.route, read.status, "GET", read.path)
        elif operation in ("list", OTHERS):
            self._send_operation("list", "GET", RESOURCES)
        elif operation == "create":
            # No Idempotency-Key, because the item that it leaves in the table could not be deleted afterwards.
            created = self._send_operation(operation, "POST", RESOURCES, json=traffic.describe_resource())
            if created is not None:
                traffic.resources.append(str(created["id"]))
        else:
            self._send_about(operation, traffic.resources.popleft())

    def _send_about(self, operation: str, resource: str) -> None:
        """Send a request about a resource that no other caller deletes meanwhile."""
        path = f"{RESOURCES}/{resource}"
        if operation == "delete":
            self._send_operation(operation, "DELETE", path)
            return
        try:
            if operation == "get":
                self._send_operation(operation, "GET", path)
            elif operation == "patch":
                self._send_operation(operation, "PATCH", path, json={"metadata": {"colour": "red"}})
            else:
                self._send_operation(operation, "PUT", path, json=self.traffic.describe_resource())
        finally:
            self.traffic.resources.append(resource)

    def _send_operation(
        self, operation: str, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> Mapping[str, object] | None:
        return self._send(OPERATIONS[operation], _STATUSES[operation], method, path, json)

    def _send(
        self, route: str, expected: int, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> Mapping[str, object] | None:
        """Send a request and return its JSON response; None if it failed or has no content."""
        with self.client.request(
            method,
            path,
            name=route,
            json=json,
            headers=self.traffic.headers | ({"Content-Type": _MERGE_PATCH} if method == "PATCH" else {}),
            allow_redirects=False,
            catch_response=True,
        ) as response:
            if response.status_code != expected:
                # Status 0 stands for a request without a response.
                response.failure(str(response.status_code or getattr(response, "error", "")))
                return None
            return response.json() if response.content else None
