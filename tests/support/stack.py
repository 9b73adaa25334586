"""What template.yaml says, for tests that hold the code against it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from functions.verify_versions.route_pass import find_success

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Route:
    """A route of the API and the function behind it."""

    method: str
    path: str
    function: str
    folder: Path
    scopes: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def success(self) -> int:
        """The status that the API's document gives a request that is carried out."""
        document: Any = load_template()["Resources"]["Api"]["Properties"]["DefinitionBody"]
        return find_success(document, self.key)

    def load_event(self) -> dict[str, Any]:
        """The route's event fixture."""
        return json.loads((ROOT / "events" / f"{self.folder.name}.json").read_text(encoding="utf-8"))


@cache
def load_template() -> dict[str, Any]:
    """template.yaml, its intrinsic functions in their long form."""
    return yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


def find_resources(kind: str) -> dict[str, dict[str, Any]]:
    """The resources of one type, by their logical ids."""
    return {name: resource for name, resource in load_template()["Resources"].items() if resource["Type"] == kind}


@cache
def list_routes() -> tuple[Route, ...]:
    return tuple(
        Route(
            method=event["Properties"]["Method"],
            path=event["Properties"]["Path"],
            function=name,
            folder=ROOT / function["Properties"]["CodeUri"],
            scopes=tuple(event["Properties"]["Auth"]["AuthorizationScopes"]),
        )
        for name, function in find_resources("AWS::Serverless::Function").items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    )
