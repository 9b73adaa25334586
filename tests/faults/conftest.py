"""The API under its own engine, with a proxy full of faults between the functions and their table."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from local.services import Services, start_services
from local.tokens import AUDIENCE, issuer_url
from tests.engine_process import ROOT, EngineProcess, free_port
from tests.faults.proxy import FaultPlan, FaultProxy, no_faults

SEED = 2026
PROCESSES = 3
"""Of each function, at the most."""

_rows = pytest.StashKey[list[tuple[str, str]]]()


@dataclass(frozen=True)
class Stand:
    """What the experiments are made with."""

    engine: EngineProcess
    proxy: FaultProxy
    services: Services

    @property
    def url(self) -> str:
        return self.engine.url

    @contextmanager
    def faults(self, plan: FaultPlan) -> Iterator[None]:
        """Have the table fail by a plan for the block."""
        self.proxy.plan = plan
        try:
            yield
        finally:
            self.proxy.plan = no_faults

    def find_function_processes(self, folder: str = "functions/") -> set[int]:
        """Return the processes that run functions; those of one of them by the name of its folder."""
        command = ["ps", "-ww", "-eo", "pid=,ppid=,args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        return {
            int(pid)
            for pid, parent, arguments in rows
            if int(parent) == self.engine.process.pid and folder in arguments
        }


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    services = start_services()
    port = free_port()
    try:
        with (
            FaultProxy(services.endpoint) as proxy,
            EngineProcess(
                ROOT / "template.yaml",
                *("--services", proxy.url),
                *("--processes", str(PROCESSES)),
                *("--parameters", f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}"),
                port=port,
            ) as engine,
        ):
            yield Stand(engine, proxy, services)
    finally:
        services.stop()


class Report:
    """The table at the end of the run: what each experiment showed."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self._rows = rows

    def add(self, experiment: str, *figures: str) -> None:
        self._rows.append((experiment, "; ".join(figures)))


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    return Report(pytestconfig.stash.setdefault(_rows, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(_rows, []):
        terminalreporter.section("resilience")
        terminalreporter.write_line("| experiment | shown |\n|---|---|")
        for experiment, figures in rows:
            terminalreporter.write_line(f"| {experiment} | {figures} |")
