"""Template files: YAML with CloudFormation's short forms, included files, and local paths to code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

from local_engine.template.stack import TemplateError

# SAM accepts code in S3 only, so a local path passes through its transform as a key of this bucket.
_LOCAL_BUCKET = "local-files"
_PATH_PROPERTIES = ("CodeUri", "ContentUri", "DefinitionUri")


def read_template_file(path: Path, sources: list[Path]) -> dict[str, Any]:
    """Return a SAM template with its `AWS::Include` files pasted in and its local paths made absolute.

    Args:
        path: the file. Paths in it are relative to its folder.
        sources: gets the path of each file that is read.

    Raises:
        TemplateError: a file is missing or is not valid.
    """
    template = _paste_includes(_parse_file(path, sources), path, sources)
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path} is not a SAM template: it has no Resources.")
    _localize_paths(template, path, sources)
    return template


def find_local_path(location: Mapping[str, Any]) -> Path | None:
    """Return the local path that a translated `S3Bucket` and `S3Key` stand for, if they do."""
    match location:
        case {"S3Bucket": bucket, "S3Key": str(key)} if bucket == _LOCAL_BUCKET:
            return Path("/" + unquote(key))
        case _:
            return None


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms. `2012-10-17` is text, not a date."""


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
    # An unreadable file is a source too: fixing it must trigger a reload.
    sources.append(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path} is not UTF-8 text.") from error
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
            included = (path.parent / location).resolve()
            content = _paste_includes(_parse_file(included, sources), included, sources)
        case _:
            raise TemplateError(
                f"{path}: the local engine runs only the transform AWS::Include of a local file, not {transform}."
            )
    if not pasted:
        return content
    if not isinstance(content, dict):
        raise TemplateError(f"{included} must hold a mapping, because it is included among other keys.")
    return pasted | content


def _localize_paths(template: dict[str, Any], path: Path, sources: list[Path]) -> None:
    shared = template.get("Globals") or {}
    for resource in template["Resources"].values():
        if not isinstance(resource, dict) or not str(resource.get("Type")).startswith("AWS::Serverless::"):
            continue
        kind, properties = resource["Type"], resource.setdefault("Properties", {})
        if not isinstance(properties, dict):
            continue
        uri = properties.get("DefinitionUri")
        if kind == "AWS::Serverless::HttpApi" and isinstance(uri, str) and "://" not in uri:
            del properties["DefinitionUri"]
            properties["DefinitionBody"] = _parse_file((path.parent / uri).resolve(), sources)
        declared = properties.keys() | (shared.get("Function") or {}).keys()
        if kind == "AWS::Serverless::Function" and not {"CodeUri", "InlineCode", "ImageUri", "PackageType"} & declared:
            properties["CodeUri"] = "."
        _localize_properties(properties, path)
    for properties in shared.values():
        _localize_properties(properties, path)


def _localize_properties(properties: dict[str, Any], path: Path) -> None:
    for name in _PATH_PROPERTIES:
        value = properties.get(name)
        if isinstance(value, str) and "://" not in value:
            properties[name] = f"s3://{_LOCAL_BUCKET}/{quote(str((path.parent / value).resolve()).lstrip('/'))}"
