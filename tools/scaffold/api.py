"""The API of a project as its templates describe it, and edits that add to it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tools.scaffold.blocks import Blocks
from tools.scaffold.changes import Changes, ScaffoldError
from tools.scaffold.names import to_pascal

TEMPLATE, IDENTITY = "template.yaml", "stacks/identity.yaml"
PREFIX = "/api/v1/"
EXAMPLE_ID = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"

_DOCUMENT = ("Resources", "Api", "Properties", "DefinitionBody")
_ROUTE = re.compile(r'Method: (\w+), Path: "?([^\s",]+)"?, Auth: \{AuthorizationScopes: \[([^\]]*)\]')
_ACTIONS = {"GET": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "write"}
_COLLECTION = re.compile(r'^(\w+) = \w+\("([a-z ]+)", model="(\w+)Input"', re.MULTILINE)


class Route(NamedTuple):
    """A route of the template: its function's logical ID, method, path and scopes."""

    function: str
    method: str
    path: str
    scopes: Sequence[str]

    @property
    def segment(self) -> str:
        """The first segment of the path below the API's prefix."""
        return self.path.removeprefix(PREFIX).partition("/")[0]


class Package(NamedTuple):
    """The package of a noun in the layer: the name of its collection, the noun in words, its answer's model."""

    collection: str
    noun: str
    model: str


