"""Function URLs of a stack, with the permissions to use them.

Source: "Control access to Lambda function URLs" (AWS Lambda Developer Guide).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import function_url_host
from local_engine.template.settings import is_true, read_mapping
from local_engine.template.stack import Api, FunctionUrl, Resource, Stack

FUNCTION_URL = "AWS::Lambda::Url"
_PERMISSION = "AWS::Lambda::Permission"
_CORS = {
    "AllowCredentials": "allowCredentials",
    "AllowHeaders": "allowHeaders",
    "AllowMethods": "allowMethods",
    "AllowOrigins": "allowOrigins",
    "ExposeHeaders": "exposeHeaders",
    "MaxAge": "maxAge",
}


def read_function_url(logical_id: str, url: Resource, resources: Mapping[str, Resource]) -> FunctionUrl:
    """Return a function URL.

    Raises:
        TemplateError: it cannot be served.
    """
    properties = url.properties
    name, qualifier = _split_target(properties["TargetFunctionArn"])
    qualifier = properties.get("Qualifier") or qualifier
    auth_type = properties.get("AuthType")
    mode = properties.get("InvokeMode") or "BUFFERED"
    if auth_type not in ("NONE", "AWS_IAM"):
        raise TemplateError(f"its AuthType is {auth_type!r}; it must be NONE or AWS_IAM.")
    if mode not in ("BUFFERED", "RESPONSE_STREAM"):
        raise TemplateError(f"its InvokeMode is {mode!r}; it must be BUFFERED or RESPONSE_STREAM.")
    cors = read_mapping(properties, "Cors")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}{f':{qualifier}' if qualifier else ''}"
    return FunctionUrl(
        logical_id=logical_id,
        id=function_url_host(logical_id).partition(".")[0],
        stage="$default",
        document={"openapi": "3.0.1", "info": {"title": logical_id, "version": "$LATEST"}, "paths": {}},
        function_name=name,
        qualifier=None if qualifier is None else str(qualifier),
        is_signed=auth_type == "AWS_IAM",
        is_streamed=mode == "RESPONSE_STREAM",
        cors={_CORS[key]: value for key, value in cors.items() if key in _CORS} or None,
        arn=arn,
        policy={"Statement": list(_read_statements(arn, resources))},
    )


def _split_target(target: Any) -> tuple[str, str | None]:
    """Return the name and the qualifier in a function's name or ARN."""
    text = str(target)
    if ":function:" not in text:
        return text, None
    name, _, qualifier = text.partition(":function:")[2].partition(":")
    return name, qualifier or None


def _read_statements(arn: str, resources: Mapping[str, Resource]) -> Iterator[dict[str, Any]]:
    """Yield the statements of the function's resource-based policy that function URLs need."""
    for resource in resources.values():
        if resource.type != _PERMISSION:
            continue
        properties = resource.properties
        try:
            action = properties.get("Action")
            if action not in ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction"):
                continue
            if _split_target(properties.get("FunctionName")) != _split_target(arn):
                continue
            principal = str(properties.get("Principal"))
            auth_type = properties.get("FunctionUrlAuthType")
            conditions: dict[str, Any] = {}
            if auth_type is not None:
                conditions["StringEquals"] = {"lambda:FunctionUrlAuthType": str(auth_type)}
            if "InvokedViaFunctionUrl" in properties:
                is_via_url = str(is_true(properties["InvokedViaFunctionUrl"])).lower()
                conditions["Bool"] = {"lambda:InvokedViaFunctionUrl": is_via_url}
            if organization := properties.get("PrincipalOrgID"):
                conditions.setdefault("StringEquals", {})["aws:PrincipalOrgID"] = str(organization)
        except TemplateError:
            # What cannot be evaluated permits nothing.
            continue
        if principal.endswith(".amazonaws.com"):
            continue
        yield {
            "Effect": "Allow",
            "Principal": "*" if principal == "*" else {"AWS": principal},
            "Action": action,
            "Resource": arn,
            **({"Condition": conditions} if conditions else {}),
        }


def localize_urls(stack: Stack, ports: Sequence[int]) -> Stack:
    """Return a stack whose functions' variables hold the local addresses of its APIs and function URLs.

    Args:
        stack: the stack.
        ports: one for each of its APIs.
    """
    replacements = [(_find_host(api), f"127.0.0.1:{port}") for api, port in zip(stack.apis, ports, strict=False)]
    if not replacements:
        return stack

    def localize(text: str) -> str:
        for host, local in replacements:
            text = re.sub(rf"(?<![\w.-])(https://)?{re.escape(host)}", partial(_point_at, local), text)
        return text

    return replace(stack, functions=_localize_variables(stack, localize))


def _point_at(local: str, found: re.Match[str]) -> str:
    return f"http://{local}" if found[1] else local


def _find_host(api: Api) -> str:
    is_url = isinstance(api, FunctionUrl)
    return function_url_host(api.logical_id) if is_url else f"{api.id}.execute-api.{REGION}.amazonaws.com"


def _localize_variables(stack: Stack, localize: Callable[[str], str]) -> dict[str, Any]:
    return {
        logical_id: replace(
            function, environment={name: localize(value) for name, value in function.environment.items()}
        )
        for logical_id, function in stack.functions.items()
    }
