"""Loads a template and its nested applications into a stack."""

import hashlib
import zipfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_engine.state import state_directory
from local_engine.template.documents import BUILD_ID, find_local_path
from local_engine.template.errors import TemplateError
from local_engine.template.function_urls import FUNCTION_URL, read_function_url
from local_engine.template.http_apis import read_http_api
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.nested_template import NestedTemplate
from local_engine.template.notices import SERVED_TYPES, describe_unserved
from local_engine.template.rest_apis import REST_API, read_rest_api
from local_engine.template.settings import read_integer, read_mapping
from local_engine.template.sources import Edition
from local_engine.template.stack import Api, CodeFolder, Function, HttpApi, Resource, RestApi, Stack
from local_engine.template.value_functions import write_text

_LONGEST_TIMEOUT = 900
# "Defined runtime environment variables", Lambda Developer Guide.
_RESERVED_VARIABLES = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
}


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
    sources: dict[Path, Edition] = {}
    try:
        return _load(path, parameters, sources)
    except TemplateError as error:
        error.sources = sources
        raise
    except RecursionError:
        fault = TemplateError(f"{path} or a file that it includes is nested too deeply.")
        fault.sources = sources
        raise fault from None


def _load(path: Path, parameters: Mapping[str, str], sources: dict[Path, Edition]) -> Stack:
    template = NestedTemplate(path, parameters, path.parent, sources)
    resources = dict(template.read_resources())
    stack = Stack(
        path=path,
        sources=sources,
        given=parameters,
        parameters=template.parameters,
        resources=resources,
        functions={},
        refused_functions={},
        apis=(),
        notices=template.notices,
    )
    for logical_id, reason in template.refused.items():
        stack.refuse(logical_id, reason)
    functions, refused_functions = _read_functions(stack, template.refused)
    http_apis = stack.read_parts("AWS::ApiGatewayV2::Api", read=lambda name, api: read_http_api(name, api, resources))
    rest_apis = stack.read_parts(REST_API, read=lambda name, api: read_rest_api(name, api, resources))
    urls = stack.read_parts(FUNCTION_URL, read=lambda name, url: read_function_url(name, url, resources))
    apis: tuple[Api, ...] = (*http_apis.values(), *rest_apis.values(), *urls.values())
    _add_notices(stack, apis, template.refused)
    return replace(stack, functions=functions, refused_functions=refused_functions, apis=apis)


def _add_notices(stack: Stack, apis: Sequence[Api], refused: Container[str]) -> None:
    """Add a sentence for each part that is not served, except functions and what the reader has refused."""
    for api in apis:
        if isinstance(api, RestApi) and "MinimumCompressionSize" in stack.resources[api.logical_id].properties:
            stack.refuse(f"Compression of {api.logical_id}", "responses are sent as they are.")
        if isinstance(api, HttpApi) and api.cors_refusal:
            stack.refuse(api.logical_id, api.cors_refusal, is_partial=True)
        if api.refusal:
            stack.refuse(api.logical_id, api.refusal)
    # A list, because a template may give a method a RestApiId of any form.
    rest_ids = [resource.reference for resource in stack.resources.values() if resource.type == REST_API]
    for logical_id, resource in stack.resources.items():
        if logical_id in refused:
            continue
        if resource.type == "AWS::ApiGateway::Method" and resource.find("RestApiId") not in rest_ids:
            stack.refuse(logical_id, "its API is not in this template.")
        elif reason := describe_unserved(resource):
            stack.refuse(logical_id, reason, is_partial=resource.type in SERVED_TYPES)


def _read_functions(stack: Stack, refused: Mapping[str, str]) -> tuple[dict[str, Function], dict[str, str]]:
    """Return the functions by logical ID, and a sentence for each that cannot run by name."""
    layers = {
        resource.reference: folder
        for logical_id, folder in stack.read_parts(
            "AWS::Lambda::LayerVersion",
            read=lambda name, layer: _find_code(layer, "Content", "ContentUri", name, stack.project),
        ).items()
        if (resource := stack.resources[logical_id]).reference is not None
    }
    functions: dict[str, Function] = {}
    refusals: dict[str, str] = {}
    for logical_id, resource in stack.resources.items():
        if resource.type != "AWS::Lambda::Function":
            continue
        try:
            if logical_id in refused:
                raise TemplateError(refused[logical_id])
            functions[logical_id] = _read_function(logical_id, resource, layers, stack)
        except TemplateError as error:
            stack.refuse(logical_id, str(error))
            refusals[str(resource.reference)] = f"Function {logical_id} is not run: {error}"
    return functions, refusals


