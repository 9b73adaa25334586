"""A template without a part is one that deploys, and docs/leave-out-a-part.md says what `make remove` removes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_engine.template import load_template
from tests.support.stack import ROOT
from tools.scaffold.parts import Part, load_parts, remove_from_template, remove_widgets

pytestmark = pytest.mark.timeout(600)

PAGE = (ROOT / "docs/leave-out-a-part.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
# Those that this project still has.
PARTS = {name: part for name, part in load_parts().items() if f"\n  {part.blocks[0]}:\n" in TEMPLATE}
each_part = pytest.mark.parametrize("name", PARTS)


def list_removed(name: str) -> list[Part]:
    """The part and those that go before it."""
    return [*(PARTS[other] for other in PARTS[name].after if other in PARTS), PARTS[name]]


@each_part
def test_the_page_says_what_the_command_removes(name: str) -> None:
    part = PARTS[name]
    section = PAGE.partition(f"## {part.title}\n")[2].partition("\n## ")[0]
    assert f"`make remove PART={name}`" in section
    (row,) = re.findall(r"^\| blocks? \| (.+) \|$", section, re.MULTILINE)
    assert [block for block in re.findall(r"`(\w+)`", row) if block in part.blocks] == list(part.blocks)
    assert {f"`{stack}`" for stack in part.stacks} <= set(re.findall(r"`[^`]+`", section))


@each_part
def test_everything_that_the_command_edits_is_there(name: str) -> None:
    part = PARTS[name]
    assert [file for file in (*part.stacks, *part.files) if not (ROOT / file).exists()] == []
    for file, text, *_ in (*part.entries, *part.edits, *part.passages):
        assert text in (ROOT / file).read_text(encoding="utf-8"), f"{file} has no {text!r}"
    for test in part.tests:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), test
    for title in part.widgets:
        assert f'"title": "{title}"' in (ROOT / "stacks/operations.yaml").read_text(encoding="utf-8")
    for target in part.targets:
        assert f"\n## {target}: " in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.slow
@each_part
def test_a_template_without_a_part_lints_and_has_the_other_routes(tmp_path: Path, name: str) -> None:
    for folder in ("functions", "layers", "models", "stacks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    template, text = tmp_path / "template.yaml", TEMPLATE
    removed = {block for part in list_removed(name) for block in part.blocks}
    for part in list_removed(name):
        text = remove_from_template("template.yaml", text, part)
    template.write_text(text, encoding="utf-8")
    names = {name for function in load_template(template, {}).functions for name in function.split("/")}
    assert not names & removed
    routes = {function for function, _ in find_routes(text)}
    assert routes == {function for function, _ in find_routes(TEMPLATE)} - removed
    # An operation without a function would be a route that nothing answers.
    assert {path for _, path in find_routes(text)} == set(re.findall(r"^          (/api/v1/\S+):$", text, re.MULTILINE))
    # A reference to what is gone is an error.
    lint = [Path(sys.executable).with_name("cfn-lint"), template]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=570, check=False)
    assert done.returncode == 0, done.stdout


def find_routes(template: str) -> list[tuple[str, str]]:
    """The functions of a template that serve a route of the HTTP API, with their paths."""
    blocks = re.findall(r"^  (\w+):\n((?:   .*\n)+)", template, re.MULTILINE)
    return [
        (name, path[1]) for name, body in blocks if (path := re.search(r"Type: HttpApi\n.*Path: \"?(/[^\s\",]+)", body))
    ]


def test_a_dashboard_without_widgets_is_the_same_but_for_them() -> None:
    text = (ROOT / "stacks/operations.yaml").read_text(encoding="utf-8")
    assert remove_widgets(text, []) == text
    titles = [title for part in PARTS.values() for title in part.widgets]
    left = remove_widgets(text, titles)
    assert not [title for title in titles if title in left]
    assert len(left.split('{"type": ')) == len(text.split('{"type": ')) - len(titles)
    assert not re.search(r",\s*\]", left)
