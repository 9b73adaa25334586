"""The command line: help that teaches, and an exit status and a sentence for every failure."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import STACKS

from local_engine.command_line import exit_status
from local_engine.command_line.exit_status import ExitStatus
from local_engine.testing import EngineError, EngineProcess, free_port, run_engine

ECHO = str(STACKS / "echo" / "template.yaml")
QUEUE = "Resources: {Jobs: {Type: 'AWS::SQS::Queue'}}"
COMMANDS = ("run", "token", "credentials", "backend", "dashboard")
PAGE = Path(__file__).parents[1] / "docs" / "commands.md"


def test_help_explains_the_commands_with_examples() -> None:
    shown = run_engine("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", shown, re.MULTILINE)
    assert shown.count("\n  local-engine run") + shown.count("\n  curl ") == 3
    for status in ExitStatus:
        assert re.search(rf"^  {status.value} +{re.escape(status.meaning)}$", shown, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_examples_and_defaults(command: str) -> None:
    shown = run_engine(command, "--help").stdout
    assert re.search(rf"^examples?:\n  .*local-engine {command}", shown, re.MULTILINE)
    _, options = shown.split("options:")
    # Each option says its default, or is a mere switch or required.
    described = re.split(r"\n  (?=-)", options.partition("\nexample")[0])[1:]
    for option in described:
        text = " ".join(option.split())
        assert "default" in text or text.startswith(("-h, --help", "--id ", "--principal ")), text


def test_statuses_are_documented() -> None:
    page = PAGE.read_text()
    for status in ExitStatus:
        assert f"| {status.value} | {status.meaning} |" in page


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


FAILURES: list[tuple[ExitStatus, str, Callable[[Path], list[str]]]] = [
    (ExitStatus.ARGUMENT, "There is no command 'fly'; there are run, token,", lambda _: ["fly"]),
    (ExitStatus.ARGUMENT, "There is no command ''", lambda _: []),
    (ExitStatus.ARGUMENT, "unrecognized arguments: --fast. See: local-engine run --help", lambda _: ["run", "--fast"]),
    (ExitStatus.ARGUMENT, "There is no function Nobody", lambda _: ["run", "--template", ECHO, "--debug", "Nobody"]),
    (ExitStatus.ARGUMENT, "--id needs --client", lambda _: ["token", "--id", "--template", ECHO]),
    (ExitStatus.TEMPLATE, "no Resources", lambda path: ["run", "--template", write(path / "t.yaml", "{}")]),
    (
        ExitStatus.TEMPLATE,
        "no function that can run",
        lambda path: ["run", "--template", write(path / "t.yaml", QUEUE)],
    ),
    (ExitStatus.FILE, "gone.yaml cannot be read", lambda path: ["run", "--template", str(path / "gone.yaml")]),
    (ExitStatus.FILE, "gone.yaml cannot be read", lambda path: ["backend", "--template", str(path / "gone.yaml")]),
    (
        ExitStatus.FILE,
        "gone.json is not a policy document in JSON",
        lambda _: ["credentials", "--template", ECHO, "--principal", "ann", "--policy", "gone.json"],
    ),
    (
        ExitStatus.FILE,
        "gone.json cannot be read (No such file or directory)",
        lambda _: ["run", "--template", ECHO, "--seed", "gone.json"],
    ),
    (ExitStatus.PARAMETER, "has no parameter 'A'", lambda _: ["run", "--template", ECHO, "--parameters", "A=1"]),
    (
        ExitStatus.SERVICES,
        "do not answer",
        lambda _: [
            "run",
            "--template",
            str(STACKS / "monitored" / "template.yaml"),
            "--services",
            "http://127.0.0.1:1",
        ],
    ),
]


@pytest.mark.parametrize(("status", "sentence", "make_arguments"), FAILURES)
def test_a_failure_has_its_status_and_one_sentence(
    tmp_path: Path, status: ExitStatus, sentence: str, make_arguments: Callable[[Path], list[str]]
) -> None:
    arguments = make_arguments(tmp_path)
    if arguments[:1] == ["run"]:
        arguments += ["--port", str(free_port())]
    check(run_engine(*arguments, project=tmp_path), status, sentence)


def check(ended: subprocess.CompletedProcess[str], status: ExitStatus, sentence: str) -> None:
    assert ended.returncode == status, ended.stderr
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "usage:" not in ended.stderr


@pytest.mark.parametrize("command", ["run", "backend"])
def test_a_port_in_use_has_its_status(tmp_path: Path, command: str) -> None:
    option = "--port" if command == "run" else "--services-port"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_engine(command, "--template", ECHO, option, port)
    check(ended, ExitStatus.PORT, f"Port {port} cannot be used")


def test_an_unusable_state_folder_has_its_status(tmp_path: Path) -> None:
    write(tmp_path / ".local", "not a folder")
    ended = run_engine("token", "--template", write(tmp_path / "template.yaml", ""))
    check(ended, ExitStatus.STATE, ".local")


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("debugpy", ["--debug", "Echo"]),
        ("wordllama", ["--model", "small-embeddings"]),
        ("xllamacpp", ["--model", "small"]),
    ],
)
def test_a_missing_package_has_its_status(module: str, option: list[str]) -> None:
    # As if the package were not installed.
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {module!r} else find(name, *rest)\n"
        "from local_engine.__main__ import main\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", code, "run", "--template", ECHO, "--port", str(free_port()), *option]
    check(subprocess.run(command, capture_output=True, text=True, check=False), ExitStatus.TOOL, "nstall")


def test_a_fault_of_the_engine_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LookupError) as raised:
        raise LookupError("the deed")
    assert exit_status.report_error(raised.value) == ExitStatus.FAULT
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"The engine has a fault, please report it: LookupError: the deed \(test_command_line.py, line \d+\)\.\n", said
    )


def test_ctrl_c_stops_a_ready_engine_with_status_0() -> None:
    with EngineProcess(ECHO) as engine:
        assert engine.stop(signal.SIGINT) == ExitStatus.DONE
        assert "Traceback" not in engine.output


def test_the_engine_class_passes_the_sentence_on(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"ended with status 4: .*gone.yaml cannot be read"):
        EngineProcess(tmp_path / "gone.yaml").start()