class Api:
    """Adds routes, scopes and models to the templates of a project."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._template = Blocks(changes.read(TEMPLATE))
        self._identity = Blocks(changes.read(IDENTITY))

    @property
    def routes(self) -> list[Route]:
        """The routes, in the order of the template."""
        found = []
        for name in self._template.list_keys("Resources"):
            if match := _ROUTE.search(self._template.read("Resources", name)):
                scopes = [scope.strip(' "') for scope in match[3].split(",")]
                found.append(Route(name, match[1], match[2], scopes))
        return found

    def save(self) -> None:
        """Put the templates among the changes."""
        self._changes.replace(TEMPLATE, self._template.text)
        self._changes.replace(IDENTITY, self._identity.text)

    def find_package(self, segment: str) -> Package | None:
        """Return the noun whose routes begin with a segment; None if no package of the layer has it."""
        name = f"layers/shared/{segment.replace('-', '_')}/__init__.py"
        match = _COLLECTION.search(self._changes.read(name)) if self._changes.exists(name) else None
        return Package(match[1], match[2], match[3]) if match else None

    def check_function(self, name: str) -> None:
        """Check that no function, and nothing else in the template, has a name in snake case.

        Raises:
            ScaffoldError: it is taken.
        """
        if self._template.has("Resources", to_pascal(name)):
            raise ScaffoldError(f"template.yaml has {to_pascal(name)} already; choose another NAME=.")
        for path in (f"functions/{name}/app.py", f"events/{name}.json"):
            if self._changes.exists(path):
                raise ScaffoldError(f"{path} exists; choose another NAME=.")

    def check_route(self, method: str, path: str) -> None:
        """Check that a route is free, and that the gateway could tell it from the others.

        Raises:
            ScaffoldError: it is not.
        """
        for route in self.routes:
            if route.method == method and _generalize(route.path) == _generalize(path):
                raise ScaffoldError(f"{method} {path} is the route of {route.function} already.")
            if _generalize(route.path) == _generalize(path) and route.path != path:
                raise ScaffoldError(f"{path} and {route.path} are the same route; name the parameter as that one does.")

    def find_scope(self, method: str, segment: str) -> str:
        """Return the scope of a new route: that of the routes beside it, for what the method does."""
        beside = [route for route in self.routes if route.segment == segment]
        nouns = [route.scopes[0].partition(":")[2] for route in beside]
        same = [route.scopes[0] for route in beside if _ACTIONS[route.method] == _ACTIONS[method]]
        noun = nouns[0] if nouns else segment
        return next((scope for scope in same if scope.startswith(_ACTIONS[method])), f"{_ACTIONS[method]}:{noun}")

    def has_tag(self, segment: str) -> bool:
        """Return whether the document describes a group of operations."""
        return f"{{name: {segment}," in self._template.read(*_DOCUMENT, "x-tags")

    def add_tag(self, segment: str, description: str) -> None:
        """Describe a group of operations in the document."""
        self._template.insert_after(
            (*_DOCUMENT, "x-tags"), f"          - {{name: {segment}, description: {_quote(description)}}}"
        )

    def has_scope(self, scope: str) -> bool:
        """Return whether the document describes a scope."""
        return self._template.has(*_DOCUMENT, "x-scopes", scope)

    def add_scope(self, scope: str, description: str) -> None:
        """Describe a scope in both spellings, and have the user pool issue it."""
        action, noun = scope.split(":")
        other = f"{noun}/{action}"
        lines = f"          {scope}: {description}\n          {other}: The same, as Cognito spells it"
        self._template.insert_after((*_DOCUMENT, "x-scopes"), lines)
        entry = f"{{ScopeName: {action}, ScopeDescription: {_quote(description)}}}"
        server = self._find_server(noun)
        if server is None:
            self._add_server(noun, entry)
        else:
            self._add_to_server(server, entry)
        scopes = self._identity.read("Parameters", "Scopes", "Default").rstrip("\n")
        self._identity.replace(("Parameters", "Scopes", "Default"), f"{scopes},{other}")

    def remove_unused(self) -> list[str]:
        """Remove the groups and scopes that no route has; return these scopes in the first spelling."""
        segments = {route.segment for route in self.routes}
        used = {scope for route in self.routes for scope in route.scopes}
        tags = re.findall(r"\{name: ([\w-]+),", self._template.read(*_DOCUMENT, "x-tags"))
        lines = self._template.read(*_DOCUMENT, "x-tags").splitlines()
        kept = [line for line in lines if not any(f"{{name: {tag}," in line for tag in set(tags) - segments)]
        self._template.replace((*_DOCUMENT, "x-tags"), "\n".join(kept))
        unused = [scope for scope in self._template.list_keys(*_DOCUMENT, "x-scopes") if scope not in used]
        for scope in unused:
            self._template.remove(*_DOCUMENT, "x-scopes", scope)
        if self._changes.exists(IDENTITY):
            for scope in unused:
                self._remove_from_pool(scope)
        return [scope for scope in unused if ":" in scope]

    def _remove_from_pool(self, scope: str) -> None:
        noun, slash, _ = scope.partition("/")
        server = self._find_server(noun) if slash else None
        if server is None:
            return
        self._identity.remove("Resources", server)
        for client in ("UserClient", "MachineClient"):
            path = ("Resources", client, "DependsOn")
            self._identity.replace(path, self._identity.read(*path).rstrip("\n").replace(f", {server}", ""))
        path = ("Parameters", "Scopes", "Default")
        line = self._identity.read(*path).rstrip("\n")
        self._identity.replace(path, re.sub(rf",?\b{noun}/\w+", "", line))

    def add_schema(self, name: str) -> None:
        """Include a model in the document."""
        path = (*_DOCUMENT, "components", "schemas")
        include = f"Fn::Transform: {{Name: AWS::Include, Parameters: {{Location: models/{name}.json}}}}"
        self._template.insert_after(path, f"            {name}: {{{include}}}")

    def add_path(self, path: str, item: str, operation: str) -> None:
        """Add an operation to the document; `item` is added with it if the path is new.

        Args:
            path: the path.
            item: the lines of the path's own parameters.
            operation: the operation's lines, below its method.
        """
        paths = (*_DOCUMENT, "paths")
        if self._template.has(*paths, path):
            below = self._template.read(*paths, path)
            shared = re.findall(r"^            parameters: (.+)$", below, re.MULTILINE)
            if not shared:
                operation = _add_parameters(operation, item)
            self._template.insert_after((*paths, path), operation)
            return
        beside = [
            name for name in self._template.list_keys(*paths) if name.removeprefix(PREFIX).split("/")[0] == _first(path)
        ]
        after = (*paths, beside[-1]) if beside else paths
        self._template.insert_after(after, f"          {path}:\n{item}{operation}")

    def add_paths(self, lines: str) -> None:
        """Add whole paths to the document, after all others."""
        self._template.insert_after((*_DOCUMENT, "paths"), lines)

    def add_function(self, name: str, segment: str, block: str) -> None:
        """Add a function's block, after the routes that begin with the same segment."""
        routes = [route for route in self.routes if route.segment == segment] or self.routes
        self._template.insert_after(("Resources", routes[-1].function), f"  {to_pascal(name)}:\n{block}")

    def allow_method(self, method: str) -> None:
        """Let the pages of the allowed origin use a method."""
        path = ("Resources", "Api", "Properties", "CorsConfiguration", "AllowMethods")
        line = self._template.read(*path).rstrip("\n")
        if not re.search(rf"\b{method}\b", line):
            self._template.replace(path, line.replace("]", f", {method}]"))

    def _find_server(self, noun: str) -> str | None:
        for name in self._identity.list_keys("Resources"):
            block = self._identity.read("Resources", name)
            if "AWS::Cognito::UserPoolResourceServer" in block and f"      Identifier: {noun}\n" in block:
                return name
        return None

    def _add_server(self, noun: str, entry: str) -> None:
        name = f"{to_pascal(noun.replace('-', '_'))}Server"
        servers = [
            key
            for key in self._identity.list_keys("Resources")
            if "AWS::Cognito::UserPoolResourceServer" in self._identity.read("Resources", key)
        ]
        title = noun.replace("-", " ").capitalize()
        self._identity.insert_after(
            ("Resources", servers[-1]),
            f"  {name}:\n    Type: AWS::Cognito::UserPoolResourceServer\n    Properties:\n"
            f"      UserPoolId: !Ref UserPool\n      Identifier: {noun}\n"
            f"      Name: {title} API\n      Scopes:\n        - {entry}",
        )
        for client in ("UserClient", "MachineClient"):
            path = ("Resources", client, "DependsOn")
            line = self._identity.read(*path).rstrip("\n")
            self._identity.replace(path, line.replace("]", f", {name}]"))

    def _add_to_server(self, server: str, entry: str) -> None:
        path = ("Resources", server, "Properties", "Scopes")
        lines = self._identity.read(*path)
        if inline := re.fullmatch(r"      Scopes: \[(.+)\]\n", lines):
            self._identity.replace(path, f"      Scopes:\n        - {inline[1]}")
        self._identity.insert_after(path, f"        - {entry}")


