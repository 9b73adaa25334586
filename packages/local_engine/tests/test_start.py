"""Faulty templates, settings and surroundings: a sentence and an exit status for each kind."""

import os
import socket
import subprocess
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from local_engine.command_line.exit_status import ExitStatus, report_error
from local_engine.command_line.run_command import run
from local_engine.testing import child_environment, engine_command

FUNCTION = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Name: {Type: String, Default: x, AllowedValues: [x, y]}
  Origin: {Type: String, Default: http://a, AllowedPattern: 'https?://.+', ConstraintDescription: it must be a URL}
  Number: {Type: Number, Default: 2, MinValue: 1, MaxValue: 3}
  Short: {Type: String, Default: x, MinLength: 1, MaxLength: 3}
  List: {Type: CommaDelimitedList, Default: 'a,b', AllowedPattern: '[a-z]'}
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


def refuse(template: Path, *arguments: str, status: ExitStatus = ExitStatus.TEMPLATE) -> str:
    """Return the sentence of a start that fails with a status.

    It runs in this process, which has imported SAM's translator. tests/test_command_line.py runs the command itself.
    """
    with redirect_stderr(StringIO()) as output:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - checked by its status
            run(["--template", str(template), *arguments])
        assert report_error(refused.value) == status
    assert "usage:" not in output.getvalue()
    return output.getvalue()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("CodeUri: hello", "CodeUri: [hello"), "line 14, column 14"),
        (("CodeUri: hello", "CodeUri: nowhere"), "nowhere, which is not a folder"),
        (("CodeUri: hello", "CodeUri: hello/app.py"), "app.py, which is not a folder"),
        (("CodeUri: hello", "CodeUri: s3://bucket/key"), "Hello is not run: its CodeUri is s3://bucket/key"),
        (("CodeUri: hello", "PackageType: Image"), "Hello is not run: "),
        (("CodeUri: hello", "CodeUri: hello\n      FunctionName: !Ref Hello"), "in a circle: Hello → Hello"),
        (("CodeUri: hello", "CodeUri: hello\n      Timeout: abc"), "Hello is not run: its Timeout is 'abc'"),
        (("CodeUri: hello", "CodeUri: hello\n      Environment: &a {Variables: {X: *a}}"), "nested too deeply"),
        (("    Type: AWS::Serverless::Function\n", ""), "Hello is not run: it has no Type"),
        (("    Type:", "    Condition: A\n    Type:"), "there is no condition 'A'"),
        (("app.handler", "other.handler"), "has no other.py"),
        (("app.handler", "app"), "it must be file.function"),
        (("app.handler", "!Ref Nobody"), "Ref names 'Nobody'"),
        (("      Runtime: python3.13", ""), "Runtime"),
        (("python3.13", "nodejs24.x"), "runs only Python"),
    ],
)
def test_faulty_template(template: Path, edit: tuple[str, str], sentence: str) -> None:
    text = FUNCTION.replace(*edit)
    assert text != FUNCTION
    template.write_text(text)
    assert sentence in refuse(template)


def test_missing_parameters(template: Path) -> None:
    template.write_text(
        FUNCTION.replace("Parameters:", "Parameters:\n  First: {Type: String}\n  Second: {Type: String}")
    )
    sentence = refuse(template, status=ExitStatus.PARAMETER)
    assert "parameters First, Second have no default" in sentence


def test_missing_included_file(template: Path) -> None:
    include = "Fn::Transform: {Name: AWS::Include, Parameters: {Location: gone.yaml}}\n"
    template.write_text(include + FUNCTION)
    assert "gone.yaml" in refuse(template, status=ExitStatus.FILE)


def test_missing_template(tmp_path: Path) -> None:
    assert "cannot be read" in refuse(tmp_path / "none.yaml", status=ExitStatus.FILE)


def test_empty_template(template: Path) -> None:
    template.write_text("")
    assert "no Resources" in refuse(template)


