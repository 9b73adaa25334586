"""Limits on the length of templates, functions and README, and on the number of parameters."""

import re

import pytest

from tests.support.stack import ROOT, list_routes, list_templates, load_template

TEMPLATE_LINES = 600
ROUTES = 5
"""The number of routes that `TEMPLATE_LINES` allows for. Each further route adds 30 lines."""
INTERNAL_LINES = 11
"""The block of the internal API, its output and its alarm."""
INTELLIGENCE_LINES = 56
"""Search: its parameter, settings and conditions, the table's vector indexes, the block of its part, its rights."""
LIST_LINES = 12
"""The table's indexes, the rights to read them, and the parameters of lists."""
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


@pytest.mark.parametrize("template", list_templates())
def test_a_template_reads_in_one_sitting(template):
    further_routes = max(len(list_routes()) - ROUTES, 0)
    root = TEMPLATE_LINES + 30 * further_routes + INTERNAL_LINES + INTELLIGENCE_LINES + LIST_LINES
    most = root if template == "template.yaml" else NESTED_LINES
    assert count_lines(ROOT / template) <= most


@pytest.mark.parametrize("template", list_templates())
def test_blocks_are_counted_whole(template):
    assert find_blocks(ROOT / template).keys() == load_template(template)["Resources"].keys()


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
def test_a_routes_function_is_one_short_block(route):
    assert find_blocks(ROOT / "template.yaml")[route.function] <= FUNCTION_LINES


def test_a_guided_deployment_asks_few_questions():
    assert len(load_template()["Parameters"]) <= PARAMETERS


def test_the_readme_is_short():
    assert count_lines(ROOT / "README.md") <= README_LINES
