"""The function that creates resources, in separate processes with a test's environment, as in Lambda."""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.support.gateway import ENVIRONMENT, Context, Gateway
from tests.support.resources import BODY, RESOURCES
from tests.support.stack import ROOT, find_route


@dataclass(frozen=True)
class Outcome:
    """The answer to one create, and after how many seconds it came."""

    status: int
    document: dict[str, Any]
    seconds: float

    @property
    def is_enriched(self) -> bool:
        return "enrichment" in self.document.get("metadata", {})


class CreatingProcess:
    """An execution environment of the function that creates resources."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._connection, theirs = multiprocessing.Pipe()
        # Not forked: an execution environment starts with nothing imported.
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(theirs, {**ENVIRONMENT, **environment}, str(log)))
        self._process.start()
        theirs.close()

    def start_creates(self, count: int) -> None:
        """Start creating resources, without waiting."""
        self._connection.send(count)

    def read_outcomes(self) -> list[Outcome]:
        """Wait for what `start_creates` has started."""
        outcomes: list[Outcome] = self._connection.recv()
        return outcomes

    def read_log(self) -> list[dict[str, Any]]:
        """Return the function's log records."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith('{"level"')]

    def stop(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()


def _serve(connection: Connection, environment: Mapping[str, str], log: str) -> None:
    os.environ.update(environment)
    sys.stdout = Path(log).open("w", buffering=1)  # noqa: SIM115 - open as long as the process runs
    sys.path[:0] = [str(ROOT / "layers/shared")]
    route = find_route(f"POST {RESOURCES}")
    assert route
    handler = import_module(f"functions.{route.folder.name}.app").handler
    gateway = Gateway({})
    try:
        while count := connection.recv():
            connection.send([_create(handler, gateway) for _ in range(count)])
    except EOFError:
        return


def _create(handler: Any, gateway: Gateway) -> Outcome:
    event = gateway.make_event("POST", RESOURCES, body=BODY)
    started = time.perf_counter()
    answer = handler(event, Context())
    return Outcome(answer["statusCode"], json.loads(answer["body"]), time.perf_counter() - started)
