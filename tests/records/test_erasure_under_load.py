"""The experiment of an erasure, small: `make bench-records` runs it at full size."""

import pytest

from local_engine.testing import EngineProcess
from tools.benchmarks.records.erasure import Experiment


@pytest.mark.needs_linux("finds the functions to kill in /proc")
def test_an_erasure_is_right_while_everybody_writes_and_functions_are_killed(engine: EngineProcess) -> None:
    seen = Experiment(engine, items=200, kills=1, hastens=True).run()
    assert seen["kills"] >= 1
    assert seen["erased"]["resource"] >= 200 - seen["updated"]
