"""The tokens of a user and day, on a deployment with a small quota that logs at level DEBUG."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from local_engine.testing import EngineProcess, poll
from tests.intelligence.conftest import Model, Table, User
from tests.intelligence.questions import Asker, list_names
from tests.support.programs import prepare_engine
from tests.support.templates import write_variant

QUOTA = 9_000
DAY = 86_400


@pytest.fixture(scope="module")
def small() -> Iterator[EngineProcess]:
    with (
        write_variant(AnswerTokensPerDay=str(QUOTA), LogLevel="DEBUG") as template,
        prepare_engine(template, "--verbose") as small,
    ):
        yield small


@pytest.fixture
def user(small: EngineProcess) -> User:
    return User(small.url, f"user-{uuid4()}")


@pytest.fixture(scope="module")
def table(small: EngineProcess) -> Table:
    return Table(small.aws_client("dynamodb"))


@pytest.fixture(scope="module")
def model(small: EngineProcess) -> Model:
    return Model(small.services)


def count_tokens(table: Table, user: User) -> int:
    return sum(int(item["tokens"]["N"]) for item in table.list_items(user, "quota#").values())


def test_parallel_questions_never_exceed_the_quota(
    small: EngineProcess, user: User, table: Table, model: Model
) -> None:
    user.write("boat", place="harbour")
    user.wait_until_found("boat", {"boat"})
    asker = Asker(small, user.subject)
    with model.limits(tokensPerSecond=20), ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(asker.send, {"question": f"Where is the boat, question {n}?"}) for n in range(20)]
        highest = 0
        while not all(each.done() for each in asked):
            highest = max(highest, count_tokens(table, user))
            time.sleep(0.05)
    replies = [each.result() for each in asked]
    assert {reply.status_code for reply in replies} == {200, 429}
    assert 0 < highest <= QUOTA
    # What was reserved and not used is given back.
    assert 0 < count_tokens(table, user) <= 600 * sum(reply.status_code == 200 for reply in replies)
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.json()["error"] == "The tokens for answers of today are used up"
    assert 0 < int(refused.headers["retry-after"]) <= DAY
    assert abs(int(refused.headers["retry-after"]) - (DAY - time.time() % DAY)) < 600


def test_a_new_day_has_a_new_quota(small: EngineProcess, user: User, table: Table) -> None:
    user.write("boat", place="harbour")
    user.wait_until_found("boat", {"boat"})
    asker = Asker(small, user.subject)
    asker.get_events("Where is the boat?")
    ((key, item),) = table.list_items(user, "quota#").items()
    table.put({**item, "tokens": {"N": str(QUOTA)}})
    assert asker.send({"question": "Where is the boat?"}).status_code == 429
    # The item of that day is another day's.
    table.put({**item, "tokens": {"N": str(QUOTA)}, "sk": {"S": "quota#2026-01-01"}})
    table.delete(user, key)
    assert list_names(asker.get_events("Where is the boat?")) == ["sources", "text", "usage", "end"]


def test_an_erasure_takes_the_count_with_it(small: EngineProcess, user: User, table: Table) -> None:
    user.write("boat", place="harbour")
    user.wait_until_found("boat", {"boat"})
    Asker(small, user.subject).get_events("Where is the boat?")
    assert table.list_items(user, "quota#")
    erasure = user.send("POST", "/api/v1/erasures").document

    def read() -> Any:
        return user.send("GET", f"/api/v1/erasures/{erasure['id']}").document

    poll(lambda: read()["state"] == "erased", "the user is erased", seconds=240)
    assert read()["erased"]["quota"] == 1
    assert not table.list_items(user, "quota#")


def test_neither_questions_nor_answers_are_logged(small: EngineProcess, user: User, model: Model) -> None:
    stored, asked = f"canary{uuid4().hex}", f"canary{uuid4().hex}"
    user.write(f"boat {stored}"[:100], place=f"harbour {stored}")
    poll(lambda: len(user.find("boat")) == 1, "the boat is found", seconds=240)
    asker = Asker(small, user.subject)
    assert stored in asker.get_text(f"Where is the boat {asked}?")
    faults = [{"error": "ModelStreamErrorException", "operation": "ConverseStream", "afterTokens": 3}]
    with model.limits(faults=faults):
        assert asker.get_events(f"Where is the boat {asked}?")[-1].name == "error"
    with model.limits(faults=[{"error": "AccessDeniedException", "operation": "ConverseStream"}]):
        assert asker.get_events(f"Where is the boat {asked}?")[-1].name == "error"
    faults = [{"error": "ThrottlingException", "operation": "ConverseStream", "count": 4}]
    with model.limits(faults=faults):
        assert "fallback" in list_names(asker.get_events(f"Where is the boat {asked}?"))
    assert asker.send({"question": asked, asked: asked}).status_code == 400
    poll(lambda: sum("Streaming/AnswerQuestion" in line for line in small.lines) >= 5, "the lines are there")
    assert "The model failed within its answer" in small.output
    assert stored not in small.output
    assert asked not in small.output
