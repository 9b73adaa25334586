"""What the pages say of the template's parameters, outputs and alarms, and of the metrics that the functions write."""

import re

import pytest

from local_engine.template.stack import ParametersRefused
from tests.contract.test_published_versions import choose_other, give
from tests.support.gateway import import_functions
from tests.support.permissions import translate_stack
from tests.support.stack import ROOT, find_resources, load_template

TEMPLATE = load_template()
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations/README.md").read_text(encoding="utf-8")
ALARMS = (ROOT / "docs/operations/alarms.md").read_text(encoding="utf-8")
# Each function's parameter and alarm of the same kind, described once for all.
FUNCTIONS = list(find_resources("AWS::Serverless::Function"))


def read_table(page, heading):
    """The names in the first column of a table, and the second column beside each."""
    rows = page.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {name: row[1] for row in cells for name in re.findall(r"`(\w+)`", row[0])}


def generalize(name, suffix):
    function = name.removesuffix(suffix)
    return f"<Function>{suffix}" if name.endswith(suffix) and function in FUNCTIONS else name


def test_each_parameter_stands_in_the_readme_with_its_default():
    described = read_table(README, "parameter")
    assert described.keys() - {"ListResourcesReserved"} == {
        name for name in TEMPLATE["Parameters"] if not name.endswith("Reserved")
    }
    for name, text in described.items():
        default = TEMPLATE["Parameters"][name]["Default"]
        assert str(default) in re.findall(r"`([^`]+)`", text) or (default == "" and "empty" in text), name


def test_each_output_stands_in_the_readme():
    assert read_table(README, "output").keys() == TEMPLATE["Outputs"].keys()


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_a_parameter_changes_the_stack_or_what_is_refused(name):
    # Where another parameter chooses what this one is about.
    about = {"ColdStart": "warm"} if name == "WarmEnvironments" else {}
    about |= {"ColdStart": "provisioned"} if "Provisioned" in name or name.startswith("Business") else {}
    for value in ["eu-central-1"] if name == "AllowedRegions" else choose_other(name):
        before, after = give(name, value)
        assert read_effect(**about, **before) != read_effect(**about, **after), f"{name}={value} changes nothing"


def read_effect(**parameters):
    try:
        return translate_stack(**parameters).resources
    except ParametersRefused as error:
        return str(error)


def test_each_metric_of_the_functions_is_explained_and_no_other():
    with import_functions() as _:
        from serverless_api.telemetry.observability import Metric

        metrics = {str(metric) for metric in Metric}
    assert read_table(OPERATIONS, "metric").keys() == metrics


def test_each_alarm_has_its_paragraph_and_names_it():
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    alarms = {name: of for kind in kinds for name, of in find_resources(kind).items()}
    sections = dict(re.findall(r"^## ([^\n]+)\n\n(.+?)(?=\n## |\Z)", ALARMS, re.MULTILINE | re.DOTALL))
    for name, alarm in alarms.items():
        (heading,) = re.findall(r'\(docs/operations, "(.+)"\)$', alarm["Properties"]["AlarmDescription"])
        section = sections[heading]
        assert f"`{generalize(name, 'Failures')}`" in section
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert part in section, f"{heading}: {part}"
    assert "`Budget`" in sections["Budget"]
    assert len(sections) == len({generalize(name, "Failures") for name in alarms} | {"Budget"})


# Those of tools/benchmarks/ are forms of pages that stand elsewhere.
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]


def find_anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_to_something(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("{"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in find_anchors(linked), f"{target} leads to no heading"
