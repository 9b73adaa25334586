"""Faulty templates, settings and surroundings: a sentence and exit status 2."""

import socket
from pathlib import Path

import pytest

from tests.engine_process import run_engine

FUNCTION = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Name: {Type: String, Default: x, AllowedValues: [x, y]}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: hello
      Handler: app.handler
      Runtime: python3.13
      Events:
        Any: {Type: HttpApi, Properties: {Path: /, Method: get}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "app.py").write_text("def handler(event, context): return 1\n")
    path = tmp_path / "template.yaml"
    path.write_text(FUNCTION)
    return path


def refuse(template: Path, *arguments: str) -> str:
    result = run_engine("run", "--template", str(template), *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("CodeUri: hello", "CodeUri: [hello"), "line 10, column 14"),
        (("CodeUri: hello", "CodeUri: nowhere"), "nowhere, which is not a folder"),
        (("app.handler", "other.handler"), "has no other.py"),
        (("app.handler", "app"), "it must be file.function"),
        (("app.handler", "!Ref Nobody"), "Ref names 'Nobody'"),
        (("      Runtime: python3.13", ""), "Runtime"),
        (("python3.13", "nodejs24.x"), "runs only Python"),
        (("HttpApi,", "Api,"), "nothing to serve"),
        (("Path: /,", "Path: /, PayloadFormatVersion: '1.0',"), "payload format version 2.0"),
        (("Path: /,", "Path: /, Auth: {Authorizer: Nobody},"), "Nobody"),
        (
            ("Parameters:", "Fn::Transform: {Name: AWS::Include, Parameters: {Location: gone.yaml}}\nParameters:"),
            "gone.yaml",
        ),
    ],
)
def test_faulty_template(template: Path, edit: tuple[str, str], sentence: str) -> None:
    text = FUNCTION.replace(*edit)
    assert text != FUNCTION
    template.write_text(text)
    assert sentence in refuse(template)


def test_missing_template(tmp_path: Path) -> None:
    assert "cannot be read" in refuse(tmp_path / "none.yaml")


def test_empty_template(template: Path) -> None:
    template.write_text("")
    assert "no Resources" in refuse(template)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "99999999"], "not a port number"),
        (["--port", "x"], "not a port number"),
        (["--parameters", "Name"], "Key=Value"),
        (["--parameters", "Other=1"], "no parameter 'Other'"),
        (["--parameters", "Name=z"], "must be one of x, y"),
        (["--processes", "0"], "not a number from 1"),
        (["--seed", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_settings(template: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in refuse(template, *arguments)


def test_port_in_use(template: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in refuse(template, "--port", str(port))


def test_unknown_command_shows_usage() -> None:
    result = run_engine("fly")
    assert result.returncode == 2
    assert "usage:" in result.stderr
