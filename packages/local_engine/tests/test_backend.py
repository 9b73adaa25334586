"""`local-engine backend`: reachable for containers, closed to other machines, gone after Ctrl-C."""

import asyncio
import ipaddress
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import STACKS, aws_client

from local_engine.services.containers import LocalPeersOnly, find_container_network
from local_engine.testing import (
    child_environment,
    engine_command,
    free_port,
    is_running,
    poll,
    processes_below,
    run_engine,
)

PROJECT = STACKS / "guarded"
PARAMETERS = ["--parameters", "Issuer=http://127.0.0.1:3000/_local/issuer"]


@dataclass
class Backend:
    process: subprocess.Popen[str]
    services_port: int
    issuer_port: int
    output: str = ""


@pytest.fixture
def backend() -> Iterator[Backend]:
    ports = free_port(), free_port()
    options = ["--services-port", str(ports[0]), "--issuer-port", str(ports[1]), "--seed", "items.json"]
    process = subprocess.Popen(
        engine_command("backend", *options, *PARAMETERS),
        cwd=PROJECT,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    backend = Backend(process, *ports)
    try:
        assert process.stdout
        while "Ctrl-C" not in backend.output:
            line = process.stdout.readline()
            assert line, f"the backend ended:\n{backend.output}"
            backend.output += line
        yield backend
    finally:
        process.kill()
        process.communicate()


def test_it_serves_until_interrupted_and_leaves_nothing(backend: Backend) -> None:
    assert "sam build" in backend.output
    assert "sam local start-api" in backend.output
    token = run_engine("token", "--scopes", "read", project=PROJECT).stdout.strip()
    introspection = f"http://127.0.0.1:{backend.issuer_port}/oauth2/introspect"
    answer = httpx.post(introspection, data={"token": token}, trust_env=False).json()
    assert (answer["active"], answer["sub"], answer["scope"]) == (True, "demo", "read")
    items = aws_client("dynamodb", f"http://127.0.0.1:{backend.services_port}").scan(TableName="Items")
    assert items["Items"] == [{"pk": {"S": "seeded"}}]
    children = processes_below(backend.process.pid)
    assert children
    backend.process.send_signal(signal.SIGINT)
    assert backend.process.wait(20) == 0
    assert backend.process.stdout
    assert "Traceback" not in backend.process.stdout.read()
    poll(lambda: not any(map(is_running, children)), "a process is left")


def test_it_is_closed_to_other_machines(backend: Backend) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; asks for the address that others know this machine by (RFC 5737 keeps this one unused).
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        address = probe.getsockname()[0]
    if ipaddress.ip_address(address).is_loopback:
        pytest.skip("this machine has loopback only")
    for port in (backend.services_port, backend.issuer_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=5)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run_engine(
            "backend", "--issuer-port", port, "--services-port", str(free_port()), *PARAMETERS, project=PROJECT
        )
    assert answer.returncode == 6
    assert answer.stderr.startswith(f"Port {port} cannot be used")
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 200), ("10.88.0.7", 200), ("10.89.0.7", 403), ("192.0.2.1", 403), ("::1", 200)]
)
def test_callers_outside_the_container_network_get_403(peer: str, status: int) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    application = LocalPeersOnly(answer, [ipaddress.ip_network("10.88.0.0/16")])
    transport = httpx.ASGITransport(application, client=(peer, 1))

    async def call() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:
            return (await client.get("/")).status_code

    assert asyncio.run(call()) == status


@pytest.mark.parametrize("engine", ["unix:///nowhere/engine.sock", "tcp://192.0.2.1:2375", "unix://"])
def test_no_engine_no_network(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    assert find_container_network() is None
