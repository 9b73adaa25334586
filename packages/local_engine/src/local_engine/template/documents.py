"""Template files: YAML with CloudFormation's short forms or JSON, included files, and local paths to code."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

from local_engine.template.errors import MissingFileError, TemplateError
from local_engine.template.sources import Edition, read_edition

BUILD_ID = "SamResourceId"
"""Key of a resource's metadata with its logical ID in the template file, as the SAM CLI names it."""

# SAM accepts code in S3 only, so a local path passes through its transform as a key of this bucket.
_LOCAL_BUCKET = "local-files"
_UNBUILT_IMAGE = "unbuilt-image"
_PATH_PROPERTIES = ("CodeUri", "ContentUri", "DefinitionUri")
# CloudFormation's own types take a path as well, which `sam build` replaces.
_CODE_PROPERTIES = {"AWS::Lambda::Function": "Code", "AWS::Lambda::LayerVersion": "Content"}
# Much deeper nesting ends the parser that is written in C with a crash.
_DEEPEST = 400
_BLOCK_PREFIX = re.compile(r"^(?:[-?] | )+", re.MULTILINE)


def read_template_file(path: Path, sources: dict[Path, Edition]) -> dict[str, Any]:
    """Return a SAM template with its `AWS::Include` files pasted in.

    Args:
        path: the file. Paths in it are relative to its folder.
        sources: gets each file that is read.

    Raises:
        TemplateError: a file is missing or is not valid.
    """
    template = _paste_includes(_parse_file(path, sources), path, sources)
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path} is not a SAM template: it has no Resources.")
    return template


def localize_paths(template: dict[str, Any], path: Path, sources: dict[Path, Edition]) -> None:
    """Make the local paths of a template absolute, in a form that passes through SAM's transform.

    Args:
        template: the template, which changes in place. Its resources are mappings.
        path: its file.
        sources: gets each file that is read.

    Raises:
        TemplateError: an API's document is missing or is not valid.
    """
    shared = template.get("Globals")
    shared = shared if isinstance(shared, dict) else {}
    function = shared.get("Function")
    function = function if isinstance(function, dict) else {}
    for logical_id, resource in template["Resources"].items():
        kind, properties = resource["Type"], resource["Properties"]
        if code := _CODE_PROPERTIES.get(kind):
            if isinstance(properties.get(code), str):
                properties[code] = {"S3Bucket": _LOCAL_BUCKET, "S3Key": _path_key(path, properties[code])}
        elif not kind.startswith("AWS::Serverless::"):
            continue
        metadata = resource.get("Metadata")
        resource["Metadata"] = {**(metadata if isinstance(metadata, dict) else {}), BUILD_ID: logical_id}
        uri = properties.get("DefinitionUri")
        if kind in ("AWS::Serverless::Api", "AWS::Serverless::HttpApi") and isinstance(uri, str) and "://" not in uri:
            del properties["DefinitionUri"]
            properties["DefinitionBody"] = _parse_file((path.parent / uri).resolve(), sources)
        declared = properties.keys() | function.keys()
        if kind == "AWS::Serverless::Function" and not {"CodeUri", "InlineCode", "ImageUri", "PackageType"} & declared:
            properties["CodeUri"] = "."
        is_image = "Image" in (properties.get("PackageType"), function.get("PackageType"))
        if kind == "AWS::Serverless::Function" and is_image and "ImageUri" not in declared:
            # `sam build` makes the image and names it. SAM's translator asks for a name.
            properties["ImageUri"] = _UNBUILT_IMAGE
        _localize_properties(properties, path)
    for properties in shared.values():
        if isinstance(properties, dict):
            _localize_properties(properties, path)


def find_local_path(location: Mapping[str, Any]) -> Path | None:
    """Return the local path that a translated `S3Bucket` and `S3Key` stand for, if they do."""
    match location:
        case {"S3Bucket": bucket, "S3Key": str(key)} if bucket == _LOCAL_BUCKET:
            return Path("/" + unquote(key))
        case _:
            return None


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms. `2012-10-17` is text, not a date."""


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same, about ten times as fast."""


def _construct_short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
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


for _loader in (_Loader, _FastLoader):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_multi_constructor("!", _construct_short_form)


def _parse_file(path: Path, sources: dict[Path, Edition]) -> Any:
    # An unreadable file is a source too: fixing it must trigger a reload.
    # Looked at before reading, so that a later edit is noticed, even one during the reading.
    sources.setdefault(path, read_edition(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path} is not UTF-8 text.") from error
    try:
        return _parse_text(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise TemplateError(f"{path}{place} is not valid YAML: {getattr(error, 'problem', error)}.") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise TemplateError(f"{path} is not valid YAML: {error}.") from error


def _parse_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        # JSON may be indented with tabs, YAML may not.
        with contextlib.suppress(ValueError):
            return json.loads(text)
    if not _is_deep(text):
        # The slower loader says better where a fault is.
        with contextlib.suppress(yaml.YAMLError):
            return _to_json_types(yaml.load(text, _FastLoader))  # noqa: S506 - a SafeLoader
    return _to_json_types(yaml.load(text, _Loader))  # noqa: S506 - a SafeLoader


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") > _DEEPEST:
        depth = 0
        for character in text:
            depth += (character in "[{") - (character in "]}")
            if depth > _DEEPEST:
                return True
    return any(len(prefix) > _DEEPEST for prefix in _BLOCK_PREFIX.findall(text))


def _to_json_types(value: Any) -> Any:
    """Return a value of YAML with text for what JSON lacks, such as keys that are numbers."""
    match value:
        case dict():
            return {_to_json_key(name): _to_json_types(entry) for name, entry in value.items()}
        case list() | tuple() | set():
            return [_to_json_types(entry) for entry in value]
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


def _to_json_key(name: Any) -> str:
    return name if isinstance(name, str) else json.dumps(name, default=str)


def _paste_includes(value: Any, path: Path, sources: dict[Path, Edition], parents: tuple[Path, ...] = ()) -> Any:
    def paste(entry: Any) -> Any:
        return _paste_includes(entry, path, sources, parents)

    if isinstance(value, list):
        return [paste(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    match value.get("Fn::Transform"):
        case {"Name": "AWS::Include", "Parameters": {"Location": str(location)}} if "://" not in location:
            included = (path.parent / location).resolve()
        case _:
            return {name: paste(entry) for name, entry in value.items()}
    if included in (path, *parents):
        raise TemplateError(f"{included} includes itself.")
    content = _paste_includes(_parse_file(included, sources), included, sources, (path, *parents))
    pasted = {name: paste(entry) for name, entry in value.items() if name != "Fn::Transform"}
    if not pasted:
        return content
    if not isinstance(content, dict):
        raise TemplateError(f"{included} must hold a mapping, because it is included among other keys.")
    return pasted | content


def _localize_properties(properties: dict[str, Any], path: Path) -> None:
    for name in _PATH_PROPERTIES:
        value = properties.get(name)
        if isinstance(value, str) and "://" not in value:
            properties[name] = f"s3://{_LOCAL_BUCKET}/{_path_key(path, value)}"


def _path_key(path: Path, location: str) -> str:
    return quote(str((path.parent / location).resolve()).lstrip("/"))