def make_event(method: str, path: str, scopes: Sequence[str], body: Any = None, **more: Any) -> str:
    """Return an event fixture: what the gateway sends a route's function.

    Args:
        method: the route's method.
        path: the route's path; its parameters get an ID.
        scopes: the scopes of the token.
        body: the JSON of the request's body, or None.
        more: members of the event besides those that each event has.
    """
    key, text = f"{method} {path}", None if body is None else json.dumps(body)
    raw_path = re.sub(r"\{\w+\}", EXAMPLE_ID, path)
    media_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    host = "example.execute-api.us-east-1.amazonaws.com"
    headers = {
        "accept": "application/json",
        "content-length": str(len(text or "")),
        **({} if text is None else {"content-type": media_type}),
        "host": host,
        **more.pop("headers", {}),
        "user-agent": "curl/8.5.0",
        "x-forwarded-for": "203.0.113.10",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    claims = {
        "sub": "demo",
        "iss": "https://issuer.example.com/",
        "aud": "api",
        "client_id": "web",
        "exp": "1798761600",
        "iat": "1798758000",
        "scope": " ".join(scopes),
    }
    parameters = dict.fromkeys(re.findall(r"\{(\w+)\}", path), EXAMPLE_ID)
    event: Mapping[str, Any] = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": raw_path,
        "rawQueryString": "",
        "headers": headers,
        **more,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "authorizer": {"jwt": {"claims": claims, "scopes": list(scopes)}},
            "domainName": host,
            "domainPrefix": "example",
            "http": {
                "method": method,
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.10",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": key,
            "stage": "$default",
            "time": "01/Jan/2027:00:00:00 +0000",
            "timeEpoch": 1798761600000,
        },
        **({"pathParameters": parameters} if parameters else {}),
        **({} if text is None else {"body": text}),
        "isBase64Encoded": False,
    }
    return json.dumps(event, indent=2) + "\n"


def correct_length(event: str) -> str:
    """Return an event fixture whose `content-length` is that of its body."""
    body = json.loads(event).get("body")
    length = len(body.encode()) if body else 0
    return re.sub(r'"content-length": "\d+"', f'"content-length": "{length}"', event)


def make_function(name: str, route: str, scope: str, description: str, actions: Sequence[str] = ()) -> str:
    """Return the lines of a function's block below its name.

    Args:
        name: the function's name in snake case.
        route: method and path.
        scope: the scope, as an external issuer spells it.
        description: what the function does.
        actions: the actions on the table.
    """
    method, path = route.split(" ")
    action, noun = scope.split(":")
    listed = actions[0] if len(actions) == 1 else f"[{', '.join(actions)}]"
    policies = f"[{{Statement: [{{Effect: Allow, Action: {listed}, Resource: !GetAtt Table.Arn}}]}}]"
    return (
        "    Type: AWS::Serverless::Function\n"
        "    Properties:\n"
        f"      Description: {_quote(description)}\n"
        f"      CodeUri: functions/{name}\n"
        "      VersionDescription: !Ref SharedLayer\n"
        + (f"      Policies: {policies}\n" if actions else "")
        + "      Events:\n"
        "        Request:\n"
        "          Type: HttpApi\n"
        f"          Properties: {{ApiId: !Ref Api, Method: {method}, Path: {_quote(path)},"
        f' Auth: {{AuthorizationScopes: ["{scope}", {noun}/{action}]}}}}\n'
    )


def dump_model(model: Mapping[str, Any]) -> str:
    """Return the text of a model: each property on its line."""
    lines = []
    for name, value in model.items():
        if name == "properties":
            parts = ",\n".join(f"    {json.dumps(key)}: {json.dumps(part)}" for key, part in value.items())
            lines.append(f'  "properties": {{\n{parts}\n  }}')
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _add_parameters(operation: str, item: str) -> str:
    """Return an operation with the parameters of its path among its own."""
    (shared,) = re.findall(r"parameters: \[(.+)\]", item)
    if re.search(r"^              parameters: \[", operation, re.MULTILINE):
        return operation.replace("              parameters: [", f"              parameters: [{shared}, ", 1)
    return operation.replace(
        "              responses:", f"              parameters: [{shared}]\n              responses:", 1
    )


def _generalize(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _first(path: str) -> str:
    return path.removeprefix(PREFIX).partition("/")[0]


def _quote(text: str) -> str:
    """Return a text as a YAML scalar that also fits into a flow mapping."""
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,{}\[\]&*#?|<>=!%@`"]|: ', text) else text
