"""Calls to the local AWS services."""

import contextlib
import http.client
import json
import re
import textwrap
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from xml.etree import ElementTree

from local_engine.account import REGION

_LONGEST_SHOWN = 2000
# Target prefix and JSON version of each service's protocol, by its signing name.
_JSON_PROTOCOLS = {
    "dynamodb": ("DynamoDB_20120810", "1.0"),
    "events": ("AWSEvents", "1.1"),
    "logs": ("Logs_20140328", "1.1"),
    "secretsmanager": ("secretsmanager", "1.1"),
    "sqs": ("AmazonSQS", "1.0"),
    "ssm": ("AmazonSSM", "1.1"),
}
_QUERY_VERSIONS = {"sns": "2010-03-31"}
_ERROR_IN_XML = re.compile(rb"<Message>(.*?)</Message>", re.DOTALL)


class ServicesError(Exception):
    """The services do not start, or reject a request. The message is a sentence for the user."""


class RejectedRequest(ServicesError):
    """The services reject a request."""

    def __init__(self, operation: str, shown: str, reason: str) -> None:
        super().__init__(f"The local AWS services reject {operation} with {shown}: {reason}")
        self.operation = operation
        self.reason = reason


@dataclass(frozen=True)
class _Request:
    service: str
    operation: str
    """As errors name it."""
    shown: Any
    """Parameters, as errors show them."""
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"
    path: str = "/"


class ServicesClient:
    """Speaks AWS's protocols directly, because importing boto3 would double the start-up time."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation of a service with a JSON or query protocol, and return the answer.

        Raises:
            ServicesError: the services do not answer, or reject the call.
        """
        if version := _QUERY_VERSIONS.get(service):
            form = urllib.parse.urlencode({"Action": action, "Version": version, **_flatten(parameters)}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            content = self._exchange(_Request(service, action, parameters, form, headers))
            return {node.tag.rpartition("}")[2]: node.text for node in ElementTree.fromstring(content).iter()}  # noqa: S314
        prefix, version = _JSON_PROTOCOLS[service]
        headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": f"{prefix}.{action}"}
        content = self._exchange(_Request(service, action, parameters, json.dumps(parameters).encode(), headers))
        answer: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            answer = json.loads(content)
        return answer

    def request(self, service: str, method: str, path: str, body: Any) -> bytes:
        """Send a request to a service with a REST protocol: XML as text, or a mapping as JSON.

        Raises:
            ServicesError: the services do not answer, or reject the request.
        """
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "xml" if isinstance(body, str) else "json"
        headers = {"Content-Type": f"application/{kind}"}
        return self._exchange(
            _Request(service, f"{method} {path}", body, content.encode(), headers, method=method, path=path)
        )

    def _exchange(self, request: _Request) -> bytes:
        headers = {**request.headers, "Authorization": sign_locally(request.service)}
        try:
            self._connection.request(request.method, request.path, request.body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServicesError(f"The local AWS services do not answer ({error}).") from error
        if response.status >= 300:
            shown = request.shown if isinstance(request.shown, str) else json.dumps(request.shown)
            text = textwrap.shorten(shown, _LONGEST_SHOWN)
            reason = _read_reason(content) or f"status {response.status}"
            raise RejectedRequest(request.operation, text, reason)
        return content


def sign_locally(service: str) -> str:
    """Return an `Authorization` header. Moto reads service and region from it and does not check the signature."""
    return f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/{service}/aws4_request"


def _read_reason(content: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        answer = json.loads(content)
        return str(answer.get("Message") or answer.get("message") or "")
    match = _ERROR_IN_XML.search(content)
    return match[1].decode("utf-8", "replace") if match else ""


def _flatten(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as the query protocol spells them: `Attributes.entry.1.key`."""
    flat: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            for number, (key, entry) in enumerate(value.items(), 1):
                flat[f"{name}.entry.{number}.key"] = key
                flat[f"{name}.entry.{number}.value"] = entry
        else:
            flat[name] = value
    return flat
