"""Exports through the local engine: whole, in parts, and cut in the middle."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local_engine.testing import EngineProcess, poll
from tools.benchmarks.streaming.measurements import measure

type Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def client(local_engine: EngineProcess) -> Iterator[httpx.Client]:
    scopes = ("read:resources", "write:resources", "read:audit", "erase:self")
    headers = {"Authorization": f"Bearer {local_engine.mint_token(*scopes, subject='exporter')}"}
    with local_engine.client(headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def export(export_url: str, client: httpx.Client) -> Callable[..., httpx.Response]:
    return lambda **parameters: client.get(export_url, params=parameters).raise_for_status()


@pytest.fixture(scope="module")
def stored(client: httpx.Client) -> Lines:
    """Everything that the user has, as the other routes show it, in the order of an export."""
    bodies = [{"name": f"résumé {number}", "type": "A", "metadata": {"number": number}} for number in range(12)]
    created = [client.post("/api/v1/resources", json=body).raise_for_status().json() for body in bodies]
    gone = created.pop(5)
    client.delete(f"/api/v1/resources/{gone['id']}").raise_for_status()
    uploads = [client.post("/api/v1/imports?upload=true").raise_for_status().json() for _ in range(2)]
    imports = [client.get(f"/api/v1/imports/{upload['id']}").raise_for_status().json() for upload in uploads]
    # Each change of a resource has its entry in the trail soon after.
    poll(lambda: len(read_trail(client)) == 13, "the audit trail is not complete", seconds=60)
    return [
        *({"resource": item} for item in created[::-1]),
        *({"auditEntry": entry} for entry in read_trail(client)),
        *({"import": item} for item in imports[::-1]),
    ]


def read_trail(client: httpx.Client) -> list[Any]:
    return client.get("/api/v1/audit", params={"limit": "100"}).raise_for_status().json()["entries"]


def read_lines(response: httpx.Response) -> tuple[Lines, dict[str, Any]]:
    """The lines of a response, and what the last one says; both are checked against each other."""
    *content, last = response.content.splitlines(keepends=True)
    end = json.loads(last)["end"]
    assert end["checksum"] == f"sha256:{hashlib.sha256(b''.join(content)).hexdigest()}"
    lines = [json.loads(line) for line in content]
    assert sum(end["counts"].values()) == len(lines)
    return lines, end


def drop_positions(lines: Lines) -> Lines:
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]


def test_an_export_holds_everything_newest_first(export: Callable[..., httpx.Response], stored: Lines) -> None:
    response = export()
    assert response.headers["content-type"] == "application/x-ndjson"
    lines, end = read_lines(response)
    assert drop_positions(lines) == stored
    assert (end["complete"], end["counts"]) == (
        True,
        {"resources": 11, "auditEntries": 13, "imports": 2, "erasures": 0},
    )


def test_an_export_goes_on_after_any_line(export: Callable[..., httpx.Response], stored: Lines) -> None:
    lines, _ = read_lines(export())
    for number, line in enumerate(lines, 1):
        rest, end = read_lines(export(**{"from": line["at"]}))
        assert drop_positions(rest) == stored[number:]
        assert end["complete"]


def test_a_receipt_is_in_the_export_of_an_erased_user(local_engine: EngineProcess, export_url: str) -> None:
    token = local_engine.mint_token("read:resources", "write:resources", "erase:self", subject="erased")
    with local_engine.client(headers={"Authorization": f"Bearer {token}"}) as client:
        receipt = client.post("/api/v1/erasures").raise_for_status().json()
        response = client.get(export_url).raise_for_status()
    lines, _ = read_lines(response)
    assert [line["erasure"]["id"] for line in lines if "erasure" in line] == [receipt["id"]]


def test_a_section_whose_scope_the_token_lacks_is_withheld(
    local_engine: EngineProcess, export_url: str, stored: Lines
) -> None:
    token = local_engine.mint_token("read:resources", subject="exporter")
    with local_engine.client(headers={"Authorization": f"Bearer {token}"}) as client:
        lines, end = read_lines(client.get(export_url).raise_for_status())
        assert drop_positions(lines) == [line for line in stored if "auditEntry" not in line]
        assert end["withheld"] == ["auditEntries", "erasures"]
        refused = client.get(export_url, params={"from": "auditEntries.AAAA"})
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "from")


@pytest.mark.needs_linux("reads the function's memory in /proc/<pid>/status")
def test_a_kill_in_the_middle_costs_no_item_and_memory_stays_flat() -> None:
    found = measure(8_000_000, small=20_000, flat_from=2_000_000, rounds=1)
    assert found.resumed_responses >= 2
    assert found.memory_large < found.memory_flat + 20_000_000
