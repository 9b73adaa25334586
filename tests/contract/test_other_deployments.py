"""What one deployment into one account never meets: a second stack, another region, another partition."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cfnlint.helpers import REGIONS
from cfnlint.schema import ResourceNotFoundError
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.support.renderings import OWN_ISSUER, Place, Rendering, render
from tests.support.stack import list_templates, load_template
from tests.support.templates import translate_template

pytestmark = pytest.mark.slow

EVERYTHING = [
    {"ColdStart": "warm", "MonthlyBudget": "100", "AlarmEmail": "operator@example.com"},
    {"ColdStart": "provisioned"},
]
"""Parameters that between them create each resource."""
# Types whose names are unique in an account, whatever the region.
GLOBAL = re.compile(r"AWS::(IAM|Budgets)::")
# A property that identifies a resource, if the template gives it.
NAME = re.compile(r"(Name|Identifier|Domain|Id)$")


def list_given_names(rendering: Rendering) -> Iterator[tuple[str, ...]]:
    """Type and identifying values of each resource that the templates give a name."""
    for kind, properties in rendering.resources.values():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        paths = {*schema.get("createOnlyProperties", []), *schema["primaryIdentifier"]}
        values = {path: find_value(properties, path) for path in sorted(paths)}
        if any(NAME.search(path) and value for path, value in values.items()):
            yield (kind, *(f"{path}={value}" for path, value in values.items() if isinstance(value, str)))


def find_value(properties: Any, path: str) -> Any:
    for name in path.removeprefix("/properties/").split("/"):
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


@pytest.mark.parametrize("parameters", EVERYTHING, ids=lambda parameters: parameters["ColdStart"])
def test_two_stacks_of_an_account_share_no_name(parameters: dict[str, str]) -> None:
    first, second = (set(list_given_names(render(name, "us-east-1", **parameters))) for name in ("first", "second"))
    assert len(first) == len(second) > 10
    assert first & second == set()


def test_a_stack_of_the_same_name_in_another_region_shares_no_global_name() -> None:
    first, second = (
        {name for name in list_given_names(render("first", region, **EVERYTHING[0])) if GLOBAL.match(name[0])}
        for region in ("us-east-1", "eu-central-1")
    )
    assert first & second == set()


def test_no_stack_exports_a_name() -> None:
    # An export is unique in an account and region.
    assert not [name for name in list_templates() if "Export" in str(load_template(name).get("Outputs"))]


def test_the_access_log_takes_no_space_in_the_accounts_resource_policy() -> None:
    # «CloudWatch Logs resource policy size limit considerations», Amazon CloudWatch Logs User Guide.
    _, group = render("first", "us-east-1").resources["AccessLogGroup"]
    assert group["LogGroupName"].startswith("/aws/vendedlogs/first-")


PLACES = {
    "aws": ("eu-central-1", {}),
    "aws-us-gov": ("us-gov-west-1", {}),
    # Without user pools, and with user pools whose host names are not known here.
    "aws-cn": ("cn-north-1", OWN_ISSUER),
    "aws-eusc": ("eusc-de-east-1", OWN_ISSUER),
}
# Principals that are the same in all partitions («AWS service principals», IAM User Guide; CDK's region-info).
PRINCIPALS = {
    f"{service}.amazonaws.com"
    for service in (
        "apigateway", "budgets", "cloudwatch", "events", "lambda", "s3", "scheduler", "secretsmanager",
    )
}  # fmt: skip
# In a statement that denies something to everyone.
EVERYONE = "*"
# What the evaluator makes of attributes, which AWS gives in the partition.
ATTRIBUTE = re.compile(
    r"arn:aws:(?:s3:::|[a-z0-9-]+:[a-z0-9-]*:123456789012:)|https://sqs\.us-east-1\.amazonaws\.com/123456789012/"
)
HOST = re.compile(r"[a-z0-9.-]*amazon(?:aws|cognito)[a-z0-9.-]*")


def walk_texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text with the key that it stands under."""
    match value:
        case dict():
            for name, entry in value.items():
                yield from walk_texts(entry, name)
        case list():
            for entry in value:
                yield from walk_texts(entry, key)
        case str():
            yield key, value


