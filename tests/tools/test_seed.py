"""`make seed`, and `make token` of a deployed stack as far as it goes without one."""

import json
import os
from pathlib import Path
from uuid import uuid4

from local_engine.testing import EngineProcess
from tests.support.programs import run_tool
from tests.support.resources import RESOURCES
from tests.support.stack import ROOT
from tools.seed import create_items, read_bodies

EXAMPLE = ROOT / "examples/seed.json"


def test_a_file_is_created_once_for_its_user(engine: EngineProcess) -> None:
    token = engine.mint_token("read:resources", "write:resources", subject=f"seed-{uuid4()}")
    bodies = read_bodies(EXAMPLE)
    assert [create_items(engine.url, token, bodies) for _ in range(2)] == [3, 3]
    with engine.client() as client:
        page = client.get(RESOURCES, headers={"Authorization": f"Bearer {token}"}).json()
    assert [resource["name"] for resource in page["resources"]] == [body["name"] for body in bodies[RESOURCES][::-1]]


def test_a_file_may_start_with_a_bom(tmp_path: Path) -> None:
    file = tmp_path / "seed.json"
    file.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_bodies(file) == read_bodies(EXAMPLE)


def test_what_cannot_be_created_is_named(engine: EngineProcess, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "TOKEN", engine.mint_token("write:resources", subject=f"seed-{uuid4()}"))
    file = tmp_path / "seed.json"
    for content, problem in (
        ("[]", "must hold lists of request bodies by path"),
        ("{", "cannot be read"),
        (json.dumps({RESOURCES: [{"name": ""}]}), f"POST {RESOURCES}, item 1: 400"),
    ):
        file.write_text(content)
        done = run_tool("seed", str(file), "--url", engine.url)
        assert (done.returncode, done.stdout) == (2, "")
        assert problem in done.stderr


def test_a_token_of_a_stack_needs_a_stage_that_there_is() -> None:
    done = run_tool("access_token", "--stage", "missing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing" in done.stderr


def test_a_client_needs_a_running_api() -> None:
    done = run_tool("client", "--for", "python", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, "")
    assert "make run" in done.stderr
