"""What a reader has to hold in their head stays small."""

import re

import pytest

from tests.support.stack import ROOT
from tests.support.templates import FILES, read_template

TEMPLATE_LINES = 600
NESTED_LINES = 400
FUNCTION_LINES = 16
PARAMETERS = 12
README_LINES = 150


def count_lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def find_blocks(path):
    """The lines of each resource's block, by its logical ID; comments and blank lines between blocks don't count."""
    text = path.read_text(encoding="utf-8").partition("\nResources:\n")[2].partition("\nOutputs:\n")[0]
    blocks, name = {}, None
    for line in text.splitlines():
        if found := re.match(r"  (\w+):", line):
            name = found[1]
            blocks[name] = []
        if name and line.strip() and not line.startswith("  #"):
            blocks[name].append(line)
    return {name: len(lines) for name, lines in blocks.items()}


def list_routed_functions():
    for path in FILES:
        for name, resource in read_template(path)["Resources"].items():
            events = resource.get("Properties", {}).get("Events", {}).values()
            if any(event["Type"] == "HttpApi" for event in events):
                yield path, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_template_reads_in_one_sitting(path):
    assert count_lines(path) <= (TEMPLATE_LINES if path.name == "template.yaml" else NESTED_LINES)


def test_blocks_are_counted_whole():
    for path in FILES:
        assert find_blocks(path).keys() == read_template(path)["Resources"].keys()


@pytest.mark.parametrize(("path", "name"), list(list_routed_functions()), ids=str)
def test_a_routes_function_is_one_short_block(path, name):
    assert find_blocks(path)[name] <= FUNCTION_LINES


def test_a_guided_deployment_asks_few_questions():
    assert len(read_template(ROOT / "template.yaml")["Parameters"]) <= PARAMETERS


def test_the_readme_is_short():
    assert count_lines(ROOT / "README.md") <= README_LINES
