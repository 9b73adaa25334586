"""Lambda authorizers of HTTP APIs and REST APIs, through the engine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import STACKS

from local_engine.testing import EngineProcess

UNAUTHORIZED = {"message": "Unauthorized"}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "authorized" / "template.yaml") as engine:
        yield engine


@pytest.fixture(scope="module")
def http(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


@pytest.fixture(scope="module")
def rest(engine: EngineProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{engine.port + 1}/Prod", timeout=60, trust_env=False) as client:
        yield client


def authorizer(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return response.json()["requestContext"]["authorizer"]


def test_a_token_authorizer_gets_the_token_and_the_method(rest: httpx.Client) -> None:
    found = authorizer(rest.get("/token/7", headers={"X-Token": "allow-7"}))
    assert isinstance(found.pop("integrationLatency"), int)
    event = json.loads(found.pop("event"))
    arn = "arn:aws:execute-api:us-east-1:123456789012:Rest/Prod/GET/token/7"
    assert event == {"type": "TOKEN", "methodArn": arn, "authorizationToken": "allow-7"}
    # A REST API passes the context on as text.
    assert found.pop("calls").isdecimal()
    assert found == {"principalId": "ann", "text": "a", "number": "1", "flag": "true"}


@pytest.mark.parametrize(
    ("token", "status", "body", "error_type"),
    [
        (None, 401, UNAUTHORIZED, "UnauthorizedException"),
        ("", 401, UNAUTHORIZED, "UnauthorizedException"),
        ("Does not match the expression", 401, UNAUTHORIZED, "UnauthorizedException"),
        ("unauthorized", 401, UNAUTHORIZED, "UnauthorizedException"),
        (
            "deny-1",
            403,
            {"Message": "User is not authorized to access this resource with an explicit deny"},
            "AccessDeniedException",
        ),
        ("nothing", 403, {"Message": "User is not authorized to access this resource"}, "AccessDeniedException"),
        ("broken", 500, {"message": None}, "AuthorizerConfigurationException"),
        ("list", 500, {"message": None}, "AuthorizerConfigurationException"),
        ("nested", 500, {"message": None}, "AuthorizerConfigurationException"),
        ("yes", 500, {"message": None}, "AuthorizerConfigurationException"),
    ],
)
def test_rest_api_answers_a_rejected_token(
    rest: httpx.Client, token: str | None, status: int, body: Any, error_type: str
) -> None:
    response = rest.get("/token/1", headers={} if token is None else {"X-Token": token})
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["x-amzn-errortype"] == error_type


def test_the_policy_of_a_token_is_cached_for_all_methods(rest: httpx.Client) -> None:
    headers = {"X-Token": "reads-1"}
    first = authorizer(rest.get("/token/1", headers=headers))["calls"]
    assert authorizer(rest.get("/token/2", headers=headers))["calls"] == first
    response = rest.post("/token/2", headers=headers)
    assert response.status_code == 403
    # A policy for one method denies the others while it is cached.
    assert rest.get("/token/1", headers={"X-Token": "allow-99"}).status_code == 200
    assert rest.get("/token/2", headers={"X-Token": "allow-99"}).status_code == 403
    assert authorizer(rest.get("/token/1", headers={"X-Token": "reads-2"}))["calls"] != first


def test_a_request_authorizer_gets_the_request(rest: httpx.Client) -> None:
    response = rest.post("/request/a%20b?q=1&q=2", headers={"Authorization": "allow", "X-More": "x"}, content=b"body")
    event = json.loads(authorizer(response)["event"])
    assert event.keys() == {
        "type",
        "methodArn",
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "requestContext",
    }
    assert (event["type"], event["resource"], event["httpMethod"]) == ("REQUEST", "/request/{id}", "POST")
    assert event["methodArn"] == "arn:aws:execute-api:us-east-1:123456789012:Rest/Prod/POST/request/a b"
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert event["stageVariables"] == {"tenant": "acme"}
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize("target", ["/request/1", "/request/1?q="])
def test_a_missing_identity_source_is_401_without_a_call(rest: httpx.Client, target: str) -> None:
    response = rest.get(target, headers={"Authorization": "allow"})
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


def test_without_a_ttl_each_request_is_decided_anew(rest: httpx.Client) -> None:
    calls = [authorizer(rest.get("/request/1?q=1", headers={"Authorization": "allow"}))["calls"] for _ in range(2)]
    assert int(calls[0]) != int(calls[1])


def test_http_api_authorizer_with_simple_responses(http: httpx.Client) -> None:
    response = http.get("/simple/1?q=7&r=8", headers={"Authorization": "yes", "Cookie": "a=b"})
    context = authorizer(response)["lambda"]
    event = json.loads(context.pop("event"))
    assert (context["text"], context["number"], context["flag"]) == ("a", 1, True)
    assert event.keys() == {
        "version",
        "type",
        "routeArn",
        "identitySource",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "cookies",
        "headers",
        "queryStringParameters",
        "requestContext",
        "pathParameters",
    }
    assert (event["version"], event["type"], event["routeKey"]) == ("2.0", "REQUEST", "ANY /simple/{id}")
    assert event["routeArn"] == "arn:aws:execute-api:us-east-1:123456789012:Http/$default/GET/simple/1"
    assert event["identitySource"] == ["yes", "7"]


@pytest.mark.parametrize(
    ("target", "token", "status", "body"),
    [
        ("/simple/1?q=1", "no", 403, {"message": "Forbidden"}),
        ("/simple/1", "yes", 401, UNAUTHORIZED),
        ("/simple/1?q=1", None, 401, UNAUTHORIZED),
        ("/simple/1?q=1", "list", 500, {"message": "Internal Server Error"}),
        ("/simple/1?q=1", "broken", 500, {"message": "Internal Server Error"}),
        ("/simple/1?q=1", "allow", 500, {"message": "Internal Server Error"}),
        ("/policies/1", "deny", 403, {"message": "Forbidden"}),
        ("/policies/1", "nothing", 403, {"message": "Forbidden"}),
        ("/policies/1", "yes", 500, {"message": "Internal Server Error"}),
        ("/old/1", "allow", 401, UNAUTHORIZED),
    ],
)
def test_http_api_answers_a_rejected_caller(
    http: httpx.Client, target: str, token: str | None, status: int, body: Any
) -> None:
    response = http.get(target, headers={} if token is None else {"Authorization": token})
    assert (response.status_code, response.json()) == (status, body)


def test_http_api_authorizer_with_policies_may_nest_its_context(http: httpx.Client) -> None:
    assert authorizer(http.get("/policies/1", headers={"Authorization": "nested"})) == {"lambda": {"list": [1, 2]}}


def test_http_api_caches_by_identity_sources(http: httpx.Client) -> None:
    def calls(target: str, token: str) -> int:
        return authorizer(http.get(target, headers={"Authorization": token}))["lambda"]["calls"]

    first = calls("/simple/1?q=cached", "yes")
    assert calls("/simple/2?q=cached", "yes") == first
    assert calls("/simple/1?q=other", "yes") != first
    # Without a TTL, nothing is cached.
    assert calls("/policies/1", "allow") != calls("/policies/1", "allow")


def test_http_api_authorizer_with_payload_format_1(http: httpx.Client) -> None:
    response = http.get("/old/5?q=1", headers={"Authorization": "allow", "X-More": "x"})
    event = json.loads(authorizer(response)["lambda"]["event"])
    assert (event["version"], event["type"]) == ("1.0", "REQUEST")
    assert (event["identitySource"], event["authorizationToken"]) == ("allow,x", "allow,x")
    assert event["methodArn"] == "arn:aws:execute-api:us-east-1:123456789012:Http/$default/GET/old/5"
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/old/{id}", "/old/5", "GET")
    assert event["pathParameters"] == {"id": "5"}
    assert "authorizer" not in event["requestContext"]


STAGE_VARIABLES = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Rest:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Variables: {check: !Ref Authorizer}
      Auth:
        Authorizers:
          Named: {FunctionArn: !Sub 'arn:aws:lambda:us-east-1:123456789012:function:${!stageVariables.check}'}
          Lost: {FunctionArn: !Sub 'arn:aws:lambda:us-east-1:123456789012:function:${!stageVariables.lost}'}
  Authorizer:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            effect = "Allow" if event.get("authorizationToken") == "ok" else "Deny"
            statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}
            return {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
  Shown:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return {"statusCode": 200, "body": event["requestContext"]["authorizer"]["principalId"]}
      Events:
        Named: {Type: Api, Properties: {RestApiId: !Ref Rest, Path: /named, Method: get, Auth: {Authorizer: Named}}}
        Lost: {Type: Api, Properties: {RestApiId: !Ref Rest, Path: /lost, Method: get, Auth: {Authorizer: Lost}}}
"""


def test_a_stage_variable_names_the_authorizer_of_a_rest_api(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(STAGE_VARIABLES)
    with EngineProcess(template) as engine, engine.client("Rest") as client:
        assert client.get("/named", headers={"Authorization": "ok"}).text == "ann"
        assert client.get("/named", headers={"Authorization": "no"}).status_code == 403
        lost = client.get("/lost", headers={"Authorization": "ok"})
        assert lost.status_code == 501
        assert "Authorizer Lost uses a stage variable that stage v1 does not have: 'lost'." in lost.json()["message"]
