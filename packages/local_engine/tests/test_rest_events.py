"""Payload format 1.0: the events of REST APIs, and those of HTTP APIs that ask for it."""

import base64
import re
from datetime import datetime
from typing import Any

import httpx
import pytest

NULL = type(None)
FIELDS: dict[str, Any] = {
    "resource": str,
    "path": str,
    "httpMethod": str,
    "headers": dict,
    "multiValueHeaders": dict,
    "queryStringParameters": (dict, NULL),
    "multiValueQueryStringParameters": (dict, NULL),
    "pathParameters": (dict, NULL),
    "stageVariables": (dict, NULL),
    "requestContext": dict,
    "body": (str, NULL),
    "isBase64Encoded": bool,
}
CONTEXT: dict[str, Any] = {
    "accountId": str,
    "apiId": str,
    "deploymentId": str,
    "domainName": str,
    "domainPrefix": str,
    "extendedRequestId": str,
    "httpMethod": str,
    "identity": dict,
    "path": str,
    "protocol": str,
    "requestId": str,
    "requestTime": str,
    "requestTimeEpoch": int,
    "resourceId": str,
    "resourcePath": str,
    "stage": str,
}
IDENTITY: dict[str, Any] = {
    "accessKey": NULL,
    "accountId": NULL,
    "caller": NULL,
    "cognitoAuthenticationProvider": NULL,
    "cognitoAuthenticationType": NULL,
    "cognitoIdentityId": NULL,
    "cognitoIdentityPoolId": NULL,
    "principalOrgId": NULL,
    "sourceIp": str,
    "user": NULL,
    "userAgent": (str, NULL),
    "userArn": NULL,
}


def check_fields(part: dict[str, Any], fields: dict[str, Any]) -> None:
    assert part.keys() == fields.keys()
    assert not [name for name, value in part.items() if not isinstance(value, fields[name])]


def test_an_event_has_the_fields_that_aws_documents(rest_shop: httpx.Client) -> None:
    event = rest_shop.get("/items").json()["event"]
    check_fields(event, FIELDS)
    check_fields(event["requestContext"], CONTEXT)
    check_fields(event["requestContext"]["identity"], IDENTITY)
    context = event["requestContext"]
    moment = datetime.strptime(context["requestTime"], "%d/%b/%Y:%H:%M:%S %z")
    assert context["requestTimeEpoch"] // 1000 == moment.timestamp()
    absent = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body")
    assert [event[name] for name in absent] == [None] * 4


def test_the_values_of_an_event(rest_shop: httpx.Client) -> None:
    response = rest_shop.patch(
        "/items/a%20b/parts/x%2Fy?q=1&q=2&empty=&space=a%20b+c",
        headers=[("X-Custom", "1"), ("X-Custom", "2"), ("accept", "text/plain"), ("Content-Type", "text/plain")],
        content="hellö",
    )
    event = response.json()["event"]
    assert event["resource"] == "/items/{id}/parts/{part}"
    assert event["path"] == "/items/a%20b/parts/x%2Fy"
    assert event["httpMethod"] == "PATCH"
    assert event["pathParameters"] == {"id": "a%20b", "part": "x%2Fy"}
    assert event["queryStringParameters"] == {"q": "2", "empty": "", "space": "a b c"}
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"], "empty": [""], "space": ["a b c"]}
    assert event["stageVariables"] == {"Version": "live", "color": "blue"}
    assert (event["body"], event["isBase64Encoded"]) == ("hellö", False)
    headers, several = event["headers"], event["multiValueHeaders"]
    # Names as the client writes them.
    assert (headers["X-Custom"], several["X-Custom"]) == ("2", ["1", "2"])
    assert headers["accept"] == "text/plain"
    assert headers["Host"] == f"127.0.0.1:{rest_shop.base_url.port}"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["X-Amzn-Trace-Id"])
    assert headers.keys() == several.keys()
    assert not {"content-length", "connection"} & {name.lower() for name in headers}
    context = event["requestContext"]
    assert context["path"] == "/v1/items/a%20b/parts/x%2Fy"
    assert context["resourcePath"] == "/items/{id}/parts/{part}"
    assert (context["stage"], context["apiId"], context["protocol"]) == ("v1", "Shop", "HTTP/1.1")
    assert context["requestId"] == response.headers["x-amzn-requestid"]
    assert context["extendedRequestId"] == response.headers["x-amz-apigw-id"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["requestTime"])
    assert context["identity"]["sourceIp"] == "127.0.0.1"


def test_bodies_of_binary_media_types_are_base64(rest_shop: httpx.Client, rest_urls: dict[str, str]) -> None:
    content = b"\x89PNG\x00\xff"
    event = rest_shop.post("/pictures", content=content, headers={"content-type": "image/png"}).json()["event"]
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == content
    # Without the media type, API Gateway takes every body for text.
    event = rest_shop.post("/pictures", content=content, headers={"content-type": "image/gif"}).json()["event"]
    assert (event["isBase64Encoded"], event["body"]) == (False, content.decode("utf-8", "replace"))
    event = httpx.put(
        f"{rest_urls['Documented']}/orders/1", content=b'{"item": "a"}', headers={"tenant": "t"}, trust_env=False
    ).json()["event"]
    assert event["isBase64Encoded"] is True


def test_an_operation_name_is_in_the_context(rest_urls: dict[str, str]) -> None:
    response = httpx.put(
        f"{rest_urls['Documented']}/orders/1", json={"item": "a"}, headers={"tenant": "t"}, trust_env=False
    )
    assert response.json()["event"]["requestContext"]["operationName"] == "putOrder"


def test_http_api_with_payload_format_1(rest_urls: dict[str, str]) -> None:
    url = rest_urls["ServerlessHttpApi"]
    response = httpx.post(f"{url}/one/a%20b?q=1&q=2", content="text", headers={"cookie": "a=1"}, trust_env=False)
    event = response.json()["event"]
    assert event.keys() == {*FIELDS, "version"}
    assert event["version"] == "1.0"
    assert event["resource"] == "/one/{id}"
    assert event["pathParameters"] == {"id": "a b"}
    assert (event["queryStringParameters"], event["multiValueQueryStringParameters"]) == ({"q": "2"}, {"q": ["1", "2"]})
    assert event["headers"]["cookie"] == "a=1"
    assert event["body"] == "text"
    context = event["requestContext"]
    assert context.keys() == {*CONTEXT, "authorizer"} - {"deploymentId"}
    check_fields(context["identity"], IDENTITY)
    assert context["authorizer"] == {"claims": None, "scopes": None}
    assert context["resourceId"] is None
    assert response.headers["apigw-requestid"] == context["requestId"]


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        ("text", 500, '{"message":"Internal Server Error"}'),
        ("extra", 200, ""),
        ("headers", 201, "done"),
    ],
)
def test_responses_of_payload_format_1(rest_urls: dict[str, str], result: str, status: int, text: str) -> None:
    response = httpx.get(f"{rest_urls['ServerlessHttpApi']}/old/{result}", trust_env=False)
    assert (response.status_code, response.text) == (status, text)
    if result == "headers":
        assert response.headers.get_list("x-both") == ["a", "b"]
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_http_api_stage_variables_and_default_path(rest_urls: dict[str, str]) -> None:
    event = httpx.get(f"{rest_urls['Variables']}/any/thing", trust_env=False).json()["event"]
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert event["stageVariables"] == {"color": "red"}
