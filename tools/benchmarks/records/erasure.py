"""Erases a user with many items while that user and others write, and while functions are killed at random.

python -m tools.benchmarks.records.erasure --items 100000
"""

import argparse
import json
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import batched
from typing import Any
from uuid import uuid4

import httpx

from local_engine.issuer import AUDIENCE
from local_engine.testing import EngineProcess, poll
from records.partitions import Partition
from tools.benchmarks.background import run_beside, show_progress
from tools.benchmarks.function_processes import FunctionKiller
from tools.profiles import ROOT

SCOPES = ("read:resources", "write:resources", "erase:self")
UPDATES = 5
_RECORDED = 100
_KILLED = "EraseUser"
_LATE_STEP = {"number": 1000, "token": "late", "round": 2}
_LONGEST_SECONDS = 1800


@contextmanager
def run_stack() -> Iterator[EngineProcess]:
    """Serve the stack in the local engine for the block, in which an experiment kills functions."""
    if platform.system() != "Linux":
        sys.exit("The experiments run on Linux, because they find the functions to kill in /proc.")
    with EngineProcess(ROOT / "template.yaml", parameters={"Issuer": "{issuer}", "Audience": AUDIENCE}) as engine:
        yield engine


def connect(engine: EngineProcess, service: str) -> Any:
    """Return a client of one of the engine's services that repeats what a busy machine fails."""
    return engine.aws_client(service, retries={"mode": "standard", "total_max_attempts": 4})


