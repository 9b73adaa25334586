"""The project's templates as they are written: the root and its nested applications."""

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from local_engine.template.stack import Stack, load_template
from local_engine.template.translation import translate
from tests.support.stack import ROOT

type Template = dict[str, Any]

FILES = (ROOT / "template.yaml", *sorted((ROOT / "stacks").glob("*.yaml")))


@cache
def read_template(path: Path) -> Template:
    """A template with its intrinsic functions in their long form."""
    template: Template = yaml_parse(path.read_text(encoding="utf-8"))
    return template


def find_all(kind: str) -> Iterator[tuple[Path, str, Template]]:
    """Each resource of one type in any template, with its file and logical ID."""
    for path in FILES:
        for name, resource in read_template(path)["Resources"].items():
            if resource["Type"] == kind:
                yield path, name, resource


def translate_template(template: Template) -> dict[str, Template]:
    """Every resource after SAM's transform, whatever its condition, with all branches of every `Fn::If`."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        for location in {"CodeUri", "ContentUri", "Location"} & resource.get("Properties", {}).keys():
            # The translator accepts only code and templates in S3.
            is_template = location == "Location"
            resource["Properties"][location] = (
                "https://bucket.s3.amazonaws.com/key" if is_template else "s3://bucket/key"
            )
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    resources: dict[str, Template] = translate(template, defaults)["Resources"]
    return resources


@cache
def read_document() -> Template:
    """The API's OpenAPI document, with every included file in its place."""
    document = read_template(ROOT / "template.yaml")["Resources"]["Api"]["Properties"]["DefinitionBody"]
    pasted: Template = _paste_includes(document)
    return pasted


def _paste_includes(value: Any) -> Any:
    if isinstance(value, list):
        return [_paste_includes(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if transform := value.get("Fn::Transform"):
        return json.loads((ROOT / transform["Parameters"]["Location"]).read_text(encoding="utf-8"))
    return {name: _paste_includes(entry) for name, entry in value.items()}


@cache
def read_settings(path: Path = FILES[0]) -> dict[str, dict[str, Any]]:
    """The rows of a template's `Stages` mapping."""
    settings: dict[str, dict[str, Any]] = read_template(path).get("Mappings", {}).get("Stages", {})
    return settings


@cache
def load_variant(setting: str, value: str, **parameters: str) -> Stack:
    """The stack with another value of a setting in every stage, whichever template has the setting."""
    with tempfile.TemporaryDirectory() as folder:
        for entry in ROOT.iterdir():
            if entry.name in {"functions", "layers", "models"}:
                Path(folder, entry.name).symlink_to(entry)
        Path(folder, "stacks").mkdir()
        for path in FILES:
            row = re.compile(rf"^    {setting}: {{.*}}$", re.MULTILINE)
            text = row.sub(
                f"    {setting}: {{dev: {value}, staging: {value}, prod: {value}}}", path.read_text(encoding="utf-8")
            )
            Path(folder, path.relative_to(ROOT)).write_text(text, encoding="utf-8")
        return load_template(Path(folder, "template.yaml"), parameters)
