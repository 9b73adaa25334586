"""Loads a template and its nested applications into a stack."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_engine.state import state_directory
from local_engine.template.documents import find_local_path
from local_engine.template.nested_template import NestedTemplate
from local_engine.template.stack import Function, HttpApi, Resource, Stack, TemplateError, Throttling


def load_template(path: Path, parameters: Mapping[str, str]) -> Stack:
    """Read a SAM template and evaluate it as CloudFormation would, with its nested applications.

    Args:
        path: the template file. Paths in it are relative to its folder.
        parameters: values that replace the defaults of the template's parameters.

    Raises:
        TemplateError: a file is missing, or the template or a parameter is wrong.
        ParametersRefused: the template's rules reject the parameters.
    """
    path = path.resolve()
    sources: list[Path] = []
    try:
        return _load(path, parameters, sources)
    except TemplateError as error:
        error.sources = tuple(sources)
        raise


def _load(path: Path, parameters: Mapping[str, str], sources: list[Path]) -> Stack:
    template = NestedTemplate(path, parameters, path.parent, sources)
    found = list(template.read_resources())
    resources = {logical_id: resource for logical_id, resource, _ in found}
    layers = {ref: resource for _, resource, ref in found if resource.type == "AWS::Lambda::LayerVersion"}
    functions = {
        logical_id: _read_function(logical_id, ref, resource, layers, path.parent)
        for logical_id, resource, ref in found
        if resource.type == "AWS::Lambda::Function" and str(resource.properties.get("Runtime")).startswith("python")
    }
    apis = tuple(
        _read_api(logical_id, ref, resources)
        for logical_id, resource, ref in found
        if resource.type == "AWS::ApiGatewayV2::Api" and "openapi" in (resource.properties.get("Body") or {})
    )
    return Stack(
        path=path,
        sources=tuple(dict.fromkeys(sources)),
        given=parameters,
        parameters=template.parameters,
        functions=functions,
        apis=apis,
        resources=resources,
        not_served=tuple(template.not_served),
    )


def _read_function(
    logical_id: str, name: str, resource: Resource, layers: Mapping[str, Resource], project: Path
) -> Function:
    properties = resource.properties
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    reserved = properties.get("ReservedConcurrentExecutions")
    used_layers = [layers[layer] for layer in properties.get("Layers") or [] if layer in layers]
    function = Function(
        logical_id=logical_id,
        name=name,
        handler=str(properties.get("Handler")),
        code_directory=_code_directory(properties.get("Code"), f"CodeUri of function {logical_id}", project),
        layer_directories=tuple(
            _code_directory(layer.properties.get("Content"), f"ContentUri of a layer of {logical_id}", project)
            for layer in used_layers
        ),
        environment={key: _environment_text(value) for key, value in variables.items()},
        timeout=float(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        # Parameters and mappings give numbers as text.
        reserved_concurrency=None if reserved is None else int(reserved),
        log_group=str((properties.get("LoggingConfig") or {}).get("LogGroup", f"/aws/lambda/{name}")),
    )
    _check_handler(function)
    return function


def _environment_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code_directory(code: Any, what: str, project: Path) -> Path:
    match code:
        case {"ZipFile": str(text)}:
            directory = state_directory(project) / "inline" / hashlib.sha256(text.encode()).hexdigest()[:12]
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "index.py").write_text(text)
            return directory
        case dict() if (local := find_local_path(code)) is not None:
            if not local.is_dir():
                raise TemplateError(f"{what} is {local}, which is not a folder.")
            return local
        case _:
            raise TemplateError(f"{what} is not a local folder, so the local engine cannot run it: {code}.")


def _check_handler(function: Function) -> None:
    module, _, name = function.handler.rpartition(".")
    if not module or not name:
        raise TemplateError(
            f"Handler of function {function.logical_id} is {function.handler!r}; it must be file.function."
        )
    file = module.replace(".", "/")
    for directory in (function.code_directory, *function.layer_directories):
        for candidate in (f"{file}.py", f"{file}/__init__.py", f"python/{file}.py", f"python/{file}/__init__.py"):
            if (directory / candidate).is_file():
                return
    raise TemplateError(
        f"Handler of {function.logical_id} is {function.handler}, but {function.code_directory} has no {file}.py."
    )


def _read_api(logical_id: str, api_id: str, resources: Mapping[str, Resource]) -> HttpApi:
    document = resources[logical_id].properties["Body"]
    stages = (
        resource.properties
        for resource in resources.values()
        if resource.type == "AWS::ApiGatewayV2::Stage" and resource.properties.get("ApiId") == api_id
    )
    stage: Mapping[str, Any] = next(stages, {})
    default = stage.get("DefaultRouteSettings") or {}
    routes = stage.get("RouteSettings") or {}
    return HttpApi(
        logical_id=logical_id,
        id=api_id,
        stage=str(stage.get("StageName", "$default")),
        document=document,
        cors=document.get("x-amazon-apigateway-cors"),
        throttling=_read_throttling(default),
        route_throttling={key: _read_throttling(settings) for key, settings in routes.items()},
        detailed_metrics=_is_true(default.get("DetailedMetricsEnabled")),
        route_detailed_metrics={
            key: _is_true(settings["DetailedMetricsEnabled"])
            for key, settings in routes.items()
            if "DetailedMetricsEnabled" in settings
        },
    )


def _is_true(value: Any) -> bool:
    # Parameters are text.
    return str(value).lower() == "true"


def _read_throttling(settings: Mapping[str, Any]) -> Throttling:
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    return Throttling(None if rate is None else float(rate), None if burst is None else int(burst))
