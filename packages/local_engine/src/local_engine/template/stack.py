"""Reads a SAM template into what the engine serves: functions, HTTP APIs, and every other resource."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

from local_engine.state import STATE_DIRECTORY
from local_engine.template.intrinsics import ACCOUNT_ID, REGION, Evaluator, IntrinsicError

# SAM demands that code lies in S3, so a local path travels through its transform as the key in this bucket.
_LOCAL_BUCKET = "local-files"
_PATH_PROPERTIES = ("CodeUri", "ContentUri", "DefinitionUri")


class TemplateError(Exception):
    """The template cannot be served; the message is a sentence for the user."""


class ParametersRefused(TemplateError):
    """The template's own rules refuse the parameters."""

    def __init__(self, sentences: Sequence[str]) -> None:
        """Take what the assertions say that do not hold."""
        super().__init__("\n".join(f"The template refuses these parameters: {sentence}" for sentence in sentences))
        self.sentences = sentences


@dataclass(frozen=True)
class Resource:
    """A resource after SAM's transform, its properties evaluated."""

    type: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A Lambda function with a Python runtime."""

    logical_id: str
    name: str
    handler: str
    code_directory: Path
    layer_directories: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout: float
    """Seconds."""
    memory: int
    """MB."""
    reserved_concurrency: int | None

    @property
    def arn(self) -> str:
        """The ARN that the function's context shows."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"


@dataclass(frozen=True)
class Throttling:
    """A token bucket's settings; None where the template sets no limit."""

    rate: float | None
    """Requests a second."""
    burst: int | None
    """Requests at once."""


@dataclass(frozen=True)
class HttpApi:
    """An HTTP API with its one stage."""

    logical_id: str
    stage: str
    document: dict[str, Any]
    """The OpenAPI document, as API Gateway would import it."""
    cors: dict[str, Any] | None
    """`x-amazon-apigateway-cors`: allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials."""
    throttling: Throttling
    route_throttling: Mapping[str, Throttling]
    """By route key, such as `GET /items/{id}`."""
    detailed_metrics: bool
    """Whether there are metrics of each route."""
    route_detailed_metrics: Mapping[str, bool]
    """By route key, over `detailed_metrics`."""


@dataclass(frozen=True)
class Stack:
    """A template, read."""

    path: Path
    sources: tuple[Path, ...]
    """The template and every file it includes."""
    given: Mapping[str, str]
    """The parameters as given, without the template's defaults."""
    parameters: Mapping[str, Any]
    functions: Mapping[str, Function]
    apis: tuple[HttpApi, ...]
    resources: Mapping[str, Resource]


