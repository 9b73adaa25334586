"""REST APIs of a stack, by stage: imported documents, as SAM writes them, or resources and methods."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from local_engine.template.api_documents import check_document
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.rest_methods import compose_document
from local_engine.template.settings import is_true, read_mapping
from local_engine.template.stack import Resource, RestApi
from local_engine.template.swagger import convert_swagger

REST_API = "AWS::ApiGateway::RestApi"
_STAGE = "AWS::ApiGateway::Stage"
_DEPLOYMENT = "AWS::ApiGateway::Deployment"


def read_rest_api(logical_id: str, api: Resource, resources: Mapping[str, Resource]) -> RestApi:
    """Return a REST API with its first stage, and the others in it.

    Raises:
        TemplateError: the API cannot be served.
    """
    document = _read_document(logical_id, api, resources)
    check_document(document)
    stages = [_read_stage(logical_id, api, document, stage) for stage in _find_stages(api, resources)]
    if not stages:
        raise TemplateError("it has no stage.")
    return replace(stages[0], other_stages=tuple(stages[1:]))


def _read_document(logical_id: str, api: Resource, resources: Mapping[str, Resource]) -> dict[str, Any]:
    body = api.properties.get("Body")
    if body is None and "BodyS3Location" in api.properties:
        raise TemplateError("its document is in S3, not in a local file.")
    document = compose_document(logical_id, resources) if body is None else body
    if not isinstance(document, dict):
        raise TemplateError("its Body is not a mapping.")
    if REFUSAL in document:
        raise TemplateError(document[REFUSAL])
    return convert_swagger(document)


def _find_stages(api: Resource, resources: Mapping[str, Resource]) -> Iterator[Mapping[str, Any]]:
    """Return the properties of an API's stages. A deployment can create one as well."""
    names: set[Any] = set()
    for resource_type in (_STAGE, _DEPLOYMENT):
        for resource in resources.values():
            properties = resource.properties
            if resource.type != resource_type or resource.find("RestApiId") != api.reference:
                continue
            name = properties.get("StageName")
            if isinstance(name, dict | list):
                raise TemplateError(f"the StageName of its stage is {name!r}, which is not text.")
            # With Swagger 2.0, SAM makes its deployment create a second stage, `Stage`, which nobody asks for.
            if name is None or name in names or (resource_type == _DEPLOYMENT and names and name == "Stage"):
                continue
            names.add(name)
            if resource_type == _DEPLOYMENT:
                yield {**read_mapping(properties, "StageDescription"), "StageName": name}
            else:
                yield properties


def _read_stage(logical_id: str, api: Resource, document: dict[str, Any], stage: Mapping[str, Any]) -> RestApi:
    variables: Mapping[str, Any] = {}
    settings: Any = []
    refusal = ""
    has_cache = False
    try:
        has_cache = is_true(stage.get("CacheClusterEnabled"))
        variables = read_mapping(stage, "Variables")
        settings = stage.get("MethodSettings") or []
        if not isinstance(settings, list) or not all(isinstance(entry, dict) for entry in settings):
            raise TemplateError("its MethodSettings are not a list of mappings.")
    except TemplateError as error:
        refusal = f"a setting of its stage is wrong: {error}"
    media_types = [
        *_as_list(api.properties.get("BinaryMediaTypes")),
        *_as_list(document.get("x-amazon-apigateway-binary-media-types")),
    ]
    policy = api.properties.get("Policy") or document.get("x-amazon-apigateway-policy")
    if not isinstance(policy, dict | None):
        refusal = refusal or "its resource policy is not a mapping."
        policy = None
    name = api.properties.get("Name") or (document.get("info") or {}).get("title") or logical_id
    return RestApi(
        logical_id=logical_id,
        id=str(api.reference),
        stage=str(stage["StageName"]),
        document=document,
        refusal=refusal,
        name=str(name),
        stage_variables={key: str(value) for key, value in variables.items()},
        method_settings=settings,
        binary_media_types=tuple(dict.fromkeys(str(entry).replace("~1", "/") for entry in media_types)),
        policy=policy or None,
        has_cache=has_cache,
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
