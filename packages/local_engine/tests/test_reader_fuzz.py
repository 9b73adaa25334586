"""Whatever a template holds, the reader answers with a sentence or a stack that can be served."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from local_engine.cloudwatch.monitoring import Monitoring
from local_engine.command_line.serving import create_gateway
from local_engine.functions.event_queue import check_event_invoke_settings
from local_engine.observer import Observer
from local_engine.page.api_document import describe_api
from local_engine.template import TemplateError, load_template

ISSUER = "https://issuer.example.com"
TEMPLATE: dict[str, Any] = {
    "Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"],
    "Parameters": {
        "Stage": {"Type": "String", "Default": "dev", "AllowedValues": ["dev", "prod"]},
        "Names": {"Type": "CommaDelimitedList", "Default": "a,b"},
    },
    "Mappings": {"Stages": {"dev": {"Memory": "256"}, "prod": {"Memory": "512"}}},
    "Conditions": {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "IsDev": {"Fn::Not": [{"Condition": "IsProd"}]},
    },
    "Rules": {"Known": {"Assertions": [{"Assert": {"Fn::Contains": [["dev", "prod"], {"Ref": "Stage"}]}}]}},
    "Globals": {"Function": {"Runtime": "python3.13", "Handler": "app.handler", "Layers": [{"Ref": "Layer"}]}},
    "Resources": {
        "Api": {
            "Type": "AWS::Serverless::HttpApi",
            "Properties": {
                "StageName": {"Ref": "Stage"},
                "CorsConfiguration": {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"]},
                "DefaultRouteSettings": {"ThrottlingBurstLimit": 5, "ThrottlingRateLimit": 1.5},
                "Auth": {
                    "DefaultAuthorizer": "Tokens",
                    "Authorizers": {
                        "Tokens": {
                            "IdentitySource": "$request.header.Authorization",
                            "JwtConfiguration": {"issuer": ISSUER, "audience": ["local"]},
                        }
                    },
                },
            },
        },
        "Hello": {
            "Type": "AWS::Serverless::Function",
            "Condition": "IsDev",
            "DependsOn": "Table",
            "Metadata": {"BuildMethod": "python3.13"},
            "Properties": {
                "CodeUri": "code",
                "Timeout": 10,
                "MemorySize": {"Fn::FindInMap": ["Stages", {"Ref": "Stage"}, "Memory", {"DefaultValue": "128"}]},
                "ReservedConcurrentExecutions": {"Fn::If": ["IsProd", 5, {"Ref": "AWS::NoValue"}]},
                "AutoPublishAlias": "live",
                "EventInvokeConfig": {
                    "MaximumRetryAttempts": 1,
                    "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": "Queue.Arn"}}},
                },
                "Environment": {
                    "Variables": {
                        "TABLE": {"Ref": "Table"},
                        "JOINED": {"Fn::Join": ["-", {"Fn::Split": [",", {"Fn::Sub": "${Stage},${Table.Arn}"}]}]},
                        "FIRST": {"Fn::Select": [0, {"Ref": "Names"}]},
                        "SECRET": "{{resolve:ssm:/key:1}}",
                        "LENGTH": {"Fn::Length": {"Ref": "Names"}},
                        "TEXT": {"Fn::ToJsonString": {"a": {"Ref": "Stage"}}},
                    }
                },
                "Events": {
                    "Get": {
                        "Type": "HttpApi",
                        "Properties": {"ApiId": {"Ref": "Api"}, "Path": "/items/{id}", "Method": "get"},
                    },
                    "Nightly": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 day)"}},
                },
            },
        },
        "Layer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "code"}},
        "Raw": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"Code": ".", "Handler": "code/app.handler", "Runtime": "python3.13", "Role": "role"},
        },
        "Own": {
            "Type": "AWS::Serverless::HttpApi",
            "Properties": {
                "DefinitionBody": {
                    "openapi": "3.0.1",
                    "info": {"title": "Own", "version": "1"},
                    "paths": {
                        "/": {
                            "get": {
                                "x-amazon-apigateway-integration": {
                                    "type": "aws_proxy",
                                    "payloadFormatVersion": "2.0",
                                    "uri": {
                                        "Fn::Sub": "arn:aws:apigateway:x:lambda:path/functions/${Raw.Arn}/invocations"
                                    },
                                }
                            }
                        }
                    },
                }
            },
        },
        "Rest": {
            "Type": "AWS::Serverless::Api",
            "Properties": {
                "StageName": "v1",
                "Cors": "'*'",
                "Variables": {"color": "red"},
                "MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingBurstLimit": 5}],
                "BinaryMediaTypes": ["image~1png"],
                "Models": {"Item": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "GatewayResponses": {"DEFAULT_4XX": {"ResponseTemplates": {"text/plain": "$context.error.message"}}},
            },
        },
        "Shelf": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": "code",
                "Events": {
                    "Add": {
                        "Type": "Api",
                        "Properties": {
                            "RestApiId": {"Ref": "Rest"},
                            "Path": "/items/{id}",
                            "Method": "post",
                            "RequestModel": {"Model": "Item", "ValidateBody": True, "ValidateParameters": True},
                            "RequestParameters": [{"method.request.querystring.q": {"Required": True}}],
                        },
                    }
                },
            },
        },
        "One": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Raw"}}},
        "Live": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "Name": "live",
                "FunctionName": {"Ref": "Raw"},
                "FunctionVersion": {"Fn::GetAtt": "One.Version"},
            },
        },
        "Address": {
            "Type": "AWS::Lambda::Url",
            "Properties": {"AuthType": "NONE", "TargetFunctionArn": {"Fn::GetAtt": "Raw.Arn"}},
        },
        "Plain": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "plain"}},
        "PlainThing": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": {"Ref": "Plain"},
                "ParentId": {"Fn::GetAtt": "Plain.RootResourceId"},
                "PathPart": "{id}",
            },
        },
        "PlainGet": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": {"Ref": "Plain"},
                "ResourceId": {"Ref": "PlainThing"},
                "HttpMethod": "GET",
                "AuthorizationType": "NONE",
                "RequestParameters": {"method.request.header.X-A": True},
                "Integration": {
                    "Type": "MOCK",
                    "RequestTemplates": {"application/json": '{"statusCode": 200}'},
                    "IntegrationResponses": [{"StatusCode": 200, "ResponseTemplates": {"text/plain": "x"}}],
                },
            },
        },
        "PlainStage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {"RestApiId": {"Ref": "Plain"}, "StageName": "one"},
        },
        "Kit": {
            "Type": "AWS::Serverless::Application",
            "Properties": {"Location": {"ApplicationId": "arn:aws:serverlessrepo:us-east-1:1:applications/kit"}},
        },
        "Child": {
            "Type": "AWS::Serverless::Application",
            "Properties": {"Location": "child.yaml", "Parameters": {"Name": {"Ref": "Table"}}},
        },
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            },
        },
        "Key": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/key", "Type": "String", "Value": "v"}},
        "Fn::ForEach::Queues": [
            "Name",
            {"Ref": "Names"},
            {"Queue${Name}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "q-${Name}"}}}},
        ],
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"CidrBlock": {"Fn::Select": [0, {"Fn::Cidr": ["10.0.0.0/16", 4, 8]}]}},
        },
        "Busy": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "Namespace": "AWS/Lambda",
                "MetricName": "Errors",
                "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "Raw"}}],
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanThreshold",
            },
        },
        "Board": {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {"DashboardBody": {"Fn::Sub": '{"widgets": [{"type": "text", "properties": {}}]}'}},
        },
    },
    "Outputs": {"Url": {"Value": {"Fn::Sub": "https://${Api}.example.com"}}},
}
CHILD = """
Parameters: {Name: {Type: String}}
Resources:
  Inner: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Name}}