class Experiment:
    """One erasure.

    Attributes:
        engine: the running stack.
        items: how many resources the user has at first; others have a tenth of them.
        hastens: whether the second round begins as soon as the first one is over, instead of after its wait.
    """

    def __init__(self, engine: EngineProcess, items: int, kills: int, *, hastens: bool = False) -> None:
        self.engine, self.items, self.hastens = engine, items, hastens
        self.user, *self.others = (f"{name}-{uuid4()}" for name in ("erased", "other", "another"))
        self.dynamodb = connect(engine, "dynamodb")
        self._written: dict[tuple[str, str], float] = {}
        self._failures: list[str] = []
        self._seeded = 0
        self._receipt: dict[str, Any] = {}
        self._killer = FunctionKiller(engine.process.pid, (_KILLED,), kills, lambda: self._count_erased() / items)

    def run(self) -> dict[str, Any]:
        """Erase the user and return what was seen.

        Raises:
            AssertionError: something of before is left, something else is gone, or the receipt is wrong.
        """
        old = self._seed(self.user, self.items)
        kept = {subject: self._seed(subject, max(self.items // 10, 1)) for subject in self.others}
        writers = [partial(self._write, subject) for subject in (self.user, *self.others)]
        for subject in (self.user, *self.others):
            self._import_garbage(subject)
        with self._client(self.user) as client, run_beside(*writers):
            poll(lambda: len(self._written) > 30, "everybody writes", 120)
            started = time.monotonic()
            answer = _start(client)
            location, requested = answer.headers["location"], answer.json()["requestedAt"]
            with run_beside(self._killer.run):
                updated = set(filter(lambda key: self._update(client, key), sorted(old)[-UPDATES:]))
                before = _to_milliseconds(requested)
                poll(lambda: self._is_erased(client, location, before), "the erasure ends", _LONGEST_SECONDS)
                seconds = time.monotonic() - started
            receipt = self._read_receipt(client, location)
        left = {subject: self._read(subject) for subject in (self.user, *self.others)}
        assert not self._failures, self._failures[:3]
        assert not [key for key, item in left[self.user].items() if _written_at(item) <= before]
        assert left[self.user].keys() & old == updated
        for (subject, key), at in self._written.items():
            assert (subject == self.user and at <= before) or key in left[subject], f"{key} of {subject} is gone"
        for subject, keys in kept.items():
            assert keys <= left[subject].keys(), f"items of {subject} are gone"
        gone = (
            len(old)
            - len(updated)
            + sum(subject == self.user and at <= before for (subject, _), at in self._written.items())
        )
        erased = {"resource": gone, "import": 1, "file": 1, "idempotency": 1}
        assert receipt["erased"] == erased, f"{receipt['erased']} of {erased}"
        self._check_tables(before)
        self._check_files(receipt["id"])
        self._check_queues()
        return {
            "items": self.items,
            "erased": receipt["erased"],
            "kills": self._killer.killed,
            "updated": len(updated),
            "kept": sum(len(items) for items in left.values()),
            "seconds": round(seconds, 1),
        }

    def describe(self) -> str:
        """Return how far the experiment is."""
        return (
            f"{self._seeded} items at the start, {len(self._written)} written since, "
            f"erased {self._receipt.get('erased', {})}, {self._killer.killed} kills"
        )

    def _seed(self, subject: str, count: int) -> set[str]:
        """Give a user resources that an earlier request has written.

        Only the last of them have what brings them into the trail, which would take most of the emulator's time.
        """
        at = str(int(time.time() * 1000) - 60_000)
        keys = [f"resource#019ab0c1-7a3e-7c55-9d1f-{number:012x}" for number in range(count)]
        writer = {"M": {"door": {"S": "api"}, "request": {"S": "seed"}, "at": {"N": at}}}
        stamp, recorded = {"S": "2025-11-23T12:47:41.118Z"}, set(keys[-_RECORDED:])
        for part in batched(keys, 25, strict=False):
            items = [
                {
                    "pk": {"S": f"user#{subject}"},
                    "sk": {"S": key},
                    "name": {"S": "seeded"},
                    "type": {"S": "A"},
                    "updatedAt": stamp,
                    "writer": writer,
                    **({"createdAt": stamp, "version": {"S": key[-16:]}} if key in recorded else {}),
                }
                for key in part
            ]
            puts = [{"PutRequest": {"Item": item}} for item in items]
            self.dynamodb.batch_write_item(RequestItems={"Table": puts})
            self._seeded += len(puts)
        return set(keys)

    def _count_erased(self) -> int:
        return int(self._receipt.get("erased", {}).get("resource", 0))

    def _write(self, subject: str, over: threading.Event) -> None:
        """Create resources until the erasure ends, and note which answer named which."""
        with self._client(subject) as client:
            while not over.wait(0.05):
                answer = client.post("/api/v1/resources", json={"name": "new", "type": "B"})
                if answer.status_code == 503:
                    # The one process of the emulated table is busy.
                    continue
                if answer.status_code != 201:
                    self._failures.append(answer.text)
                    continue
                key = f"resource#{answer.json()['id']}"
                found = self.dynamodb.get_item(
                    TableName="Table", Key={"pk": {"S": f"user#{subject}"}, "sk": {"S": key}}, ConsistentRead=True
                )
                # What is gone at once was requested before the erasure.
                at = _written_at(found["Item"]) if "Item" in found else 0
                self._written[subject, key] = at

    def _is_erased(self, client: httpx.Client, location: str, before: int) -> bool:
        time.sleep(0.5)
        self._receipt = self._read_receipt(client, location)
        if self._receipt["state"] != "running":
            return True
        if self.hastens and not any(Partition(self.dynamodb, "Table", self.user, before).find_pages()):
            self.hastens = False
            erasure_id = location.rpartition("/")[2]
            step = {"user": self._find_pseudonym(erasure_id), "erasure": erasure_id, "before": before, **_LATE_STEP}
            sqs = connect(self.engine, "sqs")
            url = sqs.get_queue_url(QueueName="Records-Erasure-ErasureQueue")["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(step))
        return False

    def _read_receipt(self, client: httpx.Client, location: str) -> dict[str, Any]:
        answer = client.get(location)
        if answer.status_code == 503:
            time.sleep(0.5)
            return self._read_receipt(client, location)
        receipt: dict[str, Any] = answer.raise_for_status().json()
        return receipt

    def _update(self, client: httpx.Client, key: str) -> bool:
        """Update a resource of before the erasure; return whether it was still there, so that it stays."""
        answer = client.put(f"/api/v1/resources/{key.partition('#')[2]}", json={"name": "updated", "type": "C"})
        if answer.status_code == 503:
            return self._update(client, key)
        assert answer.status_code in {200, 404}, answer.text
        return answer.status_code == 200

    def _read(self, subject: str) -> dict[str, Any]:
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName="Table",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"user#{subject}"}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"]: item for page in pages for item in page["Items"]}

    def _import_garbage(self, subject: str) -> None:
        """Leave an import, its file and an idempotency key."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": subject}
        with self._client(subject) as client:
            answer = client.post("/api/v1/imports", content="garbage", headers=headers).raise_for_status()
            location = answer.headers["location"]
            poll(lambda: client.get(location).json().get("state") == "failed", "the import ends", 120)

    def _check_tables(self, before: int) -> None:
        """Check that no table names the user, except what was written later and the open receipt."""
        for table in self.dynamodb.list_tables()["TableNames"]:
            for page in self.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
                named = [item for item in page["Items"] if self.user in json.dumps(item, default=repr)]
                left = [item for item in named if "requestedAt" not in item and _written_at(item) <= before]
                assert not left, f"{table} has {left[:3]}"

    def _check_files(self, erasure: str) -> None:
        """Check that the files of others are there, and those of the user are not."""
        s3 = connect(self.engine, "s3")
        keys = [
            found["Key"]
            for bucket in s3.list_buckets()["Buckets"]
            for found in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
        ]
        user = self._find_pseudonym(erasure)
        assert len(keys) >= len(self.others)
        assert not [key for key in keys if key.startswith(user)], "files are left"

    def _find_pseudonym(self, erasure: str) -> str:
        ledger = self.dynamodb.scan(TableName="Records-Erasure-ErasureLedger")["Items"]
        (user,) = (item["pk"]["S"] for item in ledger if item["sk"]["S"] == f"erasure#{erasure}")
        return str(user)

    def _check_queues(self) -> None:
        """Check that no dead letter is left, and that nothing of the user waits in the queues of both parts."""
        sqs = connect(self.engine, "sqs")
        for url in sqs.list_queues()["QueueUrls"]:
            if "Erasure" in url or "Imports" in url or "Dead" in url:
                messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
                assert not [message for message in messages if self.user in message["Body"]]
                assert "DeadLetters" not in url or not messages

    def _client(self, subject: str) -> httpx.Client:
        return self.engine.client(
            headers={"Authorization": f"Bearer {self.engine.mint_token(*SCOPES, subject=subject)}"}
        )


def _start(client: httpx.Client) -> httpx.Response:
    while (answer := client.post("/api/v1/erasures")).status_code == 503:
        time.sleep(0.5)
    return answer.raise_for_status()


def _written_at(item: Mapping[str, Any]) -> int:
    return int(item["writer"]["M"]["at"]["N"])


def _to_milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    with run_stack() as engine:
        experiment = Experiment(engine, options.items, options.kills)
        with show_progress(experiment.describe):
            print(json.dumps(experiment.run()))


if __name__ == "__main__":
    main()
