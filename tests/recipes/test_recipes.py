"""An endpoint and a second noun touch no file of the house and no test, and every check covers them.

The project's own tests run in a copy of it that has both.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import boto3
import pytest

from tests.recipes.changes import Cost
from tests.support.gateway import ENVIRONMENT
from tests.support.programs import prepare_engine

pytestmark = pytest.mark.timeout(1500)

MOST_FILES = {"endpoint": 4, "noun": 22}
MOST_LINES = {"endpoint": 130, "noun": 1050}
ENDPOINT = "GET /api/v1/resources/days"
ROUTES = (
    ENDPOINT,
    "GET /api/v1/orders",
    "POST /api/v1/orders",
    "GET /api/v1/orders/{id}",
    "PUT /api/v1/orders/{id}",
    "PATCH /api/v1/orders/{id}",
    "DELETE /api/v1/orders/{id}",
)
# Of the API and security tests, those of the new routes and those that are about no noun in particular.
TESTS = (
    "tests/contract", "tests/api", "tests/security", "tests/unit/test_cost.py",
    "tests/unit/test_smoke.py", "tests/unit/test_version_verification.py",
)  # fmt: skip
NAMES = "(contract or unit or order or days or not (resource or audit or import or erasure))"
# Slow tests whose subject neither recipe changes: what is built and published, workflows, partitions, regions, parts
# that are left out, traces, pages in a browser, the enrichment and the rotation.
FILES_LEFT_OUT = (
    "contract/test_build", "contract/test_cold_start", "contract/test_continuous_integration",
    "contract/test_data_residency", "contract/test_leave_out", "contract/test_other_deployments",
    "contract/test_published_versions", "api/test_browser", "api/test_browser_cache", "api/test_dashboard",
    "api/test_traces",
)  # fmt: skip
NAMES_LEFT_OUT = ("test_it_lints", "enriching", "rotation", "simulated", "plot", "one_byte", "the_code_of_a_function")


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(project / name) for name in ("layers/shared", "packages/local_engine/src"))
    # Not what this run measures and distributes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=environment | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )


@pytest.fixture(scope="module")
def results(project: Path) -> Mapping[str, bool]:
    """Whether each test of the copy ran rather than being skipped, by its file and name; all that ran passed."""
    report = project / "report.xml"
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        "-k",
        f"{NAMES} and not ({' or '.join(NAMES_LEFT_OUT)})",
    ]
    ignored = [f"--ignore=tests/{name}.py" for name in FILES_LEFT_OUT]
    done = run(project, "-m", "pytest", *options, *ignored, *TESTS)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    return {
        f"{case.get('classname')}::{case.get('name')}": case.find("skipped") is None
        for case in ElementTree.parse(report).iter("testcase")
    }


def find(results: Mapping[str, bool], test: str, route: str) -> list[str]:
    """The runs of a test for a route, which is in the test's ID."""
    own = (name for name in results if name.startswith(f"{test}["))
    return [name for name in own if results[name] and f"{route}-" in name.replace("]", "-")]


@pytest.mark.parametrize(
    ("recipe", "templates"),
    [
        ("endpoint", {"template.yaml"}),
        ("noun", {"template.yaml", "stacks/identity.yaml", "Makefile", "examples/resources.json"}),
    ],
)
def test_it_costs_few_files_and_lines(
    costs: Mapping[str, Mapping[str, Cost]], recipe: str, templates: set[str]
) -> None:
    files = costs[recipe]
    for name, cost in files.items():
        print(f"{cost.lines:>5} lines  {'new file' if cost.new else f'{cost.hunks} hunks':>8}  {name}")
    print(f"{sum(cost.lines for cost in files.values()):>5} lines in {len(files)} files")
    assert {name for name, cost in files.items() if not cost.new} == templates
    assert len(files) <= MOST_FILES[recipe]
    assert sum(cost.lines for cost in files.values()) <= MOST_LINES[recipe]


