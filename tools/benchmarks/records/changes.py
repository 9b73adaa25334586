"""Random changes by many clients, while records of the stream arrive twice or late and functions are killed.

python -m tools.benchmarks.records.changes --changes 5000
"""

import argparse
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from local_engine.template import ACCOUNT_ID, REGION
from local_engine.testing import EngineProcess, poll
from tools.audit_check import check_local
from tools.benchmarks.background import run_beside, show_progress
from tools.benchmarks.function_processes import FunctionKiller
from tools.benchmarks.records.erasure import connect, run_stack

CLIENTS = 16
USERS = ("first", "second", "third", "fourth")
CONSUMERS = ("RecordChanges", "PublishChanges")
ACTIONS = {"create": 40, "update": 45, "delete": 15}
RESOURCES = "/api/v1/resources"
_SCOPES = ("read:resources", "write:resources", "read:audit")
_QUEUE = "every-event"
_LONGEST_SECONDS = 1800


class Change(NamedTuple):
    """A committed change, as the API's answer, an entry of the trail or an event tells it."""

    user: str
    action: str
    id: str
    version: str
    request: str


class Experiment:
    """Many changes, and what the trail and the bus say of them.

    Attributes:
        engine: the running stack.
        changes: how many changes the clients ask for.
    """

    def __init__(self, engine: EngineProcess, changes: int, kills: int) -> None:
        self.engine, self.changes = engine, changes
        self._ids: dict[str, list[str]] = {user: [] for user in USERS}
        self._committed: list[Change] = []
        self._uncertain: set[str] = set()
        self._events: Counter[Change] = Counter()
        self._again = self._found = 0
        self._killer = FunctionKiller(engine.process.pid, CONSUMERS, kills, lambda: len(self._committed) / self.changes)

    def run(self) -> dict[str, Any]:
        """Make the changes and return what was seen.

        Raises:
            AssertionError: an entry is missing or too many, a chain has a gap, or an event is missing or invented.
        """
        self._subscribe()
        started = time.monotonic()
        with run_beside(self._killer.run, self._deliver_again):
            with ThreadPoolExecutor(CLIENTS) as clients:
                list(clients.map(self._make_changes, range(CLIENTS)))
            seconds = time.monotonic() - started
            # The trail is complete while records still arrive again and functions are killed.
            poll(lambda: self._read_trail() >= Counter(self._committed), "every entry is there", _LONGEST_SECONDS)
        self._check_trail()
        self._check_events()
        return {
            "changes": len(self._committed),
            "uncertain": len(self._uncertain),
            "entries": self._read_trail().total(),
            "events": self._events.total(),
            "delivered again": self._again,
            "kills": self._killer.killed,
            "changes a second": round(len(self._committed) / seconds, 1),
            "seconds": round(time.monotonic() - started, 1),
        }

    def describe(self) -> str:
        """Return how far the experiment is."""
        return (
            f"{len(self._committed)} of {self.changes} changes, {len(self._uncertain)} uncertain, "
            f"{self._found} entries found, {self._events.total()} events, {self._again} delivered again, "
            f"{self._killer.killed} kills"
        )

    def _check_trail(self) -> None:
        """Check that entries and changes are the same, and that no chain has a gap."""
        certain = Counter(self._committed)
        # A request whose answer from the table was lost may change a resource twice, if another change came between.
        entries = self._read_trail()
        assert certain <= entries, f"entries are missing: {certain - entries}"
        invented = [entry for entry in entries.keys() - certain if entry.request not in self._uncertain]
        assert not invented, f"entries of no change: {invented}"
        for user in USERS:
            assert not (gaps := check_local(self.engine.services).run(user, patience=30)), gaps

    def _check_events(self) -> None:
        """Check that each entry has at least one event, and each event its entry."""
        entries = self._read_trail()
        poll(lambda: entries.keys() <= self._receive().keys(), "every event is seen", _LONGEST_SECONDS)
        assert self._events.keys() == entries.keys(), f"invented: {self._events.keys() - entries.keys()}"

    def _make_changes(self, number: int) -> None:
        user, chance = USERS[number % len(USERS)], random.Random(number)
        token = self.engine.mint_token(*_SCOPES, subject=user)
        with self.engine.client(headers={"Authorization": f"Bearer {token}"}) as client:
            for _ in range(self.changes // CLIENTS):
                (action,) = chance.choices(list(ACTIONS), list(ACTIONS.values()))
                ids = self._ids[user]
                if action == "create" or not ids:
                    self._create(client, user, chance)
                elif action == "update":
                    self._change(client, user, "updated", chance.choice(ids), chance)
                else:
                    with suppress(ValueError):
                        ids.remove(gone := chance.choice(ids))
                        self._change(client, user, "deleted", gone, chance)

    def _create(self, client: httpx.Client, user: str, chance: random.Random) -> None:
        headers = {"Idempotency-Key": str(chance.random())} if chance.random() < 0.3 else {}
        answer = client.post(RESOURCES, json={"name": str(chance.random()), "type": "A"}, headers=headers)
        if self._is_done(answer, 201):
            self._ids[user].append(answer.json()["id"])
            self._note(user, "created", answer.json()["id"], answer)

    def _change(self, client: httpx.Client, user: str, action: str, item: str, chance: random.Random) -> None:
        path = f"{RESOURCES}/{item}"
        if action == "deleted":
            answer = client.delete(path)
        else:
            answer = client.put(path, json={"name": str(chance.random()), "type": chance.choice("ABC")})
        if self._is_done(answer, 204 if action == "deleted" else 200):
            self._note(user, action, item, answer)

    def _is_done(self, answer: httpx.Response, success: int) -> bool:
        # The write may be done or not: the one process of the emulated table was busy, or another client has deleted
        # the resource, before the change or before its repetition after a lost answer.
        if answer.status_code in {503, 404}:
            self._uncertain.add(answer.headers["apigw-requestid"])
            return False
        assert answer.status_code == success, answer.text
        return True

    def _note(self, user: str, action: str, item: str, answer: httpx.Response) -> None:
        version = answer.headers.get("etag", "").strip('"')
        self._committed.append(Change(user, action, item, version, answer.headers["apigw-requestid"]))

    def _read_trail(self) -> Counter[Change]:
        entries = Counter(entry for user in USERS for entry in self._read_entries(user))
        self._found = entries.total()
        return entries

    def _read_entries(self, user: str) -> Iterator[Change]:
        token = self.engine.mint_token(*_SCOPES, subject=user)
        with self.engine.client(headers={"Authorization": f"Bearer {token}"}) as client:
            query: dict[str, Any] = {"limit": 100}
            while True:
                answer = client.get("/api/v1/audit", params=query)
                if answer.status_code == 503:
                    continue
                page = answer.raise_for_status().json()
                for entry in page["entries"]:
                    yield Change(user, entry["action"], entry["id"], entry.get("after", ""), entry["requestId"])
                if "nextToken" not in page:
                    return
                query["nextToken"] = page["nextToken"]

    def _subscribe(self) -> None:
        """Have every event of the bus sent to a queue."""
        self._sqs, events = connect(self.engine, "sqs"), connect(self.engine, "events")
        self._queue = self._sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
        rule = {"EventBusName": "local-events"}
        events.put_rule(Name=_QUEUE, EventPattern='{"source": ["records"]}', **rule)
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{_QUEUE}"
        events.put_targets(Rule=_QUEUE, Targets=[{"Id": "queue", "Arn": arn}], **rule)

    def _receive(self) -> Counter[Change]:
        """Return how often the event of each change was seen so far."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                detail, action = event["detail"], event["detail-type"].removeprefix("Resource").lower()
                version = "" if action == "deleted" else detail["version"]
                if detail["owner"] in USERS:
                    self._events[Change(detail["owner"], action, detail["id"], version, detail["correlationId"])] += 1
            entries = [{"Id": str(n), "ReceiptHandle": entry["ReceiptHandle"]} for n, entry in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return self._events

    def _deliver_again(self, over: threading.Event) -> None:
        """Give the functions records of the stream again: late, in any order, and twice in one batch."""
        chance, records = random.Random(2), list[dict[str, Any]]()
        read = self._read_stream()
        functions = connect(self.engine, "lambda")
        while not over.wait(chance.uniform(0.2, 1)):
            records += read()
            batch = chance.sample(records, min(len(records), chance.randint(1, 30)))
            payload = json.dumps({"Records": [*batch, *batch[:5]]})
            for name in CONSUMERS if batch else ():
                # A function that is killed does not answer.
                with suppress(BotoCoreError, ClientError):
                    functions.invoke(FunctionName=f"local-Records-{name}", Payload=payload)
                    self._again += len(batch)

    def _read_stream(self) -> Callable[[], list[dict[str, Any]]]:
        """Return what reads the next records of the table's stream, as Lambda's events have them."""
        streams = connect(self.engine, "dynamodbstreams")
        arn = streams.list_streams(TableName="Table")["Streams"][0]["StreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(**start)["ShardIterator"]

        def read() -> list[dict[str, Any]]:
            nonlocal iterator
            try:
                answer = streams.get_records(ShardIterator=iterator, Limit=1000)
            except streams.exceptions.TrimmedDataAccessException:
                # The services keep fewer records than the clients have written since the last call.
                iterator = streams.get_shard_iterator(**start)["ShardIterator"]
                return []
            iterator = answer["NextShardIterator"]
            for record in answer["Records"]:
                change = record["dynamodb"]
                change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
            return [record | {"eventSourceARN": arn} for record in answer["Records"]]

        return read


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=30)
    options = parser.parse_args()
    with run_stack() as engine:
        experiment = Experiment(engine, options.changes, options.kills)
        with show_progress(experiment.describe):
            print(json.dumps(experiment.run()))


if __name__ == "__main__":
    main()
