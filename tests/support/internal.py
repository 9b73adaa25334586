"""The internal API: its routes, and requests as principals of IAM sign them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Key

from local_engine.access.credentials import Credentials, issue_user_credentials
from local_engine.template import ACCOUNT_ID, REGION
from local_engine.testing import EngineProcess
from tests.support.permissions import translate_stack
from tests.support.stack import ROOT, Route, find_resources

API = "Internal/InternalApi"
TEMPLATE = "stacks/internal.yaml"
BODY = {"name": "thing", "type": "A"}
JSON = {"content-type": "application/json"}


def list_internal_routes() -> tuple[Route, ...]:
    return tuple(
        Route(
            method=event["Properties"]["Method"].upper(),
            path=event["Properties"]["Path"],
            function=f"Internal/{name}",
            folder=ROOT / "functions" / function["Properties"]["CodeUri"].rpartition("/")[2],
            scopes=(),
        )
        for name, function in find_resources("AWS::Serverless::Function", TEMPLATE).items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "Api"
    )


def allow(*methods: str, action: str = "execute-api:Invoke") -> dict[str, Any]:
    """A policy that allows methods such as `GET/users/ann/*`."""
    resources = [f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:*/v1/{method}" for method in methods]
    statement = {"Effect": "Allow", "Action": action, "Resource": resources}
    return {"Version": "2012-10-17", "Statement": [statement]}


EVERYTHING = allow("*")


@dataclass(frozen=True)
class Principal:
    """A user of IAM with a key of the engine's."""

    key: Credentials
    region: str = REGION
    moment: str | None = None
    """Of the signature, as `x-amz-date` has it; None for the present."""

    def sign(
        self, method: str, url: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        request = AWSRequest(method, url, data=content, headers=dict(headers or {}))
        signer = SigV4Auth(
            Key(self.key.access_key_id, self.key.secret_access_key, self.key.session_token), "execute-api", self.region
        )
        request.context["timestamp"] = self.moment or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        # As `add_auth` does, which always takes the present.
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        if self.key.session_token:
            request.headers["X-Amz-Security-Token"] = self.key.session_token
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}, Signature={signature}"
        )
        return httpx.Request(method, url, content=content, headers=dict(request.headers))


def make_principal(name: str, *policies: dict[str, Any]) -> Principal:
    """A user of the engine with policies."""
    return Principal(issue_user_credentials(ROOT, name, policies))


def with_wrong_key(principal: Principal) -> Principal:
    secret = principal.key.secret_access_key
    return replace(principal, key=replace(principal.key, secret_access_key=secret[::-1]))


@cache
def _connect(engine: EngineProcess) -> Any:
    return engine.aws_client("lambda")


def invoke(engine: EngineProcess, route: Route, event: dict[str, Any]) -> dict[str, Any]:
    """The answer of a route's function, without the gateway."""
    name = translate_stack().functions[route.function].name
    answer = _connect(engine).invoke(FunctionName=name, Payload=json.dumps(event).encode())
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    return result


def has_started_function(engine: EngineProcess, answer: httpx.Response) -> bool:
    """Whether the engine's line about a request says that a function was called."""
    line = engine.wait_for_line(f" {answer.headers['x-amzn-requestid'][:8]}$")
    return re.search(r" Internal/\w+ (cold|warm) ", line) is not None


class InternalClient:
    """A principal with one connection to the internal API."""

    def __init__(self, engine: EngineProcess, principal: Principal) -> None:
        self.principal = principal
        self.http = engine.client(API)

    def sign(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: bytes
    ) -> httpx.Request:
        content = options.get("content", b"" if body is None else json.dumps(body).encode())
        headers = {**(JSON if content else {}), **(headers or {})}
        return self.principal.sign(method, f"{str(self.http.base_url).rstrip('/')}{path}", content, headers)

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.http.send(self.sign(method, path, body, headers))

    def create(self, subject: str) -> str:
        """Create a resource, and return its path."""
        path = f"/users/{subject}/resources"
        answer = self.send("POST", path, BODY)
        assert answer.status_code == 201, answer.text
        return f"{path}/{answer.json()['id']}"
