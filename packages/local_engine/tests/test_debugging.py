"""`local-engine run --debug`: one process that waits for a debugger, without timeouts."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import STACKS, connect, copy_stack

import local_engine
from local_engine.command_line.exit_status import ArgumentError, MissingToolError
from local_engine.command_line.serving import _check_debugging
from local_engine.template import load_template
from local_engine.testing import EngineProcess, free_port, poll

STACK = STACKS / "debugged"


def start(template: Path, port: int) -> EngineProcess:
    # The stack's own stand-in for debugpy.
    paths = (STACK / "functions" / "paused", Path(local_engine.__file__).parents[1])
    environment = {"PYTHONPATH": ":".join(map(str, paths))}
    return EngineProcess(template, "--debug", "Paused", "--debug-port", str(port), environment=environment)


def test_requests_wait_for_the_debugger_and_do_not_time_out() -> None:
    port = free_port()
    with start(STACK / "template.yaml", port) as engine, engine.client() as client, ThreadPoolExecutor(2) as requests:
        # Before any request, so that an editor can attach.
        engine.wait_for_line(rf"Paused \| Waiting for a debugger at 127.0.0.1:{port}")
        answers = [requests.submit(client.get, "/", params={"seconds": seconds}) for seconds in (1.2, 0)]
        assert not any(answer.done() for answer in answers)
        with connect(port):
            first, second = (answer.result() for answer in answers)
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json()["pid"] == second.json()["pid"]
        assert second.json()["remaining"] > 60 * 60 * 1000


def test_the_engine_ends_quietly_while_a_request_waits() -> None:
    port = free_port()
    with start(STACK / "template.yaml", port) as engine:
        engine.wait_for_line("Waiting for a debugger")
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        # One client is gone before the end, the other one stays.
        with connect(engine.port) as gone, connect(engine.port) as staying:
            gone.sendall(request)
            staying.sendall(request)
            gone.close()
            assert engine.stop() == 0
    assert "Traceback" not in engine.output
    assert "Error" not in engine.output


def test_an_edit_waits_for_the_debugger_again(tmp_path: Path) -> None:
    template, port = copy_stack("debugged", tmp_path), free_port()
    source = template.parent / "functions" / "paused" / "app.py"
    with start(template, port) as engine, engine.client() as client, ThreadPoolExecutor(1) as requests:
        engine.wait_for_line("Waiting for a debugger")
        with connect(port):
            assert client.get("/").status_code == 200
        source.write_text("def handler(event, context): return 'edited'\n")
        answer = requests.submit(client.get, "/")
        poll(lambda: engine.output.count("Waiting for a debugger") == 2, "the new process does not wait")
        with connect(port):
            assert answer.result().text == "edited"


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("Paused", "debugpy is not installed. Install it with"),
        ("Other", "There is no function Other; there are Paused."),
    ],
)
def test_what_is_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch, function: str, sentence: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    stack = load_template(STACK / "template.yaml", {})
    with pytest.raises((ArgumentError, MissingToolError), match=sentence):
        _check_debugging(stack, argparse.Namespace(debug=function))


def test_a_fault_before_the_first_request_is_shown(tmp_path: Path) -> None:
    template, port = copy_stack("debugged", tmp_path), free_port()
    (template.parent / "functions" / "paused" / "app.py").write_text("import no_such_module\n")
    with start(template, port) as engine:
        engine.wait_for_line("Waiting for a debugger")
        with connect(port):
            engine.wait_for_line(r"Paused \| The function cannot be imported .*no_such_module")