Outputs: {Topic: {Value: !Ref Inner}}
"""
NAMES = ["Hello", "Api", "Table", "Stage", "IsProd", "IsDev", "Kit", "Child", "Raw", "Nobody", "AWS::NoValue", "Layer"]
WRONG: list[Any] = [
    None, True, 0,
    -1, 10**30, 1.5, "", "abc", "many", "/", ".", "s3://bucket/key", [], {}, [None], [[]], {"": ""}, "\0",
    {"a": 1}, "{{resolve:ssm:/none}}", "{{resolve:x}}", {"Fn::ImportValue": "x"}, {"Fn::Select": [9, ["a"]]},
    {"Fn::Sub": 3}, {"Fn::Sub": "${Nobody}"}, {"Fn::GetAtt": "Hello"}, {"Fn::GetAtt": ["Child", "Outputs.Topic"]},
    {"Fn::GetAtt": ["Kit", "Outputs.Topic"]}, {"Fn::If": ["IsProd", "x"]}, {"Fn::Cidr": ["x", 1, 1]},
    {"Fn::Nothing": 1},
    {"Fn::Transform": {"Name": "Mine"}}, {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "no"}}},
    {"Fn::ForEach::X": ["Y", 3, {}]}, {"Fn::FindInMap": ["Stages", "x", "y"]}, {"Fn::And": "x"}, {"Fn::Length": 3},
    {"Fn::Join": [1, 2]}, {"Fn::Base64": {"a": "b"}}, {"Fn::GetAZs": ""}, "AWS::Lambda::Function", "AWS::None::None",
]  # fmt: skip


def list_places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with a key or index in it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *list_places(value[key]))]


keys = st.sampled_from(["Resources", "Type", "Properties", "Ref", *NAMES])
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WRONG),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
)
references = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from([{"Ref": name}, {"Condition": name}, {"Fn::GetAtt": [name, "Arn"]}, name])
)
mutations = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from(["drop", "replace", "rename", "wrap", "copy"]),
    st.sampled_from(WRONG) | references,
    st.integers(0, 10_000),
)


def mutate(template: dict[str, Any], mutation: tuple[int, str, Any, int]) -> None:
    number, kind, value, other = mutation
    places = list_places(template)
    if not places:
        return
    container, key = places[number % len(places)]
    match kind:
        case "drop":
            del container[key]
        case "rename" if isinstance(container, dict):
            container[str(value)[:20]] = container.pop(key)
        case "wrap":
            container[key] = [container[key]]
        case "copy":
            source, name = places[other % len(places)]
            container[key] = copy.deepcopy(source[name])
        case _:
            container[key] = copy.deepcopy(value)


def serve(template: dict[str, Any]) -> list[str]:
    """Do what the engine does with a template before it listens; return the sentences that it says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.yaml")
        (path.parent / "code").mkdir()
        (path.parent / "code" / "app.py").touch()
        path.with_name("child.yaml").write_text(CHILD)
        path.write_text(json.dumps(template, indent="\t"))
        try:
            stack = load_template(path, {})
        except TemplateError as error:
            return [str(error)]
        check_event_invoke_settings(stack)
        Monitoring("http://127.0.0.1:1", lambda *_: None, lambda _: None, 60).stack_served(stack)
        functions: Any = {function.name: None for function in stack.functions.values()}
        for api in stack.apis:
            gateway = create_gateway(api, stack, functions, Observer(), caches={})
            for route in gateway.routes:
                assert route.refusal or route.function_name in functions or not route.function_name
            describe_api(api.document, {ISSUER: "/_local/issuer"}, "http://127.0.0.1")
        assert all(" is not run" in notice or " is run in part: " in notice for notice in stack.notices)
        return stack.notices


