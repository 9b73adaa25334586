"""Variables of an HTTP API's access log ("Customize HTTP API access logs", API Gateway Developer Guide)."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_engine.account import ACCOUNT_ID
from local_engine.gateway.events import Request
from local_engine.gateway.routes import Route
from local_engine.observer import AnsweredRequest, Start
from local_engine.template.stack import Api


@dataclass(slots=True)
class RequestRecord:
    """What becomes known of a request while the gateway answers it."""

    api: Api
    id: str
    method: str
    path: str
    received_at: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    request: Request | None = None
    """None until it is read."""
    route: Route | None = None
    function: str = ""
    """Logical ID."""
    start: Start = ""
    waited: float | None = None
    """Milliseconds between the event to the function and its result."""
    function_status: int | None = None
    """The status in the function's response."""
    integration_error: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    authorizer_error: str = ""
    extended_id: str = ""
    """`x-amz-apigw-id` of a REST API's response."""
    error: str = ""
    """The message of the gateway's own error response."""

    def answered(self, status: int, latency: float, sent: int) -> AnsweredRequest:
        """Return the event for observers, for a response of `sent` bytes after `latency` milliseconds."""
        return AnsweredRequest(
            api=self.api,
            id=self.id,
            method=self.method,
            path=self.path,
            route=(self.route.method, self.route.path) if self.route else None,
            function=self.function,
            start=self.start,
            status=status,
            latency=latency,
            integration_latency=self.waited,
            received=len(self.request.body) if self.request else 0,
            sent=sent,
            describe_context=lambda: self._describe(status, latency, sent),
        )

    def _describe(self, status: int, latency: float, sent: int) -> dict[str, str]:
        moment = time.gmtime(self.received_at)
        # Lambda's own answer, which is 200 even if the function fails.
        lambda_status = None if self.waited is None else 200
        values: dict[str, Any] = {
            "accountId": ACCOUNT_ID,
            "apiId": self.api.id,
            "authorizer.error": self.authorizer_error,
            "error.message": self.error,
            "error.messageString": json.dumps(self.error) if self.error else "",
            "extendedRequestId": self.extended_id or self.id,
            "httpMethod": self.method,
            "integration.error": self.integration_error,
            "integration.integrationStatus": lambda_status,
            "integration.latency": None if self.waited is None else round(self.waited),
            "integration.status": self.function_status,
            "integrationErrorMessage": self.integration_error,
            "integrationLatency": None if self.waited is None else round(self.waited),
            "integrationStatus": lambda_status,
            "path": self.path,
            "requestId": self.id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", moment),
            "requestTimeEpoch": int(self.received_at * 1000),
            "resourcePath": self.route.path if self.route else None,
            "responseLatency": round(latency),
            "responseLength": sent,
            "routeKey": self.route.key if self.route else None,
            "stage": self.api.stage,
            "status": status,
            **{f"authorizer.claims.{name}": value for name, value in self.claims.items()},
        }
        if request := self.request:
            values |= {
                "dataProcessed": len(request.body) + sent,
                "domainName": request.host,
                "domainPrefix": request.host.partition(".")[0].partition(":")[0],
                "identity.sourceIp": request.source_ip,
                "identity.userAgent": request.find_header(b"user-agent"),
                "protocol": f"HTTP/{request.http_version}",
            }
        return {name: str(value) for name, value in values.items() if value not in (None, "")}
