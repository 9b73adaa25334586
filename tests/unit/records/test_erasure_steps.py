"""An erasure has one chain of steps, also if functions are killed and messages delivered twice."""

import importlib
import json
from collections import Counter, deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.dynamodb import DynamoDB
from tests.support.functions import import_function
from tests.support.gateway import import_functions
from tests.support.stack import ROOT

PAGES = ["", "a", "b", "c", "d"]
"""Where the pages of the user's partition start; each is a step."""


class Chain:
    """An erasure of `ann`, and the queue of its steps."""

    def __init__(self, steps: Any, erasures: Any, caller: Any) -> None:
        self._steps, self._erasures, self._caller = steps, erasures, caller
        self.messages: deque[str] = deque()
        self.sent: Counter[int] = Counter()
        """Messages by their step's number."""
        self.pages: list[tuple[int, str]] = []
        """The pages that were read, by round."""
        self.ends = 0

    def request(self, at: int) -> None:
        caller = self._caller(at)
        self._steps.send_step(self._steps.Step.first(self._erasures.start_erasure(caller)))

    def send_message(self, *, MessageBody: str, **_: Any) -> None:  # noqa: N803 - boto3's name
        self.sent[json.loads(MessageBody)["number"]] += 1
        self.messages.append(MessageBody)
        assert self.sent.total() < 100, "the steps double"

    def find_items(self, page: str) -> tuple[dict[str, str], str]:
        self.pages.append((self._round, page))
        return {}, [*PAGES, ""][PAGES.index(page) + 1]

    def read_deadline(self) -> Any:
        """Return the time that a step has left: enough for one page."""
        return SimpleNamespace(remaining=next(self._times, 0.0))

    def run(self, message: str) -> None:
        """Run a step and send the next one, as the function does."""
        step = self._steps.Step(**json.loads(message))
        self._round, self._times = step.round, iter([self._steps.STEP_SECONDS + 1])
        following = self._steps.run_step(step)
        if following:
            self._steps.send_step(following)

    def end(self, _: Any) -> None:
        self.ends += 1


@pytest.fixture
def chain(dynamodb: DynamoDB) -> Iterator[Chain]:
    settings = {"AWS_ENDPOINT_URL": dynamodb.url, "ERASURE_QUEUE": "steps"}
    with import_functions(settings), pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(name, value)
        with import_function(ROOT / "functions" / "erase_user"):
            steps = importlib.import_module("erasure_steps")
            erasures = importlib.import_module("records.erasures")
            from serverless_api import Caller, Origin
            from serverless_api.storage import table

            # A busy machine must fail no test.
            table.ATTEMPT_SECONDS = 60.0
            chain = Chain(steps, erasures, lambda at: Caller("ann", frozenset(), Origin("api", "request-1", at)))
            patch.setattr(steps, "_sqs", chain)
            patch.setattr(
                steps, "Partition", lambda *_: SimpleNamespace(find_items=chain.find_items, delete=lambda *_: 0)
            )
            patch.setattr(steps, "current_deadline", chain.read_deadline)
            for name in ("_erase_files", "_erase_account", "_schedule_verification"):
                patch.setattr(steps, name, lambda *_: None)
            patch.setattr(steps, "_publish", chain.end)
            yield chain


ALL_PAGES = [(1, page) for page in PAGES] + [(2, page) for page in PAGES]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_step_that_comes_again_after_the_next_one_ends(chain: Chain, *, is_killed: bool) -> None:
    chain.request(1000)
    while chain.messages:
        message = chain.messages.popleft()
        chain.run(message)
        if is_killed and chain.messages:
            # The next step begins while this one's message is invisible.
            following = chain.messages.popleft()
            chain.run(following)
            chain.run(message)
    assert chain.pages == ALL_PAGES
    assert set(chain.sent.values()) == {1}
    assert chain.ends == 1


def test_a_step_that_is_sent_twice_begins_once(chain: Chain) -> None:
    chain.request(1000)
    # As if the batch of the ledger's stream was killed.
    chain.request(1000)
    while chain.messages:
        message = chain.messages.popleft()
        chain.run(message)
        # Killed after it has sent the next step, which waits.
        chain.run(message)
    assert Counter(chain.pages) == Counter({page: 1 if page == ALL_PAGES[-1] else 2 for page in ALL_PAGES})
    assert max(chain.sent.values()) == 2
    # A last step that runs twice tells others twice.
    assert chain.ends == 2


def test_a_step_that_was_killed_begins_again(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.request(1000)
    (message,) = chain.messages
    monkeypatch.setattr(chain, "find_items", None)
    with pytest.raises(TypeError):
        chain.run(message)
    monkeypatch.undo()
    chain.messages.clear()
    chain.run(message)
    assert len(chain.messages) == 1


def test_a_later_request_starts_another_chain_and_ends_the_first(chain: Chain) -> None:
    chain.request(1000)
    chain.run(chain.messages.popleft())
    chain.request(2000)
    while chain.messages:
        chain.run(chain.messages.popleft())
    assert chain.pages == [(1, ""), *ALL_PAGES]
    assert chain.ends == 1
