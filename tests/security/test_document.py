"""docs/security.md has one row for each attack, with the expected answer and the test, whatever the routes are."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.support.bodies import list_possible_attacks
from tests.support.internal import list_internal_routes
from tests.support.stack import ROOT, list_routes

ROW = re.compile(r"\| (?P<attack>[^|]+) \| (?P<answer>[^|]+) \| `(?P<test>test_[^`]+)` \|")
EXPECTED = re.compile(r"-(\d{3}|2xx)\]$")
# These hold rules rather than attacks.
OTHERS = {"test_document.py", "test_logs.py", "test_matrix.py", "test_resources.py", "test_traces.py"}
RULES = {"test_content.py::test_the_fixture_has_every_property_of_its_model"}


@pytest.fixture(scope="module")
def rows() -> Mapping[str, str]:
    """The answers in the table, by test."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    found = [match for line in text.splitlines() if (match := ROW.fullmatch(line))]
    answers = {match["test"]: match["answer"] for match in found}
    assert len(answers) == len(found), "a test is in two rows"
    return answers


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """The tests of attacks, each once for all routes, both APIs and both doors."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/security"]
    # A user's own options would change what is listed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    listed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    names = {line.removeprefix("tests/security/") for line in listed.splitlines() if "::" in line}
    return {_generalize(name) for name in names if name.partition("::")[0] not in OTHERS} - RULES


def _generalize(name: str) -> str:
    # Both APIs meet the same attacks on tokens, which have one row.
    name = name.replace("test_streaming.py::test_token[", "test_tokens.py::test_token[")
    test, bracket, parameters = name.partition("[")
    parameters = parameters.removesuffix("]")
    for part in ("gateway", "functions", *(route.key for route in (*list_routes(), *list_internal_routes()))):
        parameters = re.sub(rf"^{re.escape(part)}(-|$)|-{re.escape(part)}$", "", parameters)
    return f"{test}[{parameters}]" if bracket and parameters else test


def test_each_attack_has_a_row(rows: Mapping[str, str], tests: set[str]) -> None:
    assert sorted(tests - rows.keys()) == []


def test_each_row_has_its_test(rows: Mapping[str, str], tests: set[str]) -> None:
    # Not every API has a text, an object or a number in a body.
    possible = {f"test_content.py::test_body[{name}-{expected}]" for name, expected in list_possible_attacks()}
    assert sorted(rows.keys() - tests - possible) == []


def test_the_answers_are_those_of_the_tests(rows: Mapping[str, str]) -> None:
    expected = {test: match[1] for test in rows if (match := EXPECTED.search(test))}
    assert {test: rows[test][:3] for test in expected} == expected
