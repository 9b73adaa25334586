"""Metrics that DynamoDB and SQS publish, from the activity of the local AWS services.

Sources: "DynamoDB metrics and dimensions" (DynamoDB Developer Guide), "Available CloudWatch metrics for Amazon SQS"
(SQS Developer Guide).
"""

import asyncio
import http.client
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.services.moto_activity import ACTIVITY_PATH

_SECONDS = 2.0


class ServiceMetrics:
    """Polls the services. If they do not answer, there are no metrics of theirs."""

    def __init__(self, endpoint: str, store: MetricStore) -> None:
        self._host = urllib.parse.urlsplit(endpoint).netloc
        self._store = store
        self._seen = 0

    async def poll(self) -> None:
        """Ask once, and publish new activity."""
        activity = await asyncio.to_thread(self._ask)
        try:
            self._publish(activity)
        except (KeyError, TypeError, AttributeError):
            # Other services may have something else at this path.
            return

    def _ask(self) -> Any:
        connection = http.client.HTTPConnection(self._host, timeout=_SECONDS)
        try:
            connection.request("GET", f"{ACTIVITY_PATH}?after={self._seen}")
            response = connection.getresponse()
            return json.loads(response.read()) if response.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()

    def _publish(self, activity: Mapping[str, Any]) -> None:
        for request in activity.get("requests", ()):
            self._publish_request(request)
        self._seen = int(activity.get("last", self._seen))
        for queue in activity.get("queues", ()):
            for name, value, unit in (
                ("ApproximateNumberOfMessagesVisible", queue["visible"], "Count"),
                ("ApproximateNumberOfMessagesNotVisible", queue["notVisible"], "Count"),
                ("ApproximateNumberOfMessagesDelayed", queue["delayed"], "Count"),
                ("ApproximateAgeOfOldestMessage", queue["oldestSeconds"], "Seconds"),
            ):
                metric = Metric.of("AWS/SQS", name, {"QueueName": queue["name"]})
                self._store.add(metric, (float(value),), unit)

    def _publish_request(self, request: Mapping[str, Any]) -> None:
        at = float(request["time"])

        def publish(name: str, dimensions: Mapping[str, str], value: float, unit: str = "Count") -> None:
            self._store.add(Metric.of("AWS/DynamoDB", name, dimensions), (value,), unit, at)

        for table in request["tables"]:
            by_table = {"TableName": str(table["name"])}
            by_operation = {**by_table, "Operation": str(request["operation"])}
            for member, name in (
                ("readUnits", "ConsumedReadCapacityUnits"),
                ("writeUnits", "ConsumedWriteCapacityUnits"),
            ):
                if table.get(member) is not None:
                    publish(name, by_table, float(table[member]))
            if request["status"] == 200:
                publish("SuccessfulRequestLatency", by_operation, float(request["milliseconds"]), "Milliseconds")
            elif request["status"] >= 500:
                publish("SystemErrors", by_operation, 1.0)
            if table["failedConditions"]:
                publish("ConditionalCheckFailedRequests", by_table, float(table["failedConditions"]))
        if 400 <= request["status"] < 500 and request["error"] != "ConditionalCheckFailedException":
            publish("UserErrors", {}, 1.0)