@pytest.mark.parametrize(
    ("arguments", "sentence", "status"),
    [
        (["--port", "99999999"], "not a port number", ExitStatus.ARGUMENT),
        (["--port", "x"], "not a port number", ExitStatus.ARGUMENT),
        (["--parameters", "Name"], "Key=Value", ExitStatus.ARGUMENT),
        (["--parameters", "Other=1"], "no parameter 'Other'", ExitStatus.PARAMETER),
        (["--parameters", "Name=z"], "must be one of x, y", ExitStatus.PARAMETER),
        (["--parameters", "Origin=here"], "parameter Origin is 'here': it must be a URL.", ExitStatus.PARAMETER),
        (["--parameters", "Number=7"], "parameter Number is '7'", ExitStatus.PARAMETER),
        (["--parameters", "Number=many"], "parameter Number is 'many'", ExitStatus.PARAMETER),
        (["--parameters", "Short=xxxx"], "parameter Short is 'xxxx'", ExitStatus.PARAMETER),
        (["--parameters", "List=a,B"], "parameter List is 'a,B'", ExitStatus.PARAMETER),
        (["--processes", "0"], "not a number; choose one from 1", ExitStatus.ARGUMENT),
        (["--seed", "nowhere.json"], "nowhere.json", ExitStatus.FILE),
    ],
)
def test_wrong_settings(template: Path, arguments: list[str], sentence: str, status: ExitStatus) -> None:
    assert sentence in refuse(template, *arguments, status=status)


RULES = """
Rules:
  NameFits:
    RuleCondition: !Equals [!Ref Name, y]
    Assertions:
      - Assert: ASSERT
        AssertDescription: y is for others
"""


@pytest.mark.parametrize(
    "assertion",
    [
        "{Fn::Contains: [[eu-west-1, eu-central-1], !Ref AWS::Region]}",
        "{Fn::EachMemberIn: [[x, !Ref Name], [x, z]]}",
        "{Fn::EachMemberEquals: [[x, !Ref Name], x]}",
        "!Not [!Or [!Equals [!Ref Name, z], !Equals [!Ref Name, y]]]",
    ],
)
def test_parameters_that_a_rule_rejects(template: Path, assertion: str) -> None:
    template.write_text(FUNCTION + RULES.replace("ASSERT", assertion))
    assert "y is for others" in refuse(template, "--parameters", "Name=y", status=ExitStatus.PARAMETER)
    # Its condition does not hold for the default; a later fault shows that the rules have been passed.
    template.write_text(template.read_text().replace("CodeUri: hello", "CodeUri: nowhere"))
    assert "nowhere, which is not a folder" in refuse(template)


def test_a_rule_that_is_fulfilled(template: Path) -> None:
    rules = RULES.replace("ASSERT", "{Fn::Contains: [[eu-west-1, us-east-1], !Ref AWS::Region]}")
    template.write_text((FUNCTION + rules).replace("CodeUri: hello", "CodeUri: nowhere"))
    assert "nowhere, which is not a folder" in refuse(template, "--parameters", "Name=y")


def test_a_rule_that_the_engine_cannot_read(template: Path) -> None:
    template.write_text(FUNCTION + RULES.replace("ASSERT", "{Fn::EachMemberIn: [x, [x]]}"))
    assert "'x' is not a list" in refuse(template, "--parameters", "Name=y")


def test_port_in_use(template: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in refuse(template, "--port", str(port), status=ExitStatus.PORT)


def test_conditions_in_a_circle(template: Path) -> None:
    conditions = "Conditions: {A: !Condition B, B: !Condition A}\n"
    template.write_text(FUNCTION.replace("    Type:", "    Condition: A\n    Type:") + conditions)
    assert "Hello is not run: Condition A depends on itself" in refuse(template)


@pytest.mark.parametrize("module", ["yaml", "uvicorn"])
def test_ctrl_c_during_the_imports(template: Path, tmp_path: Path, module: str) -> None:
    interrupting = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"
    (tmp_path / f"{module}.py").write_text(interrupting)
    environment = child_environment()
    done = subprocess.run(
        engine_command("run", "--template", str(template)),
        env=environment | {"PYTHONPATH": os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (ExitStatus.INTERRUPTED, "", "")
