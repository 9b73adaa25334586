"""A new model takes over while users go on searching: both models side by side, then the switch, without a gap."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local_engine.testing import EngineProcess, poll
from tests.intelligence.conftest import WAIT_SECONDS, Table, User
from tests.support.programs import prepare_engine
from tests.support.stack import ROOT, load_template
from tests.support.templates import write_variant
from tools.reindex import Reindex

OLD, NEW = "amazon.titan-embed-text-v2:0", "us.amazon.titan-embed-text-v2:0"
BOTH = {"VectorsA": OLD, "VectorsB": NEW}
NAMES = {f"paper number {number}" for number in range(8)}


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with write_variant() as template:
        yield template


@pytest.fixture(scope="module")
def engine(template: Path) -> Iterator[EngineProcess]:
    with prepare_engine(template) as engine:
        yield engine


def deploy(template: Path, **settings: str) -> None:
    """Edit settings of every stage; the engine serves the next request with them."""
    with write_variant(**settings) as variant:
        for name in ("template.yaml", "stacks/intelligence.yaml"):
            template.parent.joinpath(name).write_text(variant.parent.joinpath(name).read_text())


def add_index(dynamodb: Any) -> None:
    """Add the second index, as a deployment does. The engine leaves a table that exists as it is."""
    properties = load_template()["Resources"]["Table"]["Properties"]
    (index,) = [entry["Fn::If"][1] for entry in properties["VectorIndexes"]["Fn::If"][1] if "VectorsB" in str(entry)]
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "noun", "type")]
    dynamodb.update_table(TableName="Table", AttributeDefinitions=attributes, VectorIndexUpdates=[{"Create": index}])


class Searches(threading.Thread):
    """A user who searches until told to stop."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user
        self._stopped = threading.Event()
        self.answers: list[set[str]] = []
        self.problems: list[str] = []

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            try:
                self.answers.append(set(self._user.find("paper", limit=50)))
            except AssertionError as error:
                self.problems.append(str(error))

    def __enter__(self) -> "Searches":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()


def list_models(table: Table, user: User) -> set[frozenset[str]]:
    """The sets of slots that the user's resources have vectors in."""
    return {frozenset({"VectorsA", "VectorsB"} & item.keys()) for item in table.list_items(user).values()}


def test_a_new_model_takes_over_without_a_gap(engine: EngineProcess, template: Path) -> None:
    user = User(engine.url, f"user-{uuid4()}")
    dynamodb, sqs = engine.aws_client("dynamodb"), engine.aws_client("sqs")
    table = Table(dynamodb)
    for name in sorted(NAMES):
        user.write(name)
    user.wait_until_found("paper", NAMES)
    with Searches(User(engine.url, user.subject)) as searches:
        add_index(dynamodb)
        deploy(template, VectorsB=NEW)
        # What is written from now on is embedded by both.
        user.write("paper of today")
        poll(
            lambda: frozenset({"VectorsA", "VectorsB"}) in list_models(table, user),
            "a change is embedded by both models",
            WAIT_SECONDS,
        )
        assert list_models(table, user) == {frozenset({"VectorsA"}), frozenset({"VectorsA", "VectorsB"})}
        queue = sqs.get_queue_url(QueueName="Vectors-VectorsQueue")["QueueUrl"]
        shown: list[str] = []
        assert Reindex(dynamodb, sqs, "Table", queue).run(BOTH, WAIT_SECONDS, shown.append) == 0
        assert shown[0].startswith(f"{len(NAMES)} resources")
        assert shown[-1] == "0 resources miss a vector"
        assert list_models(table, user) == {frozenset({"VectorsA", "VectorsB"})}
        deploy(template, VectorsB=NEW, SearchedVectors="VectorsB")
        user.wait_until_found("paper", {*NAMES, "paper of today"})
        deploy(template, VectorsA='""', VectorsB=NEW, SearchedVectors="VectorsB")
        user.write("paper of tomorrow")
        user.wait_until_found("paper", {*NAMES, "paper of today", "paper of tomorrow"})
    assert searches.problems == []
    assert len(searches.answers) > 10
    assert all(answer >= NAMES for answer in searches.answers)
    assert frozenset({"VectorsB"}) in list_models(table, user)


def test_make_reindex_finds_nothing_missing_where_all_is_embedded(engine: EngineProcess) -> None:
    command = [sys.executable, "-m", "tools.reindex", "--url", engine.url, "--services", engine.services]
    done = subprocess.run(
        [*command, "--patience", "1"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    # The repository's own template, unlike the engine's, wants vectors of the first model.
    assert (done.returncode, done.stderr) in {(0, ""), (1, "")}
    assert done.stdout.splitlines()[-1].endswith("resources miss a vector")
