"""HTTP APIs of a stack, as SAM writes them."""

from collections.abc import Mapping
from typing import Any

from local_engine.template.api_documents import check_document, read_cors
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.settings import is_true, read_mapping, read_throttling
from local_engine.template.stack import HttpApi, Resource, Throttling


def read_http_api(logical_id: str, api: Resource, resources: Mapping[str, Resource]) -> HttpApi:
    """Return an HTTP API with its stage.

    Raises:
        TemplateError: the API cannot be served.
    """
    if api.properties.get("ProtocolType") == "WEBSOCKET":
        raise TemplateError("it is a WebSocket API.")
    document = api.properties.get("Body")
    if not isinstance(document, dict) or api.reference is None:
        raise TemplateError("its routes are not in a Body, where SAM puts them.")
    if REFUSAL in document:
        raise TemplateError(document[REFUSAL])
    check_document(document)
    cors, cors_refusal = None, ""
    try:
        cors = read_cors(document)
    except TemplateError as error:
        cors_refusal = f"its CORS configuration is left out: {error}"
    refusal = ""
    default: Mapping[str, Any] = {}
    routes: Mapping[str, Any] = {}
    stage = "$default"
    throttling, route_throttling = Throttling(None, None), {}
    variables: Mapping[str, Any] = {}
    try:
        properties = next(
            (
                resource.properties
                for resource in resources.values()
                if resource.type == "AWS::ApiGatewayV2::Stage" and resource.find("ApiId") == api.reference
            ),
            {},
        )
        stage = str(properties.get("StageName", "$default"))
        variables = read_mapping(properties, "StageVariables")
        default = read_mapping(properties, "DefaultRouteSettings")
        by_route = read_mapping(properties, "RouteSettings")
        routes = {key: read_mapping(by_route, key) for key in by_route}
        throttling = read_throttling(default)
        route_throttling = {key: read_throttling(settings) for key, settings in routes.items()}
    except TemplateError as error:
        refusal = f"a setting of its stage is wrong: {error}"
    return HttpApi(
        logical_id=logical_id,
        id=str(api.reference),
        stage=stage,
        document=document,
        cors=cors,
        cors_refusal=cors_refusal,
        throttling=throttling,
        route_throttling=route_throttling,
        detailed_metrics=is_true(default.get("DetailedMetricsEnabled")),
        route_detailed_metrics={
            key: is_true(settings["DetailedMetricsEnabled"])
            for key, settings in routes.items()
            if "DetailedMetricsEnabled" in settings
        },
        stage_variables={name: str(value) for name, value in variables.items()},
        refusal=refusal,
    )
