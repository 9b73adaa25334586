"""The experiment with many changes, repeated records and kills, at a size that takes seconds."""

import pytest

from local_engine.testing import EngineProcess
from tools.benchmarks.records.changes import CLIENTS, Experiment


@pytest.mark.needs_linux("finds the functions to kill in /proc")
def test_entries_are_the_committed_changes_and_each_has_an_event(engine: EngineProcess) -> None:
    seen = Experiment(engine, changes=5 * CLIENTS, kills=2).run()
    assert seen["entries"] >= seen["changes"] > 0
    assert seen["events"] >= seen["changes"]
