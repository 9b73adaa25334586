"""The API under its own engine, with a proxy full of faults between the functions and their table."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_engine.services import Services, start_services
from local_engine.testing import EngineProcess
from tests.support.fault_proxy import FaultPlan, FaultProxy, no_faults
from tests.support.programs import prepare_engine
from tests.support.stack import ROOT

PROCESSES = 3
"""Maximum for each function."""


@dataclass(frozen=True)
class Stand:
    """A running API, with the proxy and the services behind it."""

    engine: EngineProcess
    proxy: FaultProxy
    services: Services

    @property
    def url(self) -> str:
        return self.engine.url

    @contextmanager
    def faults(self, plan: FaultPlan, service: str = "") -> Iterator[None]:
        """Inject faults by a plan for the block, into the calls of one service or of all."""
        self.proxy.service, self.proxy.plan = service, plan
        try:
            yield
        finally:
            self.proxy.service, self.proxy.plan = "", no_faults

    def find_function_processes(self, folder: str = "functions/") -> set[int]:
        """Return the processes that run functions, or one function by the name of its folder."""
        command = ["ps", "-ww", "-e", "-o", "pid=", "-o", "ppid=", "-o", "args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        return {
            int(pid)
            for pid, parent, arguments in rows
            if int(parent) == self.engine.process.pid and folder in arguments
        }


@contextmanager
def start_stand(*arguments: str, template: Path = ROOT / "template.yaml", **parameters: str) -> Iterator[Stand]:
    """Start the API behind a fault proxy.

    Args:
        arguments: further arguments of `local-engine run`.
        template: the template to serve.
        parameters: parameters of the stack; by default it trusts the engine's issuer.
    """
    services = start_services()
    try:
        with (
            FaultProxy(services.endpoint) as proxy,
            prepare_engine(
                template, "--services", proxy.url, "--processes", str(PROCESSES), *arguments, **parameters
            ) as engine,
        ):
            yield Stand(engine, proxy, services)
    finally:
        services.stop()