def test_the_endpoint_costs_few_lines_of_the_template(costs: Mapping[str, Mapping[str, Cost]]) -> None:
    cost = costs["endpoint"]["template.yaml"]
    assert cost.hunks <= 3
    assert cost.lines <= 30


@pytest.mark.parametrize(
    "test",
    [
        "tests.security.test_matrix::test_route",
        "tests.security.test_tokens::test_token",
        "tests.security.test_functions::test_identity",
        "tests.api.test_contract::test_the_answer_is_as_the_document_describes_it",
        "tests.api.test_schema::test_every_operation_was_carried_out",
        "tests.contract.test_routes::test_a_route_accepts_both_spellings_of_its_functions_scope",
        "tests.unit.test_version_verification::test_a_version_that_works_may_serve_and_leaves_nothing_behind",
    ],
)
def test_every_route_is_covered(results: Mapping[str, bool], test: str) -> None:
    for route in ROUTES:
        assert find(results, test, route), f"{test} does not run for {route}"


@pytest.mark.parametrize(
    ("test", "route"),
    [
        ("tests.security.test_content::test_body", "POST /api/v1/orders"),
        ("tests.security.test_content::test_limit", "GET /api/v1/orders"),
        ("tests.security.test_requests::test_smuggled_request", "POST /api/v1/orders"),
        ("tests.security.test_callers::test_anothers_item_by_its_id", "GET /api/v1/orders/{id}"),
        ("tests.security.test_callers::test_forged_next_token", "GET /api/v1/orders"),
        ("tests.security.test_callers::test_key_injected_through_an_id", "GET /api/v1/orders/{id}"),
        ("tests.security.test_callers::test_anothers_idempotency_key", "POST /api/v1/orders"),
        ("tests.api.test_concurrency::test_many_requests_with_one_key_create_one_item", "POST /api/v1/orders"),
        ("tests.contract.test_routes::test_an_event_is_one_of_its_route", ENDPOINT),
        ("tests.api.test_concurrency::test_pages_are_exact_while_others_write", "GET /api/v1/orders"),
    ],
)
def test_attacks_reach_the_routes_that_they_are_about(results: Mapping[str, bool], test: str, route: str) -> None:
    assert find(results, test, route)


def test_tests_for_every_noun_ran(results: Mapping[str, bool]) -> None:
    for test in (
        "tests.security.test_logs::test_the_engine_writes_nothing_that_was_sent_in_confidence",
        "tests.security.test_traces::test_traces_hold_nothing_that_was_sent_in_confidence",
        "tests.security.test_document::test_each_attack_has_a_row",
        "tests.api.test_count_days::test_resources_are_counted_by_day",
        "tests.api.test_orders::test_an_order_comes_back_as_it_was_sent",
        "tests.api.test_schema::test_every_answer_is_one_that_the_document_describes",
    ):
        assert results[test], f"{test} was skipped"


def test_it_is_in_the_projects_style(project: Path, costs: Mapping[str, Mapping[str, Cost]]) -> None:
    names = [name for files in costs.values() for name in files if name.endswith(".py")]
    for command in (("check",), ("format", "--check")):
        done = run(project, "-m", "ruff", *command, *names)
        assert done.returncode == 0, done.stdout


def test_the_smoke_test_calls_every_route_and_leaves_nothing_behind(project: Path) -> None:
    with prepare_engine(project / "template.yaml") as engine:
        done = run(project, "-m", "tools.smoke", "--url", engine.url)
        assert done.returncode == 0, done.stdout + done.stderr
        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local")
        client = session.client("dynamodb", region_name=ENVIRONMENT["AWS_REGION"], endpoint_url=engine.services)
        items = client.scan(TableName="Table")["Items"]
    assert all(route in done.stdout for route in ROUTES)
    # A used idempotency key expires by itself.
    assert [item for item in items if "expiresAt" not in item] == []
