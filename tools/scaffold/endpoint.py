"""`make endpoint`: writes a new endpoint's function, template block, operation, event and test."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.command_parser import CommandParser
from tools.profiles import ROOT
from tools.scaffold.api import EXAMPLE_ID, PREFIX, Api, Package, dump_model, make_event, make_function
from tools.scaffold.changes import Changes, ScaffoldError, report_changes
from tools.scaffold.names import add_article, check_name, to_camel, to_pascal

# Without PATCH, which changes what a PUT replaces: `make noun` writes both.
METHODS = ("GET", "POST", "PUT", "DELETE")
_PATH = re.compile(r"/api/v1(/[a-z][a-z0-9-]*|/\{[a-z]\w*\})+")
_WITH_BODY = ("POST", "PUT")
_CORRELATION = 'X-Correlation-Id: {$ref: "#/components/headers/CorrelationId"}'
_ETAG = 'ETag: {$ref: "#/components/headers/ETag"}'
_MEDIA_TYPE = '"415": {$ref: "#/components/responses/UnsupportedMediaType"}'
_NOTE = {"type": "string", "minLength": 1, "maxLength": 200, "example": "First note"}


class _Endpoint(NamedTuple):
    name: str
    method: str
    path: str
    package: Package | None
    scope: str

    @property
    def segment(self) -> str:
        return self.path.removeprefix(PREFIX).partition("/")[0]

    @property
    def summary(self) -> str:
        return _describe(self.name, self.package).capitalize()

    @property
    def model(self) -> str:
        """The request model; empty for a method without a body."""
        return f"{to_pascal(self.name)}Input" if self.method in _WITH_BODY else ""


class _Sketch(NamedTuple):
    """What the function does until somebody has decided.

    Attributes:
        code: the lines of the handler.
        actions: those on the table.
        answer: the schema and the example of the answer, in YAML; empty for one without a body.
        statuses: responses of the operation besides those of every operation, as YAML.
        test: the lines of the test.
    """

    code: str
    actions: Sequence[str]
    answer: str
    statuses: Sequence[str]
    test: str


def add_endpoint(project: Path, name: str, method: str, path: str) -> list[str]:
    """Write an endpoint; return what was changed and what is left to decide.

    Args:
        project: the folder of the project.
        name: the function's name in snake case.
        method: the route's method.
        path: the route's path, such as `/api/v1/invoices/{id}/archive`.

    Raises:
        ScaffoldError: the name or the route cannot be used.
    """
    check_name(name, "NAME", "archive_invoice")
    method = method.upper()
    _check_route(method, path)
    changes = Changes(project)
    api = Api(changes)
    api.check_function(name)
    api.check_route(method, path)
    segment = path.removeprefix(PREFIX).partition("/")[0]
    endpoint = _Endpoint(name, method, path, api.find_package(segment), api.find_scope(method, segment))
    if "{id}" in path and not (endpoint.package and path.startswith(f"{PREFIX}{segment}/{{id}}")):
        raise ScaffoldError(
            f"No noun of layers/shared has the path {PREFIX}{segment}/{{id}}: add it with `make noun`, or leave out"
            " {id}."
        )
    sketch = _draw(endpoint)
    _add_to_templates(changes, api, endpoint, sketch)
    changes.create(f"functions/{name}/app.py", _write_function(endpoint, sketch))
    body = {"note": _NOTE["example"]} if endpoint.model else None
    changes.create(f"events/{name}.json", make_event(method, path, [endpoint.scope], body))
    changes.create(f"tests/api/test_{name}.py", _write_test(endpoint, sketch))
    return [*changes.write(), "", *_list_decisions(endpoint)]


def _add_to_templates(changes: Changes, api: Api, endpoint: _Endpoint, sketch: _Sketch) -> None:
    scope, segment, summary = endpoint.scope, endpoint.segment, endpoint.summary
    if not api.has_tag(segment):
        api.add_tag(segment, segment.replace("-", " ").capitalize())
    if not api.has_scope(scope):
        verb = "Read" if scope.startswith("read:") else "Change"
        api.add_scope(scope, f"{verb} {scope.partition(':')[2].replace('-', ' ')}")
    if endpoint.model:
        schema = {
            "type": "object",
            "description": f"What a caller sends to {summary[0].lower()}{summary[1:]}.",
            "required": ["note"],
            "additionalProperties": False,
            "properties": {"note": _NOTE},
        }
        changes.create(f"models/{endpoint.model}.json", dump_model(schema))
        api.add_schema(endpoint.model)
    api.allow_method(endpoint.method)
    item, operation = _write_operation(endpoint, sketch)
    api.add_path(endpoint.path, item, operation)
    route = f"{endpoint.method} {endpoint.path}"
    block = make_function(endpoint.name, route, scope, _to_third_person(summary), sketch.actions)
    api.add_function(endpoint.name, segment, block)
    api.save()


def _check_route(method: str, path: str) -> None:
    if method not in METHODS:
        said = f"METHOD={method} is not one of" if method else "Set METHOD= to one of"
        raise ScaffoldError(f"{said} {', '.join(METHODS)}.")
    if not path:
        raise ScaffoldError("Set PATH= to a route such as /api/v1/invoices/{id}/archive.")
    if not _PATH.fullmatch(path):
        raise ScaffoldError(
            f"PATH={path} is not a route such as /api/v1/invoices/{{id}}/archive: it begins with /api/v1/ and has"
            " segments of lower-case letters, digits and hyphens."
        )
    parameters = re.findall(r"\{(\w+)\}", path)
    if parameters not in ([], ["id"]):
        raise ScaffoldError(f"PATH={path} may have one parameter, {{id}}: an ID of the noun in front of it.")
    if path.startswith(f"{PREFIX}{{"):
        raise ScaffoldError(f"PATH={path} must name a noun in front of {{id}}.")
    if method == "DELETE" and not parameters:
        raise ScaffoldError("METHOD=DELETE needs a route that names an item, such as /api/v1/invoices/{id}/archive.")


def _draw(endpoint: _Endpoint) -> _Sketch:
    """Return what works before anybody has decided: it reads what the route names, and answers with it."""
    package = endpoint.package
    if package and "{id}" in endpoint.path:
        return _draw_item(endpoint, package)
    if endpoint.model:
        return _Sketch(
            f'    fields = request.read_body("{endpoint.model}")\n    return Response(200, fields)\n',
            (),
            f'schema: {{$ref: "#/components/schemas/{endpoint.model}"}}, example: {{note: {_NOTE["example"]}}}',
            (_MEDIA_TYPE,),
            f'    answer = user.send("{endpoint.method}", PATH, body={{"note": "First note"}})\n'
            '    assert (answer.status, answer.json()) == (200, {"note": "First note"})\n',
        )
    if package:
        return _Sketch(
            f"    page = {package.collection}.list(request.caller, limit=100)\n"
            '    return Response(200, {"count": len(page.items)})\n',
            ("dynamodb:Query",),
            "schema: {type: object, properties: {count: {type: integer, minimum: 0}}, required: [count],"
            " additionalProperties: false}, example: {count: 2}",
            (),
            '    answer = user.send("GET", PATH)\n    assert (answer.status, answer.json()) == (200, {"count": 0})\n',
        )
    return _Sketch(
        '    return Response(200, {"requestId": request.request_id})\n',
        (),
        "schema: {type: object, properties: {requestId: {type: string}}, required: [requestId],"
        " additionalProperties: false}, example: {requestId: JKJaXmPLvHcESHA=}",
        (),
        '    answer = user.send("GET", PATH)\n    assert answer.status == 200\n    assert answer.json()["requestId"]\n',
    )


def _draw_item(endpoint: _Endpoint, package: Package) -> _Sketch:
    item = package.noun.replace(" ", "_")
    arguments = 'request.caller, request.read_path_parameter("id"), request.read_preconditions()'
    found = f"{package.collection}.get({arguments})"
    creator = endpoint.path.partition("/{id}")[0]
    send = f'user.send("{endpoint.method}", path'
    code = ""
    statuses = [
        '"404": {$ref: "#/components/responses/NotFound"}',
        '"412": {$ref: "#/components/responses/PreconditionFailed"}',
    ]
    if endpoint.model:
        code = f'    request.read_body("{endpoint.model}")\n'
        statuses.append(_MEDIA_TYPE)
        send += ', body={"note": "First note"}'
    test = (
        f'    created = user.send("POST", "{creator}", body=find_route("POST {creator}").body)\n'
        '    path = PATH.format(id=created.json()["id"])\n'
    )
    if endpoint.method == "DELETE":
        code += f"    {found}\n    return Response(204)\n"
        return _Sketch(code, ("dynamodb:GetItem",), "", statuses, f"{test}    assert {send}).status == 204\n")
    code += f'    {item} = {found}\n    return Response(200, {item}.to_document(), {{"ETag": {item}.etag}})\n'
    answer = f'schema: {{$ref: "#/components/schemas/{package.model}"}}'
    test += f"    answer = {send})\n    assert (answer.status, answer.json()) == (200, created.json())\n"
    return _Sketch(code, ("dynamodb:GetItem",), answer, statuses, test)


def _write_operation(endpoint: _Endpoint, sketch: _Sketch) -> tuple[str, str]:
    """Return the lines of the path's parameters and of the operation."""
    names = [*(["Id"] if "{id}" in endpoint.path else []), "CorrelationId"]
    references = ", ".join(f'{{$ref: "#/components/parameters/{reference}"}}' for reference in names)
    item = f"            parameters: [{references}]\n"
    lines = [
        f"operationId: {to_camel(endpoint.name)}",
        f"summary: {endpoint.summary}",
        f"tags: [{endpoint.segment}]",
    ]
    if ".read_preconditions()" in sketch.code:
        lines.append('parameters: [{$ref: "#/components/parameters/IfMatch"}]')
    if endpoint.model:
        schema = f'{{$ref: "#/components/schemas/{endpoint.model}"}}'
        lines.append(f"requestBody: {{required: true, content: {{application/json: {{schema: {schema}}}}}}}")
    lines.append("responses:")
    if not sketch.answer:
        lines.append('  "204": {$ref: "#/components/responses/Deleted"}')
    else:
        headers, description = _CORRELATION, "The result"
        if ".etag" in sketch.code and endpoint.package:
            headers, description = f"{_CORRELATION}, {_ETAG}", f"The {endpoint.package.noun}"
        lines += [
            '  "200":',
            f"    {{description: {description}, headers: {{{headers}}},",
            f"    content: {{application/json: {{{sketch.answer}}}}}}}",
        ]
    lines += [f"  {status}" for status in sketch.statuses]
    operation = "\n".join(f"              {line}" for line in lines)
    return item, f"            {endpoint.method.lower()}:\n{operation}\n"


