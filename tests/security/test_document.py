"""docs/security.md has one row for each attack, with its answer and its test."""

import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.support.stack import ROOT

ROW = re.compile(r"\| (?P<attack>[^|]+) \| (?P<answer>[^|]+) \| `(?P<test>test_[^`]+)` \|")
ROUTE = re.compile(r"\[(GET|POST|PUT|DELETE) /[^\]]*\]$")
STATUS = re.compile(r"-(\d{3})\]$")
# The matrix, the logs and the traces have no attacks, and this module is about the table.
OTHERS = {"test_document.py", "test_logs.py", "test_matrix.py", "test_traces.py"}


@pytest.fixture(scope="module")
def rows() -> Mapping[str, str]:
    """The answers in the table, by test."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    found = [match for line in text.splitlines() if (match := ROW.fullmatch(line))]
    answers = {match["test"]: match["answer"] for match in found}
    assert len(answers) == len(found), "a test stands in two rows"
    return answers


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """The tests of attacks, each once, through whichever door."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/security"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.removeprefix("tests/security/") for line in listed.splitlines() if "::" in line}
    return {_strip_door(name) for name in names if name.partition("::")[0] not in OTHERS}


def _strip_door(name: str) -> str:
    name = re.sub(r"\[(gateway|functions)\]$", "", name)
    return re.sub(r"(?<=\[)(gateway|functions)-|-(gateway|functions)(?=\]$)", "", name)


def test_each_attack_has_a_row(rows: Mapping[str, str], tests: set[str]) -> None:
    # A test that goes through the routes needs no row for each that a team adds.
    described = {ROUTE.sub("", test) for test in rows}
    assert sorted(test for test in tests - rows.keys() if ROUTE.sub("", test) not in described) == []


def test_each_row_has_its_test(rows: Mapping[str, str], tests: set[str]) -> None:
    assert sorted(rows.keys() - tests) == []


def test_the_answers_are_those_of_the_tests(rows: Mapping[str, str]) -> None:
    expected = {test: match[1] for test in rows if (match := STATUS.search(test))}
    assert {test: rows[test][:3] for test in expected} == expected
