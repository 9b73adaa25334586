"""Calls the functions as API Gateway does: by route, with events of payload format 2.0."""

import base64
import importlib
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, quote, urlencode

from tests.support.stack import ROOT, find_media_type, list_routes

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "",
    "AUDIT_TABLE": "audit",
    "AWS_LAMBDA_FUNCTION_NAME": "under-test",
    "EMBEDDING_MODEL": "amazon.titan-embed-text-v2:0",
    "ERASURE_LEDGER": "erasures",
    "IMPORT_BUCKET": "records-imports-importbucket",
    "POWERTOOLS_METRICS_NAMESPACE": "ServerlessApi/test",
    "PSEUDONYM_KEY": "key of the tests",
    "POWERTOOLS_SERVICE_NAME": "api",
    "TABLE_NAME": "resources",
    "TOKEN_INTROSPECTION_URL": "",
    "VECTOR_INDEX": "VectorsA",
}
"""The environment variables of a deployed function."""

ALL_SCOPES = tuple(sorted({route.scopes[0] for route in list_routes()}))
"""Every scope of the template, in the spelling of an external issuer."""

MAX_PAYLOAD = 6_291_556
"""Maximum size of a response in bytes («Lambda quotas», AWS Lambda Developer Guide)."""

OURS = {"functions", *(path.parent.name for path in (ROOT / "layers" / "shared").glob("*/__init__.py"))}
"""The top-level packages that a cold start imports: the functions, and each package of the layer."""

type Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True)
class Context:
    """Lambda's context object, as far as Powertools and the functions read it."""

    aws_request_id: str = "8f5a4c1e-0000-4000-8000-00000000f00d"
    function_name: str = "under-test"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:under-test"
    memory_limit_in_mb: int = 1769

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


@dataclass(frozen=True)
class Answer:
    """The response as the gateway would pass it on, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)

    @property
    def problems(self) -> dict[str, str]:
        """The invalid parts that the response names."""
        return {detail["field"]: detail["problem"] for detail in self.json().get("details", ())}


class CurrentStdout:
    """The current standard output, because the logger keeps the stream that it finds when it is created."""

    @property
    def _stream(self) -> Any:
        return sys.__stdout__ if sys.stdout is self else sys.stdout

    def write(self, text: str) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


STDOUT = CurrentStdout()


@contextmanager
def import_functions(environment: Mapping[str, str | None] | None = None) -> Iterator[Mapping[str, Handler]]:
    """The handlers by route, imported anew as in a cold start, with additional environment variables.

    A value of None takes a variable away.
    """
    settings = {name: value for name, value in {**ENVIRONMENT, **(environment or {})}.items() if value is not None}
    ours = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    for name in ours:
        del sys.modules[name]
    try:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POWERTOOLS_"))}
        with patch.dict(os.environ, {**inherited, **settings}, clear=True), redirect_stdout(STDOUT):
            modules = {
                route.key: importlib.import_module(".".join(route.folder.relative_to(ROOT).parts) + ".app")
                for route in list_routes()
            }
        yield {key: module.handler for key, module in modules.items()}
    finally:
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def _is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in OURS


class Gateway:
    """The API behind a JWT authorizer that has accepted the caller's token."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._numbers = itertools.count(1)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        subject: str = "alice",
        scopes: Iterable[str] = ALL_SCOPES,
        claims: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request.

        A `body` of type str or bytes goes as it is, as JSON unless `headers` say otherwise; anything else is
        written as JSON first. `claims` stand in for what `subject` and `scopes` make.
        """
        event = self.make_event(
            method, path, query=query, headers=headers, body=body, subject=subject, scopes=scopes, claims=claims
        )
        return self.invoke(event)

    def invoke(self, event: Mapping[str, Any]) -> Answer:
        """Pass an event to the function of its route and read the response as the gateway does."""
        answer = self._handlers[event["routeKey"]](event, Context())
        # Lambda carries the response as JSON in UTF-8; anything else never reaches the gateway.
        payload = json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
        assert len(payload) <= MAX_PAYLOAD
        answer = json.loads(payload)
        assert set(answer) == {"statusCode", "headers", "body"}
        assert all(isinstance(value, str) for value in answer["headers"].values())
        return Answer(
            answer["statusCode"], {name.lower(): value for name, value in answer["headers"].items()}, answer["body"]
        )

    def make_event(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        subject: str = "alice",
        scopes: Iterable[str] = ALL_SCOPES,
        claims: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The event of a request; see `send`."""
        path, _, own_query = path.partition("?")
        route_key, parameters = _match(method, path)
        raw_query = query if isinstance(query, str) else urlencode(query)
        raw_query = "&".join(filter(None, (own_query, raw_query)))
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        content, is_base64 = None, False
        if body is not None:
            if not isinstance(body, str | bytes):
                body = json.dumps(body)
            sent.setdefault("content-type", find_media_type(method))
            content, is_base64 = _carry(body, sent["content-type"])
        if claims is None:
            claims = {"sub": subject, "scope": " ".join(scopes), "iss": "https://issuer.example.com/", "aud": "api"}
        event = {
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": quote(path),
            "rawQueryString": raw_query,
            "headers": sent,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "example",
                "authorizer": {"jwt": {"claims": dict(claims), "scopes": None}},
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.10"},
                "requestId": f"request-{next(self._numbers)}",
                "routeKey": route_key,
                "stage": "$default",
            },
            "isBase64Encoded": is_base64,
        }
        if parameters:
            event["pathParameters"] = parameters
        if raw_query:
            values: dict[str, str] = {}
            for name, value in parse_qsl(raw_query, keep_blank_values=True):
                values[name] = f"{values[name]},{value}" if name in values else value
            event["queryStringParameters"] = values
        if content is not None:
            event["body"] = content
        return event


def _match(method: str, path: str) -> tuple[str, dict[str, str]]:
    # A literal path comes before one with parameters, as at the gateway.
    for route in sorted(list_routes(), key=lambda route: route.path.count("{")):
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]*)", re.escape(route.path))
        found = re.fullmatch(pattern, path)
        if found and route.method == method:
            return route.key, found.groupdict()
    raise LookupError(f"the template has no route for {method} {path}")


def _carry(body: str | bytes, media_type: str) -> tuple[str, bool]:
    """A body as the gateway puts it into an event: text types as text, all others in base64."""
    content = body.encode() if isinstance(body, str) else body
    is_text = media_type.split(";", maxsplit=1)[0].strip().lower() in ("application/json", "application/xml") or (
        media_type.lower().startswith("text/")
    )
    if is_text:
        try:
            return content.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(content).decode(), True
