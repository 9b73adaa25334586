"""The documentation matches the templates, the functions, the Makefile and the repository's files."""

import re

import pytest

from local_engine.template import ParametersRefused
from tests.support.gateway import import_functions
from tests.support.parameters import choose_other, give
from tests.support.permissions import translate_stack
from tests.support.programs import list_make_targets
from tests.support.stack import ROOT, find_resources, list_templates, load_template
from tests.support.templates import read_settings

TEMPLATE = load_template()
REFERENCE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations/README.md").read_text(encoding="utf-8")
ALARMS = (ROOT / "docs/operations/alarms.md").read_text(encoding="utf-8")


def read_table(page, heading):
    """The names in the first column of a table, and the other columns beside each."""
    rows = page.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {name: row[1:] for row in cells for name in re.findall(r"`(\w+)`", row[0])}


def test_each_parameter_is_in_the_reference_with_its_default():
    described = read_table(REFERENCE, "parameter")
    assert described.keys() == TEMPLATE["Parameters"].keys()
    for name, (text, _) in described.items():
        default = TEMPLATE["Parameters"][name]["Default"]
        assert str(default) in re.findall(r"`([^`]+)`", text) or (default == "" and "empty" in text), name


@pytest.mark.parametrize("template", list_templates())
def test_each_setting_is_in_the_reference_with_its_values(template):
    described = read_table(REFERENCE.partition(f"### {template}\n")[2], "setting")
    settings = read_settings(template)
    assert described.keys() == settings.keys()
    for name, values in settings.items():
        written = [str(value).lower() if isinstance(value, bool) else str(value) for value in values.values()]
        assert [cell.strip("`") for cell in described[name][:3]] == written, name


def test_each_output_is_in_the_reference():
    assert read_table(REFERENCE, "output").keys() == TEMPLATE["Outputs"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_a_parameter_changes_the_stack_or_what_is_refused(name):
    for value in ["eu-central-1"] if name == "AllowedRegions" else choose_other(name):
        before, after = give(name, value)
        assert read_effect(**before) != read_effect(**after), f"{name}={value} changes nothing"


def read_effect(**parameters):
    try:
        return translate_stack(**parameters).resources
    except ParametersRefused as error:
        return str(error)


def test_each_metric_of_the_functions_is_explained_and_no_other():
    with import_functions({"ENRICHMENT_URL": "https://enrichment.example.com/"}):
        from serverless_api import Metric

        metrics = {str(metric) for metric in Metric.declared}
    explained = set(read_table(OPERATIONS, "metric"))
    # Each noun has its own two counters, explained once for all.
    assert {re.sub(r"^\w+(?=Retrieved$|Changed$)", "Items", metric) for metric in metrics} == explained


def test_each_alarm_has_its_paragraph_and_names_it():
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    alarms = [
        alarm for template in list_templates() for kind in kinds for alarm in find_resources(kind, template).items()
    ]
    assert len(dict(alarms)) == len(alarms), "two alarms have one name, and so one paragraph"
    sections = dict(re.findall(r"^## ([^\n]+)\n\n(.+?)(?=\n## |\Z)", ALARMS, re.MULTILINE | re.DOTALL))
    named = {"Budget"}
    for name, alarm in alarms:
        (heading,) = re.findall(r'\(docs/operations, "(.+)"\)$', alarm["Properties"]["AlarmDescription"])
        named.add(heading)
        assert f"`{name}`" in sections[heading]
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert part in sections[heading], f"{heading}: {part}"
    assert "`Budget`" in sections["Budget"]
    assert sections.keys() == named


# The Markdown files under tools/benchmarks/ are templates of generated pages.
PAGES = [
    ROOT / "README.md",
    *(page for folder in ("docs", "examples", "packages") for page in ROOT.glob(f"{folder}/**/*.md")),
]


def find_anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name_page(page):
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_page)


@each_page
def test_a_link_leads_to_something(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("{"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in find_anchors(linked), f"{target} leads to no heading"


FOLDERS = r"\.ci|\.github|docs|events|examples|functions|layers|models|packages|stacks|tests|tools"
# The tutorials name files that the reader creates.
TUTORIALS = {ROOT / "docs/add-a-noun.md", ROOT / "docs/add-an-endpoint.md"}


def find_in_code(pattern, page):
    """Return what matches in the page's code blocks and inline code."""
    code = re.findall(r"```.*?```|`[^`]+`", page.read_text(encoding="utf-8"), re.DOTALL)
    return [found for piece in code for found in re.findall(pattern, piece)]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TUTORIALS], ids=name_page)
def test_a_path_exists(page):
    # A package's page names files of the package, too.
    project = next(folder for folder in page.parents if (folder / "pyproject.toml").exists())
    paths = find_in_code(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./*-]*", page)
    missing = [path for path in paths if not (any(ROOT.glob(path)) or any(project.glob(path)))]
    assert not missing


@each_page
def test_a_make_target_exists(page):
    assert set(find_in_code(r"\bmake ([a-z][a-z-]*)", page)) <= list_make_targets()