def _write_function(endpoint: _Endpoint, sketch: _Sketch) -> str:
    package, imports = endpoint.package, ["from serverless_api import Request, Response, endpoint"]
    if package and f"{package.collection}." in sketch.code:
        imports.append(f"from {package.collection} import {package.collection}")
    return (
        f'"""{endpoint.method} {endpoint.path}: {_to_third_person(endpoint.summary.lower())}."""\n\n'
        + "\n".join(imports)
        + f'\n\n\n@endpoint(scope="{endpoint.scope}")\ndef handler(request: Request) -> Response:\n{sketch.code}'
    )


def _describe(name: str, package: Package | None) -> str:
    """Return what a function with a name in snake case does.

    >>> _describe("archive_invoice", Package("invoices", "invoice", "Invoice"))
    'archive an invoice'
    """
    verb, _, rest = name.replace("_", " ").partition(" ")
    return f"{verb} {add_article(rest) if package and rest == package.noun else rest}".rstrip()


def _to_third_person(words: str) -> str:
    """Return the same with the verb, the first word, in the third person.

    >>> _to_third_person("apply a discount")
    'applies a discount'
    """
    verb, _, rest = words.partition(" ")
    ending = "es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s"
    verb = f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else verb + ending
    return f"{verb} {rest}".rstrip()