def load_template(path: Path, parameters: Mapping[str, str]) -> Stack:
    """Read a SAM template and translates it as CloudFormation would.

    Args:
        path: the template file; paths in it are relative to its directory.
        parameters: values for the template's parameters, over their defaults.

    Raises:
        TemplateError: a file is missing, or the template or a parameter is wrong.
        ParametersRefused: the template's rules do not take these parameters.
    """
    path = path.resolve()
    sources: list[Path] = []
    template = _paste_includes(_parse_file(path, sources), path, sources)
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path} is not a SAM template: it has no Resources.")
    values = _parameter_values(template, parameters, path)
    _check_rules(template, values, path)
    _localize_paths(template, path, sources)
    translated = _translate(template, values, path)
    evaluator = Evaluator(translated, values)
    try:
        resources = {
            logical_id: Resource(resource["Type"], evaluator.evaluate(resource.get("Properties") or {}))
            for logical_id, resource in translated["Resources"].items()
            if "Condition" not in resource or evaluator.is_true(resource["Condition"])
        }
        functions = {
            logical_id: _read_function(evaluator.resource_name(logical_id), logical_id, resources)
            for logical_id, resource in resources.items()
            if resource.type == "AWS::Lambda::Function" and str(resource.properties.get("Runtime")).startswith("python")
        }
    except IntrinsicError as error:
        raise TemplateError(f"{path}: {error}") from error
    apis = tuple(
        _read_api(logical_id, resources)
        for logical_id, resource in resources.items()
        if resource.type == "AWS::ApiGatewayV2::Api" and "openapi" in (resource.properties.get("Body") or {})
    )
    return Stack(path, tuple(sources), parameters, values, functions, apis, resources)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, in which `2012-10-17` is text and no date."""


def _construct_short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any = None
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_multi_constructor("!", _construct_short_form)


def _parse_file(path: Path, sources: list[Path]) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path} is not UTF-8 text.") from error
    sources.append(path)
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise TemplateError(f"{path}{place} is not valid YAML: {getattr(error, 'problem', error)}.") from error


def _paste_includes(value: Any, path: Path, sources: list[Path]) -> Any:
    if isinstance(value, list):
        return [_paste_includes(entry, path, sources) for entry in value]
    if not isinstance(value, dict):
        return value
    pasted = {name: _paste_includes(entry, path, sources) for name, entry in value.items() if name != "Fn::Transform"}
    transform = value.get("Fn::Transform")
    if transform is None:
        return pasted
    match transform:
        case {"Name": "AWS::Include", "Parameters": {"Location": str(location)}} if "://" not in location:
            included = path.parent / location
            content = _paste_includes(_parse_file(included, sources), included, sources)
        case _:
            raise TemplateError(f"{path}: the local engine can only run AWS::Include of a local file, not {transform}.")
    if not pasted:
        return content
    if not isinstance(content, dict):
        raise TemplateError(f"{included} must hold a mapping, as it is included among other keys.")
    return pasted | content


def _parameter_values(template: Mapping[str, Any], given: Mapping[str, str], path: Path) -> dict[str, Any]:
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"{path} has no parameter {unknown[0]!r}; it has {', '.join(declared) or 'none'}.")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"Parameter {name} has no default: give it with --parameters {name}=….")
        allowed = declaration.get("AllowedValues")
        if allowed and value not in allowed and str(value) not in map(str, allowed):
            raise TemplateError(f"Parameter {name} is {value!r}; it must be one of {', '.join(map(str, allowed))}.")
        is_list = declaration.get("Type") == "CommaDelimitedList" or str(declaration.get("Type")).startswith("List<")
        values[name] = [entry.strip() for entry in str(value).split(",")] if is_list else str(value)
    return values


def _check_rules(template: Mapping[str, Any], values: Mapping[str, Any], path: Path) -> None:
    """Refuse what CloudFormation would refuse before it makes anything ("Rules", CloudFormation Template Reference)."""
    # Rules know parameters only.
    evaluator = Evaluator({}, values)
    try:
        refusals = [
            str(assertion.get("AssertDescription", f"an assertion of rule {name} does not hold."))
            for name, rule in (template.get("Rules") or {}).items()
            if evaluator.evaluate(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not evaluator.evaluate(assertion["Assert"])
        ]
    except IntrinsicError as error:
        raise TemplateError(f"{path}: Rules: {error}") from error
    if refusals:
        raise ParametersRefused(refusals)


def _localize_paths(template: dict[str, Any], path: Path, sources: list[Path]) -> None:
    resources: Iterator[dict[str, Any]] = (
        resource for resource in template["Resources"].values() if isinstance(resource, dict)
    )
    for resource in resources:
        kind, properties = resource.get("Type"), resource.setdefault("Properties", {})
        if not str(kind).startswith("AWS::Serverless::") or not isinstance(properties, dict):
            continue
        uri = properties.get("DefinitionUri")
        if kind == "AWS::Serverless::HttpApi" and isinstance(uri, str) and "://" not in uri:
            del properties["DefinitionUri"]
            properties["DefinitionBody"] = _parse_file(path.parent / uri, sources)
        inherits = {"CodeUri", "InlineCode", "ImageUri", "PackageType"} & (
            properties.keys() | ((template.get("Globals") or {}).get("Function") or {}).keys()
        )
        if kind == "AWS::Serverless::Function" and not inherits:
            properties["CodeUri"] = "."
        _localize_properties(properties, path)
    for properties in (template.get("Globals") or {}).values():
        _localize_properties(properties, path)


def _localize_properties(properties: dict[str, Any], path: Path) -> None:
    for name in _PATH_PROPERTIES:
        value = properties.get(name)
        if isinstance(value, str) and "://" not in value:
            properties[name] = f"s3://{_LOCAL_BUCKET}/{quote(str((path.parent / value).resolve()).lstrip('/'))}"


def _translate(template: dict[str, Any], parameters: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Run SAM's transform, or take its result from an earlier start: the translator's import takes most of a second."""
    content = json.dumps([template, parameters], default=str)
    key = hashlib.sha256(content.encode()).hexdigest()
    cache = STATE_DIRECTORY / f"template-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}.json"
    try:
        kept = json.loads(cache.read_text())
        if kept["key"] == key:
            translated: dict[str, Any] = kept["template"]
            return translated
    except (OSError, ValueError, KeyError, TypeError):
        pass
    from local_engine.template.translation import translate  # noqa: PLC0415 - takes most of a second

    try:
        # The translator writes into its input, and into structures that the input shares.
        translated = translate(json.loads(json.dumps(template, default=str)), dict(parameters))
    except ValueError as error:
        raise TemplateError(f"{path}: {error}") from error
    try:
        STATE_DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"key": key, "template": translated}))
        temporary.replace(cache)
    except OSError:
        pass
    return translated


