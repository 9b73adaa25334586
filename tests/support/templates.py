"""The stack as CloudFormation sees it: after SAM's transform, or with another value of a setting."""

import copy
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from local_engine.template import translate
from tests.support import stack

type Template = dict[str, Any]


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
def read_settings(template: str = "template.yaml") -> dict[str, dict[str, Any]]:
    """The rows of a template's `Stages` mapping."""
    settings: dict[str, dict[str, Any]] = stack.load_template(template).get("Mappings", {}).get("Stages", {})
    return settings


@contextmanager
def write_variant(**settings: str) -> Iterator[Path]:
    """A root template, for the block, with other values of some settings in every stage, whichever file has them."""
    with tempfile.TemporaryDirectory() as folder:
        # The engine's state too, so that tokens that tests mint are accepted.
        stack.ROOT.joinpath(".local").mkdir(exist_ok=True)
        for name in ("functions", "layers", "models", "events", ".local"):
            Path(folder, name).symlink_to(stack.ROOT / name)
        Path(folder, "stacks").mkdir()
        for name in stack.list_templates():
            text = stack.ROOT.joinpath(name).read_text(encoding="utf-8")
            for setting, value in settings.items():
                row = re.compile(rf"^    {setting}: {{.*}}$", re.MULTILINE)
                text = row.sub(f"    {setting}: {{dev: {value}, staging: {value}, prod: {value}}}", text)
            Path(folder, name).write_text(text, encoding="utf-8")
        yield Path(folder, "template.yaml")
