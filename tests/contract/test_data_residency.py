"""The stack's data stays in its region, whatever the parameters are, and a rule limits the regions."""

import re
from functools import cache

import pytest

from local_engine.template import TemplateError
from tests.support.permissions import find_refusals
from tests.support.stack import list_templates, load_template
from tests.support.templates import translate_template

pytestmark = pytest.mark.slow

LOCAL_REGION = "us-east-1"

# Resource types, each with those of a service where the name ends with "::", that hold or serve data in several regions
# or outside any; and the page that says so.
TYPES_ELSEWHERE = {
    "AWS::Bedrock::ApplicationInferenceProfile": "Amazon Bedrock: Increase throughput with cross-Region inference",
    "AWS::CloudFormation::StackSet": "CloudFormation: StackSets concepts",
    "AWS::CloudFront::": "CloudFront: How CloudFront delivers content",
    "AWS::DSQL::": "Aurora DSQL: Configuring multi-Region clusters",
    "AWS::DynamoDB::GlobalTable": "DynamoDB: Global tables",
    "AWS::ECR::ReplicationConfiguration": "Amazon ECR: Private image replication",
    "AWS::Events::Endpoint": "EventBridge: Global endpoints and event replication",
    "AWS::GlobalAccelerator::": "Global Accelerator: What is AWS Global Accelerator?",
    "AWS::KMS::ReplicaKey": "KMS: Multi-Region keys",
    "AWS::ObservabilityAdmin::": "CloudWatch Logs: Cross-account cross-Region log centralization",
    "AWS::RDS::GlobalCluster": "Aurora: Using Amazon Aurora Global Database",
    "AWS::S3::MultiRegionAccessPoint": "Amazon S3: Multi-Region Access Points",
}
# Properties, at any depth, that copy or send data to another region, by resource type.
PROPERTIES_ELSEWHERE = {
    ("AWS::Backup::BackupPlan", "CopyActions"): "AWS Backup: Creating backup copies across AWS Regions",
    ("AWS::Cognito::UserPool", "SnsRegion"): "Template Reference: AWS::Cognito::UserPool SmsConfiguration",
    ("AWS::DynamoDB::Table", "Replicas"): "DynamoDB: Global tables",
    ("AWS::KMS::Key", "MultiRegion"): "KMS: Multi-Region keys",
    ("AWS::S3::Bucket", "ReplicationConfiguration"): "Amazon S3: Replicating objects within and across Regions",
    ("AWS::SecretsManager::Secret", "ReplicaRegions"): "Secrets Manager: Replicate secrets across Regions",
    ("AWS::SNS::Subscription", "Region"): "Amazon SNS: Sending messages to a queue or function in a different Region",
}
# A REST API and its domain are served from everywhere unless they say otherwise (API Gateway: «API endpoint types for
# REST APIs»); HTTP APIs are regional.
REGIONAL_ENDPOINTS = {"AWS::ApiGateway::RestApi", "AWS::ApiGateway::DomainName"}
REGION = re.compile(r"\b(?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-gov|-iso[a-z]?)?-(?:[a-z]+)-\d\b")
# A model ID with such a prefix may be served from other regions too (Bedrock: «Supported Regions and models for
# inference profiles»).
INFERENCE_PROFILE = re.compile(r"(?:^|/)(?:apac|au|ca|eu|global|jp|us|us-gov)\.[a-z0-9]+\.[a-z]|:inference-profile/")


def find_departures(resources):
    """Return a sentence for each part of a translated template that leaves the stack's region."""
    found = []
    for name, resource in resources.items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        for elsewhere, page in TYPES_ELSEWHERE.items():
            if kind == elsewhere or (elsewhere.endswith("::") and kind.startswith(elsewhere)):
                found.append(f"{name}: {kind} ({page})")
        for (owner, key), page in PROPERTIES_ELSEWHERE.items():
            if kind == owner and key in set(walk_keys(properties)):
                found.append(f"{name}: {key} ({page})")
        types = properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
        choices = {
            choice for entry in types for choice in (entry["Fn::If"][1:] if isinstance(entry, dict) else [entry])
        }
        if kind in REGIONAL_ENDPOINTS and not choices <= {"REGIONAL", "PRIVATE"}:
            found.append(f"{name}: EndpointConfiguration (API endpoint types for REST APIs)")
        found += [f"{name}: region {text!r}" for text in walk_texts(properties) if REGION.search(text)]
        found += [f"{name}: model {text!r}" for text in walk_texts(properties) if INFERENCE_PROFILE.search(text)]
    return found


