"""`make mutants`, except the mutants themselves: Cosmic Ray makes them in its own environment."""

import pytest

from tools.mutants.outcomes import Mutant, Result, report
from tools.mutants.selection import find_lines
from tools.mutants.survivors import Survivor, find_stale, read_survivors, write_entry
from tools.mutants.targets import ROOT, TARGETS, find_target, list_sources, list_tests

SOURCE = """\
LIMIT = 3
UNUSED = 4


@cache
def count(text, start=0):
    if (
        start > 1
        and text
    ):
        return len(text)
    for word in text:
        print(
            word,
        )
    return LIMIT


@final
class Reader:
    size = 5

    def read(self):
        return self.size
"""


@pytest.mark.parametrize(
    ("line", "running"),
    [
        pytest.param(1, {16}, id="a constant where it is used"),
        pytest.param(2, {*range(7, 17), 24}, id="a constant that only other modules use"),
        pytest.param(5, set(range(7, 17)), id="a decorator with its function"),
        pytest.param(6, set(range(7, 17)), id="a default value with its function"),
        pytest.param(9, {7, 8, 9, 10}, id="a condition without its branches"),
        pytest.param(11, {11}, id="a branch"),
        pytest.param(12, {12}, id="a loop without its body"),
        pytest.param(14, {13, 14, 15}, id="a statement of several lines"),
        pytest.param(19, {*range(7, 17), 24}, id="a decorator of a class"),
        pytest.param(21, {24}, id="an attribute of a class where it is read"),
        pytest.param(24, {24}, id="a method"),
    ],
)
def test_a_line_is_tested_by_what_runs_it_or_uses_what_it_defines(line, running):
    assert find_lines(SOURCE, line) == running


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.sources)
def test_a_target_has_modules_and_tests(target):
    sources = list_sources(target, ROOT)
    assert sources
    assert {find_target(source) for source in sources} == {target}
    assert list_tests(target, ROOT)


def list_in_file(folder, survivor, reason="nobody reads it"):
    path = folder / "survivors.toml"
    path.write_text(write_entry(survivor).replace('reason = ""', f'reason = "{reason}"'), encoding="utf-8")
    return path


def test_a_printed_entry_lists_the_mutant_once_it_has_a_reason(tmp_path):
    survivor = Survivor("a.py", 'if name == "é\\n":', 'if name != "é\\n":\n"\t"')
    assert read_survivors(list_in_file(tmp_path, survivor)) == {survivor: "nobody reads it"}


def test_an_entry_without_a_reason_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.py"):
        read_survivors(list_in_file(tmp_path, Survivor("a.py", "x = 1", "x = 2"), reason=" "))


@pytest.mark.parametrize(
    ("survivor", "is_stale"),
    [
        (Survivor("a.py", "x = 1", "x = 2"), False),
        (Survivor("a.py", "x = 1\n\n@property", "x = 1"), False),
        (Survivor("a.py", "x = 3", "x = 4"), True),
        (Survivor("b.py", "x = 1", "x = 2"), True),
    ],
)
def test_an_entry_for_code_that_is_gone_is_found(tmp_path, survivor, is_stale):
    (tmp_path / "a.py").write_text("def f():\n    x = 1\n\n@property\n", encoding="utf-8")
    assert find_stale(tmp_path, {survivor: "reason"}) == [survivor] * is_stale


def make_results(*outcomes):
    return [
        Result(Mutant("a.py", line, 0, "AddNot", 0), Survivor("a.py", f"{line}", "0"), outcome, 1.0)
        for line, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "listed", "status"),
    [
        (["killed"] * 9 + ["ended"], [], 0),
        (["killed"] * 9 + ["survived"], [9], 0),
        (["killed"] * 9 + ["survived"], [], 1),
        (["killed"] * 9 + ["untested"], [], 1),
        (["killed"] * 8 + ["survived"] * 2, [8, 9], 1),
    ],
)
def test_an_unlisted_survivor_or_too_many_of_them_fail_the_command(outcomes, listed, status):
    results = make_results(*outcomes)
    assert report(results, {results[number].survivor: "reason" for number in listed}) == status


def test_the_report_has_an_entry_for_each_unlisted_survivor_and_names_a_listed_one_that_is_killed(capsys):
    results = make_results("survived", "survived", "killed")
    report(results, {results[1].survivor: "reason", results[2].survivor: "reason"})
    shown = capsys.readouterr().out
    assert "33.3% killed: 1 of 3. 1 survivors have a reason, 1 none." in shown
    assert f"# a.py:0:0 AddNot, survived\n{write_entry(results[0].survivor)}" in shown
    assert "Listed as a survivor, but killed: a.py:2:0 AddNot" in shown
    assert write_entry(results[1].survivor) not in shown