def _write_test(endpoint: _Endpoint, sketch: _Sketch) -> str:
    imports = "from tests.support.stack import find_route\n\n" if "find_route" in sketch.test else ""
    unknown = missing = ""
    if "{id}" in endpoint.path:
        unknown = f'UNKNOWN = "{EXAMPLE_ID}"\n'
        body = ', body={"note": "First note"}' if endpoint.model else ""
        missing = (
            "\n\ndef test_an_unknown_id_is_not_found(user):\n"
            f'    assert user.send("{endpoint.method}", PATH.format(id=UNKNOWN){body}).status == 404\n'
        )
    return (
        f'"""{endpoint.method} {endpoint.path} over HTTP."""\n\n{imports}PATH = "{endpoint.path}"\n{unknown}\n\n'
        f"def test_it_answers(user):\n{sketch.test}{missing}"
    )


def _list_decisions(endpoint: _Endpoint) -> list[str]:
    name = endpoint.name
    decisions = [f"functions/{name}/app.py: what the endpoint does; so far it only reads."]
    if endpoint.model:
        decisions.append(
            f"models/{endpoint.model}.json: the fields of the body, with an example in events/{name}.json."
        )
    decisions += [
        f"template.yaml, operation {to_camel(name)}: its summary, its answer and its statuses.",
        f"template.yaml, function {to_pascal(name)}: `Policies`, exactly the actions that the code uses.",
        f"The scope {endpoint.scope}: whether it is the right one.",
        f"tests/api/test_{name}.py: what the endpoint must do.",
    ]
    return ["Left to decide:", *(f"- {decision}" for decision in decisions), "Then run `make check`."]


def main() -> int:
    """Write the endpoint of the command line; return 2 if it cannot be."""
    parser = CommandParser(prog="make endpoint", description=__doc__)
    parser.add_argument("--name", default="", help="name of the function in snake case")
    parser.add_argument("--method", default="", help=f"one of {', '.join(METHODS)}")
    parser.add_argument("--path", default="", help="path of the route")
    options = parser.parse_args()
    return report_changes(lambda: add_endpoint(ROOT, options.name, options.method, options.path))


if __name__ == "__main__":
    raise SystemExit(main())