def walk_keys(value):
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from walk_keys(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from walk_keys(entry)


def walk_texts(value):
    if isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from walk_texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from walk_texts(entry)
    elif isinstance(value, str):
        yield value


@cache
def translate_resources():
    """Every resource of the root and the nested applications."""
    return {
        f"{template}: {name}": resource
        for template in list_templates()
        for name, resource in translate_template(load_template(template)).items()
    }


def test_nothing_of_the_stack_is_in_another_region():
    written = [name for template in list_templates() for name in load_template(template)["Resources"]]
    assert len(translate_resources()) > len(written), "the translation has lost something"
    assert find_departures(translate_resources()) == []


QUEUE_ELSEWHERE = "arn:aws:sqs:eu-west-1:123456789012:other"
BUS_ELSEWHERE = {"Fn::Sub": "arn:${AWS::Partition}:events:us-gov-west-1:${AWS::AccountId}:event-bus/other"}
ENDPOINT_ELSEWHERE = {"Fn::If": ["Some", "https://sqs.ap-southeast-2.amazonaws.com", ""]}
PROFILE = {"Fn::Sub": "arn:aws:bedrock:${AWS::Region}:${AWS::AccountId}:inference-profile/other"}
RESOURCES_ELSEWHERE = [
    *({"Type": f"{kind}Distribution" if kind.endswith("::") else kind} for kind in TYPES_ELSEWHERE),
    *({"Type": kind, "Properties": {"Outer": [{key: []}]}} for kind, key in PROPERTIES_ELSEWHERE),
    *({"Type": kind} for kind in sorted(REGIONAL_ENDPOINTS)),
    {"Type": "AWS::ApiGateway::RestApi", "Properties": {"EndpointConfiguration": {"Types": ["EDGE"]}}},
    {"Type": "AWS::Events::Rule", "Properties": {"Targets": [{"Arn": QUEUE_ELSEWHERE}]}},
    {"Type": "AWS::Events::Rule", "Properties": {"Targets": [{"Arn": BUS_ELSEWHERE}]}},
    {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": {"QUEUE": ENDPOINT_ELSEWHERE}}}},
    {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": {"MODEL": "eu.anthropic.claude"}}}},
    {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"Resource": PROFILE}]}},
]


@pytest.mark.parametrize("resource", RESOURCES_ELSEWHERE, ids=lambda resource: str(list(walk_texts(resource))[1:])[:60])
def test_a_resource_that_leaves_the_region_would_be_noticed(resource):
    (sentence,) = find_departures({**translate_resources(), "Added": resource})
    assert sentence.startswith("Added: ")


@pytest.mark.parametrize("regions", ["any", LOCAL_REGION, f"eu-central-1, {LOCAL_REGION}"])
def test_a_region_that_is_named_is_taken(regions):
    assert find_refusals(AllowedRegions=regions) == []


@pytest.mark.parametrize("regions", ["eu-central-1", "eu-central-1,eu-west-1", "us-east-2"])
def test_a_region_that_is_not_named_is_refused(regions):
    (sentence,) = find_refusals(AllowedRegions=regions)
    assert "AllowedRegions" in sentence


def test_what_is_no_region_is_refused():
    with pytest.raises(TemplateError, match="AllowedRegions is 'us-east'"):
        find_refusals(AllowedRegions="us-east")


def test_a_stack_can_be_anywhere_by_default():
    assert load_template()["Parameters"]["AllowedRegions"]["Default"] == "any"


@pytest.mark.parametrize(
    ("region", "is_one"),
    [
        ("any", True),
        ("eu-central-1", True),
        ("us-gov-east-1", True),
        ("ap-southeast-2", True),
        ("", False),
        ("EU", False),
        ("eu-central", False),
        ("eu-central-1a", False),
        ("any,eu-central-1 ", False),
    ],
)
def test_what_is_no_region_is_refused_by_the_parameters_pattern(region, is_one):
    # CloudFormation holds the pattern against each entry of the list («Parameters», CloudFormation User Guide).
    pattern = load_template()["Parameters"]["AllowedRegions"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, region)) == is_one
