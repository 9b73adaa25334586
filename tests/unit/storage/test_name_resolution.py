"""A name server that does not answer costs a request no more than its time."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serverless_api.resilience.deadline import Deadline, DeadlineExceeded
from serverless_api.storage import name_resolution
from serverless_api.storage.name_resolution import KEEP_SECONDS, resolve

pytestmark = pytest.mark.enable_socket

PROGRAM = Path(__file__).with_name("name_server_program.py")
# Without a limit, a lookup would take the three attempts' 90 s.
RESOLVER = "nameserver 127.0.0.1\noptions timeout:30 attempts:3\n"
NAMESPACE = 'mount --bind "$1" /etc/resolv.conf && ip link set lo up && exec "$2" "$3" real'


def run_program(*command: str | Path) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run_with_a_silent_name_server(directory: Path) -> dict[str, Any]:
    """Run the program in separate namespaces, in which the loopback interface has a name server that never answers."""
    unshare = ["unshare", "--map-root-user", "--mount", "--net"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not available; the test with the stand-in covers the same")
    resolver = directory / "resolv.conf"
    resolver.write_text(RESOLVER, encoding="ascii")
    return run_program(*unshare, "sh", "-c", NAMESPACE, "sh", resolver, sys.executable, PROGRAM)


@pytest.mark.needs_linux("namespaces are made with unshare")
@pytest.mark.slow
@pytest.mark.timeout(100)
@pytest.mark.parametrize("kind", ["real", "stand-in"])
def test_a_name_server_that_never_answers(tmp_path: Path, kind: str) -> None:
    report = run_with_a_silent_name_server(tmp_path) if kind == "real" else run_program(sys.executable, PROGRAM, kind)
    table, https, http = report["table"], report["https"], report["http"]
    assert table["status"] == 503
    assert table["queries"] > 0
    # The functions answered while the lookups were still waiting.
    assert table["pending"] == ["lookup of dynamodb.us-east-1.amazonaws.com"]
    for enriching, name in ((https, "enrich.example.com"), (http, "enrich.internal")):
        assert enriching["status"] == 201
        assert "metadata" not in enriching["document"]
        assert f"lookup of {name}" in enriching["pending"]


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Sets what the name server answers: an address, an error, or None for no answer."""
    answers: list[Any] = [None]
    released = threading.Event()
    look_up = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **options: Any) -> Any:
        if options["flags"]:
            return look_up(host, *arguments, **options)
        if answers[-1] is None:
            released.wait(30)
        if isinstance(answers[-1], OSError):
            raise answers[-1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    name_resolution._last_answers.clear()
    yield answers.append
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lookup of "):
            thread.join()
    name_resolution._last_answers.clear()


AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def test_an_address_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    assert [resolve(address, 1.0) for address in ("127.0.0.1", "::1")] == [["127.0.0.1"], ["::1"]]


@pytest.mark.parametrize("answer", [None, AGAIN])
def test_the_last_answer_is_used_while_there_is_no_other(name_server, answer):
    name_server("192.0.2.1")
    assert resolve("name.example.com", 20.0) == ["192.0.2.1"]
    name_server(answer)
    assert resolve("name.example.com", 0.02) == ["192.0.2.1"]
    name_server("192.0.2.2")
    assert resolve("name.example.com", 20.0) == ["192.0.2.2"]


def test_an_old_answer_is_not_used(name_server, monkeypatch):
    name_server("192.0.2.1")
    resolve("name.example.com", 20.0)
    name_server(AGAIN)
    now = time.time()
    for moment in (now + KEEP_SECONDS + 1, now - 10):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with pytest.raises(socket.gaierror):
            resolve("name.example.com", 20.0)


def test_a_name_that_is_gone_is_gone(name_server):
    name_server("192.0.2.1")
    resolve("name.example.com", 20.0)
    name_server(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    with pytest.raises(socket.gaierror):
        resolve("name.example.com", 20.0)


def test_silence_without_an_earlier_answer_is_a_timeout(name_server):
    with pytest.raises(TimeoutError):
        resolve("name.example.com", 0.02)


def test_the_deadline_ends_the_wait(name_server):
    with pytest.raises(DeadlineExceeded), Deadline(0.05).enforce():
        resolve("name.example.com", 60.0)
