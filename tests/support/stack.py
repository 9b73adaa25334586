"""The project's templates, routes, models and event fixtures, for tests that follow from them.

Nothing here names a noun or a route: a test that takes both from here covers those of a noun that a team adds.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
SUCCESS = "2xx"
"""The expected answer of a request that the route carries out, whatever its status is."""
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def find_media_type(method: str) -> str:
    """The media type of the JSON body of a method's requests."""
    return "application/merge-patch+json" if method == "PATCH" else "application/json"


@dataclass(frozen=True)
class Route:
    """A route of the API and the function behind it."""

    method: str
    path: str
    function: str
    """Logical ID."""
    folder: Path
    """Of the function's code; the fixture in `events/` has the same name."""
    scopes: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def operation(self) -> dict[str, Any]:
        """The route's operation in the API's document, with the parameters of its path and without references."""
        return _load_operations()[self.key]

    @property
    def success(self) -> int:
        """The lowest status that the document gives the operation: that of a request that is carried out."""
        return min(int(status) for status in self.operation["responses"] if status.isdecimal())

    @property
    def model(self) -> dict[str, Any] | None:
        """The schema of the request body; None for a route without a body, or with one that is not JSON."""
        content = self.operation.get("requestBody", {}).get("content", {}).get(self.media_type)
        return content["schema"] if content else None

    @property
    def media_type(self) -> str:
        """The media type of a JSON request body."""
        return find_media_type(self.method)

    @property
    def needs_body(self) -> bool:
        """Whether a request without a body is refused."""
        return bool(self.operation.get("requestBody", {}).get("required"))

    @property
    def answer_model(self) -> dict[str, Any] | None:
        """The schema of the answer's body on success; None for an answer without a body."""
        content = self.operation["responses"][str(self.success)].get("content", {})
        return content["application/json"]["schema"] if content else None

    @property
    def body(self) -> Any:
        """A valid request body: the fixture's; None for a route without a body."""
        text = self.load_event().get("body")
        return None if text is None else json.loads(text)

    @property
    def path_parameters(self) -> dict[str, str]:
        """The fixture's path parameters: IDs that nothing has, unless a test creates it."""
        return self.load_event().get("pathParameters", {})

    def matches(self, method: str, path: str) -> bool:
        """Whether the gateway may send this route a request: a parameter matches any one segment."""
        pattern = "[^/]+".join(re.escape(text) for text in re.split(r"\{\w+\}", self.path))
        return method == self.method and re.fullmatch(pattern, path) is not None

    def takes(self, name: str) -> bool:
        """Whether the document gives the operation a query parameter or header with this name."""
        return any(name == parameter["name"] for parameter in self.operation.get("parameters", ()))

    def load_event(self) -> dict[str, Any]:
        """The route's event fixture."""
        return json.loads((ROOT / "events" / f"{self.folder.name}.json").read_text(encoding="utf-8"))

    def resolve(self, expected: str | int) -> int:
        """The status that an expectation stands for: `SUCCESS`, or a status."""
        return self.success if expected == SUCCESS else int(expected)

    def fill(self, location: str | None = None) -> str:
        """The route's path about the item at a location, or with the fixture's path parameters.

        The fixture's query string follows if the operation requires a part of it.
        """
        if location is None:
            return self.path.format(**self.path_parameters) + self.query
        return location + self.path.removeprefix(_item_path(self.path)) + self.query

    @property
    def query(self) -> str:
        """The fixture's query string, with the `?`, if the operation requires a part of it; otherwise empty."""
        parameters = self.operation.get("parameters", ())
        is_required = any(parameter["in"] == "query" and parameter.get("required") for parameter in parameters)
        return f"?{self.load_event()['rawQueryString']}" if is_required else ""

    @property
    def creator(self) -> "Route | None":
        """The route that creates what this route's path names; None if there is none."""
        collection = _item_path(self.path).rpartition("/")[0]
        return find_route(f"POST {collection}") if collection else None

    @property
    def page(self) -> "Route | None":
        """The route that lists what this route creates, changes or lists."""
        collection = self if self in list_creators() else self.creator or self
        page = find_route(f"GET {collection.path}")
        return page if page and page.takes("nextToken") else None