def test_the_valid_template_is_served_whole() -> None:
    assert serve(TEMPLATE) == ["Kit is not run: it is an application from the Serverless Application Repository."]


@pytest.mark.parametrize("issuer", [None, [ISSUER], {}])
def test_a_document_with_an_issuer_that_is_no_text_is_described(issuer: Any) -> None:
    template = copy.deepcopy(TEMPLATE)
    authorizer = template["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["Tokens"]
    authorizer["JwtConfiguration"]["issuer"] = issuer
    assert all(serve(template))


@pytest.mark.parametrize("value", [True, "x", ["x"], None])
def test_globals_of_a_wrong_form_have_a_sentence(value: Any) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["Globals"]["Function"] = value
    assert all(serve(template))


@pytest.mark.parametrize(
    ("logical_id", "name", "value", "sentence"),
    [
        ("PlainGet", "RestApiId", {"a": 1}, "PlainGet is not run: its API is not in this template."),
        ("PlainGet", "RestApiId", ["a"], "PlainGet is not run: its API is not in this template."),
        ("PlainGet", "ResourceId", {"a": 1}, "Plain is not run: its method PlainGet cannot be served: the ID of"),
        ("PlainThing", "ParentId", ["a"], "Plain is not run: its method PlainGet cannot be served: the ID of"),
        ("PlainStage", "StageName", {"a": 1}, "Plain is not run: the StageName of its stage is {'a': 1}"),
        ("Raw", "Layers", [["a"]], "A layer of Raw is not run: it is not an ARN."),
        ("Raw", "Layers", [{"a": 1}], "A layer of Raw is not run: it is not an ARN."),
    ],
)
def test_a_name_that_is_no_text_has_a_sentence(logical_id: str, name: str, value: Any, sentence: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["Resources"][logical_id]["Properties"][name] = value
    assert [said for said in serve(template) if said.startswith(sentence)]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (("info",), "info in its document is not a mapping"),
        (("paths",), "paths in its document is not a mapping"),
        (("paths", "/"), "/ in its document is not a mapping"),
        (("paths", "/", "get"), "get / in its document is not a mapping"),
    ],
)
@pytest.mark.parametrize("value", [None, 7, ["a"]])
def test_a_part_of_a_document_that_is_no_mapping_has_a_sentence(
    place: tuple[str, ...], value: Any, sentence: str
) -> None:
    template = copy.deepcopy(TEMPLATE)
    part = template["Resources"]["Own"]["Properties"]["DefinitionBody"]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    assert [said for said in serve(template) if sentence in said]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.lists(mutations, min_size=1, max_size=3))
@example([])
def test_a_mutated_template_is_served_or_refused_in_a_sentence(changes: list[tuple[int, str, Any, int]]) -> None:
    template = copy.deepcopy(TEMPLATE)
    for change in changes:
        mutate(template, change)
    assert all(serve(template))


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(documents)
def test_any_document_is_refused_in_a_sentence(document: Any) -> None:
    serve(document)
    serve({"Resources": document})
