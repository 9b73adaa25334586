"""Mock integrations: the gateway's own responses, such as those to preflight requests.

Source: "Mock integrations for REST APIs in API Gateway" (API Gateway Developer Guide).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.gateway.events import Headers, Response
from local_engine.gateway.request_limits import Rejection
from local_engine.rest_api.template_variables import Variables, is_substitution_only
from local_engine.template.errors import TemplateError

_HEADER = "method.response.header."
_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})""")


@dataclass(frozen=True)
class _IntegrationResponse:
    status: int
    headers: Mapping[str, str]
    content_type: str
    template: str


class MockIntegration:
    """The responses of one method."""

    def __init__(self, integration: Mapping[str, Any]) -> None:
        """Read the integration.

        Raises:
            TemplateError: it has a wrong form, or a template has more of the Velocity Template Language than variables.
        """
        try:
            self._request_templates = _read_templates(integration.get("requestTemplates"))
            self._passes = str(integration.get("passthroughBehavior") or "when_no_match").lower() == "when_no_match"
            self._responses = {
                str(pattern): _read_response(entry) for pattern, entry in (integration.get("responses") or {}).items()
            }
            for pattern in self._responses:
                re.compile(pattern)
        except (TypeError, ValueError, AttributeError, re.error) as error:
            raise TemplateError(f"a part of its mock integration has a wrong form ({error}).") from error

    def respond(self, variables: Variables) -> Response:
        """Return the response to a request.

        Raises:
            Rejection: the integration has no response for it.
        """
        content_type = (variables.headers.get("content-type") or ("application/json",))[-1].partition(";")[0].strip()
        template = self._request_templates.get(content_type.lower())
        if template is None and self._request_templates and not self._passes:
            raise Rejection(415, "Unsupported Media Type", response_type="UNSUPPORTED_MEDIA_TYPE")
        status = _STATUS.search(variables.substitute(template or ""))
        if status is None:
            # Without a status, the mock has nothing to choose a response by.
            raise Rejection(500, "Internal server error", response_type="API_CONFIGURATION_ERROR")
        for pattern, response in self._responses.items():
            if pattern != "default" and re.fullmatch(pattern, status[1]):
                return _render(response, variables)
        if "default" not in self._responses:
            raise Rejection(500, "Internal server error", response_type="API_CONFIGURATION_ERROR")
        return _render(self._responses["default"], variables)


def _read_templates(written: Any) -> dict[str, str]:
    templates = {}
    for content_type, template in (written or {}).items():
        text = template if isinstance(template, str) else json.dumps(template)
        if not is_substitution_only(text):
            raise TemplateError("its mock integration has a template with more than variables.")
        templates[str(content_type).lower()] = text
    return templates


def _read_response(entry: Mapping[str, Any]) -> _IntegrationResponse:
    templates = _read_templates(entry.get("responseTemplates"))
    content_type, template = next(iter(templates.items()), ("application/json", ""))
    template = templates.get("application/json", template)
    content_type = "application/json" if "application/json" in templates else content_type
    headers = {
        name.removeprefix(_HEADER).lower(): str(value)
        for name, value in (entry.get("responseParameters") or {}).items()
        if name.startswith(_HEADER)
    }
    return _IntegrationResponse(int(entry["statusCode"]), headers, content_type, template)


def _render(response: _IntegrationResponse, variables: Variables) -> Response:
    headers: Headers = [(b"content-type", response.content_type.encode())]
    for name, expression in response.headers.items():
        if (value := variables.evaluate(expression)) is not None:
            headers = [pair for pair in headers if pair[0] != name.encode()]
            headers.append((name.encode(), value.replace("\r", "").replace("\n", "").encode("utf-8", "replace")))
    body = b"" if response.status in (204, 304) else variables.substitute(response.template).strip().encode()
    return Response(response.status, headers, body)
