"""The measured applications: this project and its peers, and the two requests that each one serves."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.benchmarks.cold_start.certificate import TRUSTED_BY_PROJECT
from tools.benchmarks.machine import ROOT

PEERS = ROOT / "tools/benchmarks/peers"
EVENTS = ROOT / "events"
PROJECT = "this project"
FLOOR = "bare boto3"
RESOLVER = "Powertools resolver"
FASTAPI = "FastAPI + Mangum"
INPUT = {"name": "First resource", "type": "A", "metadata": {"colour": "blue", "weight": 12.5}}

SERVICE = {
    "POWERTOOLS_SERVICE_NAME": "api",
    "POWERTOOLS_METRICS_NAMESPACE": "ServerlessApi/dev",
    "PSEUDONYM_KEY": "key",
}


@dataclass(frozen=True)
class Function:
    """A function's artifact and settings.

    Attributes:
        task: the folder that becomes /var/task in Lambda.
        layer: the folder that becomes /opt in Lambda, or None.
        handler: handler in Lambda's notation.
        variables: environment variables.
    """

    task: Path
    layer: Path | None
    handler: str
    variables: dict[str, str]


@dataclass(frozen=True)
class Peer:
    """A measured application.

    Attributes:
        name: name in the report.
        folder: folder in `tools/benchmarks/peers`; None for this project.
        handler: handler in Lambda's notation; empty for this project, whose template names its handlers.
        payload_format: `2.0` for events of an HTTP API, `1.0` for those of a REST API.
        variables: environment variables in addition to those of every function.
    """

    name: str
    folder: str | None
    handler: str
    payload_format: str = "2.0"
    variables: dict[str, str] = field(default_factory=dict)

    def make_list_event(self) -> dict[str, Any]:
        """Return the event of a request for the user's 20 newest resources."""
        return self._convert(_read_event("list_resources"))

    def make_create_event(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the event of a request that creates a resource."""
        event = _read_event("create_resource")
        event["headers"].pop("idempotency-key", None)
        return self._convert(event | {"body": json.dumps(fields), "isBase64Encoded": False})

    def _convert(self, event: dict[str, Any]) -> dict[str, Any]:
        return event if self.payload_format == "2.0" else _convert_to_rest_api(event)


ALL = (
    Peer(
        PROJECT,
        None,
        "",
        variables=SERVICE
        | {
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "AWS_CA_BUNDLE": str(TRUSTED_BY_PROJECT),
        },
    ),
    Peer(FLOOR, "bare_boto3", "app.handler"),
    Peer("sam init", "sam_init", "app.lambda_handler"),
    Peer("Powertools quick start", "powertools_quickstart", "app.handler", variables=SERVICE),
    Peer(RESOLVER, "powertools_resolver", "app.handler", variables=SERVICE),
    Peer("Chalice", "chalice", "app.app", payload_format="1.0"),
    Peer("Flask + apig-wsgi", "flask_wsgi", "app.handler"),
    Peer(FASTAPI, "fastapi_mangum", "app.handler"),
)


def _read_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def _convert_to_rest_api(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event of a REST API with a Cognito authorizer for the same request.

    Source: "Lambda proxy integrations in API Gateway", Amazon API Gateway Developer Guide.
    """
    context = event["requestContext"]
    parameters = event.get("queryStringParameters")
    return {
        "resource": event["rawPath"],
        "path": event["rawPath"],
        "httpMethod": context["http"]["method"],
        "headers": event["headers"],
        "multiValueHeaders": {name: [value] for name, value in event["headers"].items()},
        "queryStringParameters": parameters,
        "multiValueQueryStringParameters": {name: [entry] for name, entry in parameters.items()}
        if parameters
        else None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": context["accountId"],
            "apiId": context["apiId"],
            "authorizer": {"claims": context["authorizer"]["jwt"]["claims"]},
            "httpMethod": context["http"]["method"],
            "identity": {"sourceIp": context["http"]["sourceIp"], "userAgent": context["http"]["userAgent"]},
            "path": event["rawPath"],
            "protocol": context["http"]["protocol"],
            "requestId": context["requestId"],
            "resourcePath": event["rawPath"],
            "stage": "api",
        },
        "body": event.get("body"),
        "isBase64Encoded": False,
    }