def _read_function(name: str, logical_id: str, resources: Mapping[str, Resource]) -> Function:
    properties = resources[logical_id].properties
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    reserved = properties.get("ReservedConcurrentExecutions")
    layers = [resources[layer] for layer in properties.get("Layers") or [] if layer in resources]
    function = Function(
        logical_id=logical_id,
        name=name,
        handler=str(properties.get("Handler")),
        code_directory=_code_directory(properties.get("Code"), f"CodeUri of function {logical_id}"),
        layer_directories=tuple(
            _code_directory(layer.properties.get("Content"), f"ContentUri of a layer of {logical_id}")
            for layer in layers
        ),
        environment={key: _environment_text(value) for key, value in variables.items()},
        timeout=float(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        # A number that comes from a parameter is text.
        reserved_concurrency=None if reserved is None else int(reserved),
    )
    _check_handler(function)
    return function


def _environment_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code_directory(code: Any, what: str) -> Path:
    match code:
        case {"ZipFile": str(text)}:
            directory = STATE_DIRECTORY / "inline" / hashlib.sha256(text.encode()).hexdigest()[:12]
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "index.py").write_text(text)
            return directory
        case {"S3Bucket": bucket, "S3Key": str(key)} if bucket == _LOCAL_BUCKET:
            directory = Path("/" + unquote(key))
            if not directory.is_dir():
                raise TemplateError(f"{what} is {directory}, which is not a folder.")
            return directory
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


def _read_api(logical_id: str, resources: Mapping[str, Resource]) -> HttpApi:
    properties = resources[logical_id].properties
    stages = [
        resource.properties
        for resource in resources.values()
        if resource.type == "AWS::ApiGatewayV2::Stage" and resource.properties.get("ApiId") == logical_id
    ]
    stage: Mapping[str, Any] = stages[0] if stages else {}
    document = properties["Body"]
    return HttpApi(
        logical_id=logical_id,
        stage=str(stage.get("StageName", "$default")),
        document=document,
        cors=document.get("x-amazon-apigateway-cors"),
        throttling=_read_throttling(stage.get("DefaultRouteSettings")),
        route_throttling={
            key: _read_throttling(settings) for key, settings in (stage.get("RouteSettings") or {}).items()
        },
        detailed_metrics=_is_true((stage.get("DefaultRouteSettings") or {}).get("DetailedMetricsEnabled")),
        route_detailed_metrics={
            key: _is_true(settings["DetailedMetricsEnabled"])
            for key, settings in (stage.get("RouteSettings") or {}).items()
            if "DetailedMetricsEnabled" in settings
        },
    )


def _is_true(value: Any) -> bool:
    # Parameters are text.
    return str(value).lower() == "true"


def _read_throttling(settings: Any) -> Throttling:
    settings = settings or {}
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    return Throttling(None if rate is None else float(rate), None if burst is None else int(burst))