def _read_function(logical_id: str, resource: Resource, layers: Mapping[Any, CodeFolder], stack: Stack) -> Function:
    properties = resource.properties
    if properties.get("PackageType") == "Image" or "ImageUri" in read_mapping(properties, "Code"):
        raise TemplateError("it is a container image, and the local engine runs only Python from a folder.")
    runtime = str(properties.get("Runtime"))
    if not runtime.startswith("python"):
        raise TemplateError(f"its Runtime is {runtime}, and the local engine runs only Python.")
    name = properties["FunctionName"]
    reserved = properties.get("ReservedConcurrentExecutions")
    used = properties.get("Layers") or []
    if resource.find("DurableConfig"):
        stack.refuse(logical_id, "its DurableConfig has no effect, and no execution is resumed.", is_partial=True)
    for layer in used if isinstance(used, list) else [used]:
        if not isinstance(layer, str):
            refusal = layer.get(REFUSAL) if isinstance(layer, dict) else None
            stack.refuse(f"A layer of {logical_id}", refusal or "it is not an ARN.")
        elif layer not in layers:
            stack.refuse(f"Layer {layer} of {logical_id}", "it is not a local folder of this template.")
    function = Function(
        logical_id=logical_id,
        name=name,
        handler=str(properties.get("Handler")),
        code=_find_code(resource, "Code", "CodeUri", logical_id, stack.project),
        layers=tuple(layers[layer] for layer in used if isinstance(layer, str) and layer in layers),
        environment=_read_environment(properties),
        timeout=float(read_integer(properties, "Timeout", 3, most=_LONGEST_TIMEOUT)),
        memory=read_integer(properties, "MemorySize", 128),
        reserved_concurrency=None
        if reserved is None
        else read_integer(properties, "ReservedConcurrentExecutions", 0, least=0),
        log_group=str(read_mapping(properties, "LoggingConfig").get("LogGroup", f"/aws/lambda/{name}")),
        role=_find_role(properties),
        is_traced=read_mapping(properties, "TracingConfig").get("Mode") == "Active",
    )
    _check_handler(function)
    return function


def _find_role(properties: Mapping[str, Any]) -> str:
    """Return the name in the ARN of a function's execution role; empty if there is none that can be evaluated."""
    try:
        return str(properties.get("Role") or "").rpartition("/")[2]
    except TemplateError:
        return ""


def _read_environment(properties: Mapping[str, Any]) -> dict[str, str]:
    variables = read_mapping(read_mapping(properties, "Environment"), "Variables")
    for name, value in variables.items():
        if name in _RESERVED_VARIABLES:
            raise TemplateError(f"its environment variable {name} is reserved, and Lambda rejects it.")
        if not name or "=" in name or "\0" in f"{name}{value}" or isinstance(value, dict | list):
            raise TemplateError(f"its environment variable {name} is not text.")
    return {name: write_text(value) for name, value in variables.items() if value is not None}


def _find_code(resource: Resource, property_name: str, shown: str, logical_id: str, project: Path) -> CodeFolder:
    """Return the folder of a function's or a layer's code.

    Raises:
        TemplateError: the code is not on this machine.
    """
    code = resource.properties.get(property_name)
    method = resource.metadata.get("BuildMethod")
    match code:
        case {"ZipFile": str(text)}:
            directory = state_directory(project) / "inline" / hashlib.sha256(text.encode()).hexdigest()[:12]
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "index.py").write_text(text)
            return CodeFolder(directory)
        case dict() if (local := find_local_path(code)) is not None:
            if zipfile.is_zipfile(local):
                return CodeFolder(_unpack(local, project))
            if not local.is_dir():
                raise TemplateError(f"its {shown} is {local}, which is not a folder.")
            build_id = str(resource.metadata.get(BUILD_ID) or logical_id)
            place = logical_id.rpartition("/")[0]
            built = project / ".aws-sam" / "build" / place / build_id
            return CodeFolder(local, None if method is None else str(method), build_id, built)
        case {"S3Bucket": bucket, "S3Key": key}:
            raise TemplateError(f"its {shown} is s3://{bucket}/{key}, which is not a local folder.")
        case _:
            raise TemplateError(f"its {shown} is {code!r}, which is not a local folder.")


def _unpack(archive: Path, project: Path) -> Path:
    content = hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    directory = state_directory(project) / "unpacked" / content
    if not directory.exists():
        unfinished = directory.with_suffix(".unfinished")
        unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(archive) as file:
                file.extractall(unfinished)
        except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise TemplateError(f"{archive} cannot be unpacked: {error}.") from error
        unfinished.rename(directory)
    return directory


def _check_handler(function: Function) -> None:
    module, _, name = function.handler.rpartition(".")
    if not module or not name:
        raise TemplateError(f"its Handler is {function.handler!r}; it must be file.function.")
    file = module.replace(".", "/")
    for directory in (function.code.path, *(layer.path for layer in function.layers)):
        for candidate in (f"{file}.py", f"{file}/__init__.py", f"python/{file}.py", f"python/{file}/__init__.py"):
            try:
                if (directory / candidate).is_file():
                    return
            except (OSError, ValueError):
                break
    raise TemplateError(f"its Handler is {function.handler}, but {function.code.path} has no {file}.py.")
