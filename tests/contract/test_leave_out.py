"""A template without a part is one that deploys, as docs/leave-out-a-part.md says."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from local_engine.template import load_template
from tests.support.stack import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs/leave-out-a-part.md").read_text(encoding="utf-8")
# What stands in place of a line that refers to a part.
REPLACED = {"RecordsQueues": "none", "VectorsQueue": "none", "DeadLetterQueueUrls": "{Value: !Ref DeadLetters}"}


def read_blocks(heading: str) -> list[str]:
    """Return the blocks that a section of the page deletes."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (row,) = re.findall(r"^\| blocks? \| (.+) \|$", section, re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


def leave_out(text: str, blocks: Sequence[str]) -> str:
    """Return a template without blocks of resources, the paths of those that serve routes, and what refers to them."""
    for block in blocks:
        body = re.search(rf"^  {block}:\n(?:   .*\n)+", text, re.MULTILINE)
        assert body, block
        text = text.replace(body[0], "")
        if path := re.search(r"Path: \"?(/[^\s\",]+)", body[0]):
            text = re.sub(rf"^          {re.escape(path[1])}:\n(?:           .*\n)+", "", text, flags=re.MULTILINE)
        reference = rf".*\b{block}\.Outputs\b.*\n"
        for name, value in REPLACED.items():
            text = re.sub(rf"^( +{name}: ){reference}", rf"\g<1>{value}\n", text, flags=re.MULTILINE)
        text = re.sub(rf"^ +- Effect: Allow\n +Action: .*\n +Resource: {reference}", "", text, flags=re.MULTILINE)
        text = re.sub(rf"^{reference}", "", text, flags=re.MULTILINE)
    return text


EXPORT, INTERNAL, SEARCH = read_blocks("The export"), read_blocks("The internal API"), read_blocks("Search")
RECORDS = read_blocks("Audit trail, events, imports and erasure")


@pytest.mark.parametrize(
    ("blocks", "nouns"),
    [
        pytest.param(EXPORT, {"resources", "audit", "imports", "erasures", "search"}, id="export"),
        pytest.param(INTERNAL, {"resources", "audit", "imports", "erasures", "search"}, id="internal API"),
        pytest.param(SEARCH, {"resources", "audit", "imports", "erasures"}, id="search"),
        pytest.param(
            ["StartImport", "GetImport", "CancelImport"],
            {"resources", "audit", "erasures", "search"},
            id="imports' routes",
        ),
        pytest.param([*EXPORT, *SEARCH, *RECORDS], {"resources"}, id="records"),
    ],
)
def test_a_template_without_a_part_lints_and_has_the_other_routes(
    tmp_path: Path, blocks: Sequence[str], nouns: set[str]
) -> None:
    for folder in ("functions", "layers", "models", "stacks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    template = tmp_path / "template.yaml"
    template.write_text(leave_out((ROOT / "template.yaml").read_text(encoding="utf-8"), blocks), encoding="utf-8")
    names = {name for function in load_template(template, {}).functions for name in function.split("/")}
    assert names & {"ListResources", *blocks} == {"ListResources"}
    assert set(re.findall(r"^          /api/v1/(\w+)", template.read_text(encoding="utf-8"), re.MULTILINE)) == nouns
    # A reference to what is gone is an error.
    lint = [Path(sys.executable).with_name("cfn-lint"), template]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=570, check=False)
    assert done.returncode == 0, done.stdout