@pytest.mark.parametrize("template", list_templates())
def test_a_template_spells_no_partition_by_hand(template: str) -> None:
    """Neither where the stack is not translated below: user pools are, in two partitions of one domain."""
    spelled = {text for _, text in walk_texts(load_template(template)) if re.search(r"amazonaws|arn:aws", text)}
    partitions = load_template(template).get("Mappings", {}).get("Partitions", {}).values()
    consoles = {partition["ConsoleDomain"] for partition in partitions if "ConsoleDomain" in partition}
    assert spelled - consoles <= PRINCIPALS


@pytest.mark.parametrize("partition", PLACES)
@pytest.mark.parametrize("parameters", EVERYTHING, ids=lambda parameters: parameters["ColdStart"])
def test_a_stack_names_only_what_its_partition_has(partition: str, parameters: dict[str, str]) -> None:
    region, issuer = PLACES[partition]
    place = Place("first", region)
    assert place.partition == partition
    rendering = render("first", region, **{**parameters, **issuer, "MonthlyBudget": "0"})
    values = [[properties for _, properties in rendering.resources.values()], rendering.outputs]
    texts = [(key, ATTRIBUTE.sub("", text)) for value in values for key, text in walk_texts(value)]
    arns = {arn for _, text in texts for arn in re.findall(r"arn:[\w-]+:", text)}
    assert arns == {f"arn:{partition}:"}
    principals = {text for key, text in texts if key in ("Service", "Principal")}
    assert principals - PRINCIPALS - {EVERYONE} == {f"codedeploy.{region}.{place.domain}"}
    hosts = {host for _, text in texts if text not in principals for host in HOST.findall(text)}
    consoles = {host for host in hosts if ".console." in host}
    domains = {host for host in hosts if "amazoncognito" in host}
    assert hosts - consoles - domains
    assert all(host.endswith(f".{region}.{place.domain}") for host in hosts - consoles - domains), hosts


@pytest.mark.parametrize(
    ("partition", "console", "domain"),
    [
        ("aws", "console.aws.amazon.com", "auth.eu-central-1.amazoncognito.com"),
        ("aws-us-gov", "console.amazonaws-us-gov.com", "auth-fips.us-gov-west-1.amazoncognito.com"),
        ("aws-cn", "console.amazonaws.cn", None),
        ("aws-eusc", "console.amazonaws-eusc.eu", None),
    ],
)
def test_outputs_lead_to_the_partitions_hosts(partition: str, console: str, domain: str | None) -> None:
    region, issuer = PLACES[partition]
    rendering = render("first", region, **issuer)
    outputs = rendering.outputs
    assert outputs["DashboardUrl"].startswith(f"https://{region}.{console}/cloudwatch/home?region={region}#")
    assert outputs["ApiUrl"].endswith(f".execute-api.{region}.{Place('first', region).domain}")
    if domain:
        assert re.fullmatch(rf"https://\S+\.{re.escape(domain)}/oauth2/token", outputs["TokenEndpoint"])
        _, function = rendering.resources["Identity/RotateClientSecret"]
        assert function["Environment"]["Variables"]["TOKEN_ENDPOINT"] == outputs["TokenEndpoint"]
    else:
        assert "TokenEndpoint" not in outputs


# The isolated partitions have no schemas.
@pytest.mark.parametrize("region", [region for region in REGIONS if "-iso" not in region])
def test_a_region_without_a_resource_type_is_refused_before_anything_is_created(region: str) -> None:
    """CloudFormation rejects a template with an unknown type, whatever its condition: so it must not be nested."""
    place = Place("first", region)
    absent = {template for template in list_templates() if list_types(template) - list_types_in(region)}
    refused = {
        template
        for template, parameters in {"stacks/identity.yaml": {}, "stacks/budget.yaml": {"MonthlyBudget": "1"}}.items()
        if place.find_refusals(**(OWN_ISSUER if template != "stacks/identity.yaml" else {}), **parameters)
    }
    assert absent == refused
    assert place.find_refusals(**OWN_ISSUER) == []


@cache
def list_types(template: str) -> frozenset[str]:
    """Types in a template after SAM's transform, created or not."""
    return frozenset(resource["Type"] for resource in translate_template(load_template(template)).values())


def list_types_in(region: str) -> set[str]:
    """The stack's types that a region has."""
    return {kind for template in list_templates() for kind in list_types(template) if has_type(region, kind)}


def has_type(region: str, kind: str) -> bool:
    try:
        PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, kind)
    except ResourceNotFoundError:
        return False
    return True
