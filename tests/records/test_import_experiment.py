"""The experiment with an import, small."""

import pytest

from local_engine.testing import EngineProcess
from tools.benchmarks.records.imports import Experiment


@pytest.mark.needs_linux("finds the functions to kill in /proc")
def test_an_import_during_kills_creates_each_good_line_once(engine: EngineProcess) -> None:
    seen = Experiment(engine, lines=300, kills=2).run()
    assert (seen["created"], seen["faulty"]) == (297, 3)
