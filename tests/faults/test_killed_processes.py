"""Creates sent several times at once while the processes that carry them out are killed."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.faults.conftest import SEED, Report
from tests.support.api_client import Answer, ApiClient
from tests.support.resources import BODY, RESOURCES
from tests.support.stack import list_routes
from tests.support.stand import Stand

CREATE = next(route for route in list_routes() if route.key == f"POST {RESOURCES}")
CREATES = 500
CLIENTS = 16
USERS = 5
# The claim of a killed process expires after 30 s; then the next request with its key takes it over.
MOST_ROUNDS = 60


@dataclass
class _Create:
    """A create, and the documents in the answers to its copies."""

    user: int
    body: dict[str, Any]
    key: str
    documents: list[dict[str, Any]] = field(default_factory=list)


class _Killer:
    """Kills one of the function's processes after a random number of answers."""

    def __init__(self, stand: Stand) -> None:
        self.kills = 0
        self._stand = stand
        self._random = random.Random(SEED)
        self._lock = threading.Lock()
        self._left = 10

    def count_answer(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
            self._left = self._random.randint(10, 40)
            processes = sorted(self._stand.find_function_processes(CREATE.folder.name))
            if processes:
                os.kill(self._random.choice(processes), signal.SIGKILL)
                self.kills += 1


def test_creates_while_processes_are_killed(stand: Stand, report: Report) -> None:
    numbers = random.Random(SEED)
    creates = [
        _Create(index % USERS, {**BODY, "name": f"thing {index}"}, f"create-{index}") for index in range(CREATES)
    ]
    pending = [create for create in creates for _ in range(numbers.randint(1, 4))]
    copies = len(pending)
    killer = _Killer(stand)
    local = threading.local()
    answers: list[int] = []

    def send(create: _Create) -> Answer:
        if not hasattr(local, "clients"):
            local.clients = [ApiClient(stand.url, f"user-killed-{number}") for number in range(USERS)]
        headers = {"Idempotency-Key": create.key}
        answer: Answer = local.clients[create.user].send("POST", RESOURCES, create.body, headers)
        if len(answers) < copies:
            killer.count_answer()
        return answer

    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(MOST_ROUNDS):
            unanswered = []
            for create, answer in zip(pending, threads.map(send, pending), strict=True):
                answers.append(answer.status)
                if answer.status == 201:
                    create.documents.append(answer.document)
                else:
                    # 500 is the gateway's answer for a killed process.
                    assert answer.status in (409, 500, 503), answer
                    unanswered.append(create)
            pending = unanswered
            if not pending:
                break
            time.sleep(1)
    users = [ApiClient(stand.url, f"user-killed-{number}") for number in range(USERS)]
    kept = [document for user in users for document in user.list_all(RESOURCES)]
    report.add(
        f"{CREATES} creates, each sent 1 to 4 times at once with its key ({copies:,} requests), processes killed",
        f"{len(kept)} resources",
        f"{killer.kills} kills, {answers.count(500)} requests lost their process",
        f"{len(answers) - copies:,} sent again (409 while a claim is held {answers.count(409)},"
        f" 503 {answers.count(503)})",
    )
    assert pending == []
    assert len(kept) == CREATES
    assert killer.kills > 10
    by_id = {document["id"]: document for document in kept}
    for create in creates:
        first = create.documents[0]
        assert all(document == first for document in create.documents)
        assert by_id[first["id"]] == first
        assert {name: first[name] for name in create.body} == create.body