def _item_path(path: str) -> str:
    """The path up to its last parameter; empty without one."""
    match = re.match(r".*\}", path)
    return match[0] if match else ""


@cache
def load_template(name: str = "template.yaml") -> dict[str, Any]:
    """A template of the project, its intrinsic functions in their long form."""
    return yaml_parse((ROOT / name).read_text(encoding="utf-8"))


@cache
def list_templates() -> tuple[str, ...]:
    """The root template and its nested applications."""
    return ("template.yaml", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "stacks").glob("*.yaml"))))


def find_resources(kind: str, template: str = "template.yaml") -> dict[str, dict[str, Any]]:
    """The resources of one type in a template, by their logical IDs."""
    resources = load_template(template)["Resources"]
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


@cache
def load_document() -> dict[str, Any]:
    """The API's OpenAPI document, with the files that it includes."""
    ((_, api),) = find_resources("AWS::Serverless::HttpApi").items()
    document: dict[str, Any] = _include(api["Properties"]["DefinitionBody"])
    return document


def _include(value: Any) -> Any:
    match value:
        case {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": location}}}:
            return json.loads((ROOT / location).read_text(encoding="utf-8"))
        case dict():
            return {name: _include(part) for name, part in value.items()}
        case list():
            return [_include(part) for part in value]
        case _:
            return value


def _dereference(value: Any) -> Any:
    match value:
        case {"$ref": str(reference)}:
            target: Any = load_document()
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]
            return _dereference(target)
        case dict():
            return {name: _dereference(part) for name, part in value.items()}
        case list():
            return [_dereference(part) for part in value]
        case _:
            return value


@cache
def _load_operations() -> Mapping[str, dict[str, Any]]:
    """The document's operations by route key."""
    operations = {}
    document = load_document()
    # The local engine adds these to the document that clients get; a test of the API compares the two.
    common = {
        response["x-every-operation"]: response
        for response in _dereference(document["components"]["responses"]).values()
        if "x-every-operation" in response
    }
    for path, item in document["paths"].items():
        shared = _dereference(item.get("parameters", []))
        for method in item.keys() & set(_METHODS):
            operation = _dereference(item[method])
            operation["parameters"] = [*shared, *operation.get("parameters", [])]
            operation["responses"] = common | operation["responses"]
            operations[f"{method.upper()} {path}"] = operation
    return operations


@cache
def list_routes() -> tuple[Route, ...]:
    return tuple(
        Route(
            method=event["Properties"]["Method"].upper(),
            path=event["Properties"]["Path"],
            function=name,
            folder=ROOT / function["Properties"]["CodeUri"],
            scopes=tuple(event["Properties"]["Auth"]["AuthorizationScopes"]),
        )
        for name, function in find_resources("AWS::Serverless::Function").items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    )


def find_route(key: str) -> Route | None:
    return next((route for route in list_routes() if route.key == key), None)


def find_fixture(function: str) -> Path:
    """The event fixture of a function, by the logical ID."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", function.rpartition("/")[2]).lower()
    return ROOT / "events" / f"{name}.json"


def select_routes(predicate: Callable[[Route], object]) -> tuple[Route, ...]:
    return tuple(route for route in list_routes() if predicate(route))


def list_creators() -> tuple[Route, ...]:
    """The routes that create the items that other routes' paths name: one for each noun."""
    creators = {route.creator for route in list_routes()}
    return select_routes(creators.__contains__)


def list_scopes() -> tuple[str, ...]:
    """Every scope that a route accepts, in both spellings."""
    return tuple(sorted({scope for route in list_routes() for scope in route.scopes}))
