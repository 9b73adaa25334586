"""The API over real HTTP, as `make run` serves it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest

from local_engine.testing import EngineProcess, free_port, is_running, processes_below
from tests.support.stack import ROOT

ALL_SCOPES = "read:resources write:resources"


class Server:
    """The running API, and the means to get tokens for it."""

    def __init__(self, engine: EngineProcess) -> None:
        self.url = engine.url
        self._port = engine.port
        self.mint_token = cache(self._mint_token)

    def _mint_token(self, subject: str, scopes: str = ALL_SCOPES, expires: int = 3600, claims: str = "{}") -> str:
        command = [sys.executable, "-m", "local_engine", "token", "--port", str(self._port), "--sub", subject]
        command += ["--scopes", scopes, f"--expires={expires}", "--claims", claims]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    def authorize(self, subject: str, scopes: str = ALL_SCOPES, **options: Any) -> dict[str, str]:
        """The header that carries a caller's token."""
        if "claims" in options:
            options["claims"] = json.dumps(options["claims"])
        return {"Authorization": f"Bearer {self.mint_token(subject, scopes, **options)}"}

    def connect(self, subject: str | None = None, scopes: str = ALL_SCOPES, **options: Any) -> httpx.Client:
        """A client of the API; without a subject it sends no token."""
        headers = self.authorize(subject, scopes, **options) if subject else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    port = free_port()
    parameters = ["--parameters", f"Issuer=http://127.0.0.1:{port}/_local/issuer", "Audience=local"]
    seed = ["--seed", str(ROOT / "examples" / "resources.json")]
    with EngineProcess(ROOT / "template.yaml", *parameters, *seed, port=port) as engine:
        yield Server(engine)
        children = processes_below(engine.process.pid)
    assert not [child for child in children if is_running(child)]
