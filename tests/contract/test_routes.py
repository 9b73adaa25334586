"""Each route: its scopes, its operation in the API's document, its event fixture, and how the gateway treats it."""

import ast
import json
import re

import pytest
from jsonschema import Draft202012Validator

from tests.support.cases import each
from tests.support.stack import (
    ROOT,
    find_resources,
    find_route,
    list_routes,
    list_templates,
    load_document,
    load_template,
)

ROUTES = pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
API = find_resources("AWS::Serverless::HttpApi")["Api"]["Properties"]
DOCUMENT = load_document()
MODELS = sorted((ROOT / "models").glob("*.json"))
# What a method does to the noun, in the words of the scopes. Who may erase may also read the receipt.
ACTIONS = {"GET": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "write"}
ERASE = "erase:self"
METHODS_WITH_BODY = {"POST", "PUT", "PATCH"}


def find_operation(route):
    return DOCUMENT["paths"][route.path][route.method.lower()]


def find_references(value, kind):
    return set(re.findall(rf'"\$ref": "#/components/{kind}/(\w+)"', json.dumps(value)))


def test_sam_local_tells_the_apis_of_the_stacks_apart():
    kinds = ("AWS::Serverless::HttpApi", "AWS::Serverless::Api")
    names = [name for template in list_templates() for kind in kinds for name in find_resources(kind, template)]
    # It merges APIs with the same logical ID: one API's authorizer would then judge the other's requests.
    assert len(names) == len(set(names))
    assert len(names) >= 2


@ROUTES
def test_a_route_accepts_both_spellings_of_its_functions_scope(route):
    tree = ast.parse((route.folder / "app.py").read_text(encoding="utf-8"))
    (handler,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler"]
    (decorator,) = handler.decorator_list
    assert isinstance(decorator, ast.Call)
    (scope,) = [ast.literal_eval(keyword.value) for keyword in decorator.keywords if keyword.arg == "scope"]
    action, noun = scope.split(":")
    assert set(route.scopes) == {scope, f"{noun}/{action}"}
    assert scope == ERASE or action == ACTIONS[route.method]


@ROUTES
def test_a_route_has_the_apis_default_authorizer(route):
    events = load_template()["Resources"][route.function]["Properties"]["Events"]
    (properties,) = [event["Properties"] for event in events.values() if event["Type"] == "HttpApi"]
    assert properties["ApiId"] == {"Ref": "Api"}
    # Nothing but scopes: "Authorizer: NONE" would open the route.
    assert set(properties["Auth"]) == {"AuthorizationScopes"}
    assert API["Auth"]["DefaultAuthorizer"] in API["Auth"]["Authorizers"]


def test_tokens_are_verified_against_the_issuer_of_the_stack():
    ((_, authorizer),) = API["Auth"]["Authorizers"].items()
    assert authorizer["IdentitySource"] == "$request.header.Authorization"
    condition, pool, parameter = authorizer["JwtConfiguration"]["issuer"]["Fn::If"]
    assert (condition, pool) == ("MakesUserPool", {"Fn::GetAtt": ["Identity", "Outputs.Issuer"]})
    assert parameter == {"Ref": "Issuer"}
    assert authorizer["JwtConfiguration"]["audience"]["Fn::If"][2] == [{"Ref": "Audience"}]


def test_cognito_issues_the_scopes_that_the_routes_accept():
    issued = {
        f"{server['Properties']['Identifier']}/{scope['ScopeName']}"
        for server in find_resources("AWS::Cognito::UserPoolResourceServer", "stacks/identity.yaml").values()
        for scope in server["Properties"]["Scopes"]
    }
    assert issued == {scope for route in list_routes() for scope in route.scopes if "/" in scope}


def test_operations_and_functions_are_the_same():
    operations = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert set(operations) == {route.key for route in list_routes()}
    assert len(set(operations.values())) == len(operations)
    for route in list_routes():
        assert operations[route.key].lower() == route.function.lower() == route.folder.name.replace("_", "")


@ROUTES
def test_an_operation_describes_its_responses(route):
    operation = find_operation(route)
    assert operation["summary"]
    assert any(status.startswith("2") for status in operation["responses"])
    # "default" would hide a status that is missing.
    assert "default" not in operation["responses"]
    assert ("requestBody" in operation) == (route.method in METHODS_WITH_BODY)


@ROUTES
def test_an_operation_is_in_a_group_that_is_described(route):
    (tag,) = find_operation(route)["tags"]
    (description,) = [entry["description"] for entry in DOCUMENT["x-tags"] if entry["name"] == tag]
    assert description


def test_every_scope_is_described():
    assert DOCUMENT["x-scopes"].keys() == {scope for route in list_routes() for scope in route.scopes}
    assert all(DOCUMENT["x-scopes"].values())


def test_the_document_names_a_contact_and_the_licence_of_the_project():
    assert DOCUMENT["info"]["contact"].keys() == {"name", "url"}
    # Without a licence, nobody but the owner has any right.
    is_licensed = any(ROOT.glob("LICENSE*"))
    assert (DOCUMENT["info"]["license"]["name"] == "All rights reserved") == (not is_licensed)


@ROUTES
def test_an_operation_describes_the_parameters_of_its_path(route):
    item = DOCUMENT["paths"][route.path]
    names = find_references([item.get("parameters", []), find_operation(route).get("parameters", [])], "parameters")
    declared = [DOCUMENT["components"]["parameters"][name] for name in names]
    in_path = {parameter["name"] for parameter in declared if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))
    assert "X-Correlation-Id" in {parameter["name"] for parameter in declared}


def test_every_reference_of_the_document_leads_somewhere_and_every_component_is_used():
    components = DOCUMENT["components"]
    for kind, entries in components.items():
        used = find_references(DOCUMENT, kind)
        used |= {name for name, entry in entries.items() if kind == "responses" and "x-every-operation" in entry}
        assert used
        assert used <= entries.keys()
        assert entries.keys() <= used, f"nothing refers to these {kind}"


def test_the_schemas_are_the_models():
    # A $ref in a model's own file is a fragment of the API's document, so each model is a schema there under its name.
    schemas = API["DefinitionBody"]["components"]["schemas"]
    assert set(schemas) == {path.stem for path in MODELS}
    for name, schema in schemas.items():
        assert schema == {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": f"models/{name}.json"}}}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_is_a_schema(path):
    Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_there_is_an_event_for_every_function_and_a_function_for_every_event():
    functions = {
        function["Properties"]["CodeUri"].rpartition("/")[2]
        for template in list_templates()
        for function in find_resources("AWS::Serverless::Function", template).values()
    }
    assert functions == {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert functions == {path.stem for path in (ROOT / "events").glob("*.json")}


@ROUTES
def test_an_event_is_one_of_its_route(route):
    event = route.load_event()
    http = event["requestContext"]["http"]
    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == route.key
    assert http["method"] == route.method
    assert http["path"] == event["rawPath"] == route.path.format(**event.get("pathParameters", {}))
    assert set(route.scopes) & set(event["requestContext"]["authorizer"]["jwt"]["claims"]["scope"].split())
    operation = find_operation(route)
    assert ("body" in event) == ("requestBody" in operation)
    if "body" in event:
        assert int(event["headers"]["content-length"]) == len(event["body"].encode()), "content-length of the fixture"
    if route.model:
        assert event["headers"]["content-type"] == route.media_type
        (model,) = find_references(operation["requestBody"], "schemas")
        schema = json.loads((ROOT / "models" / f"{model}.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(json.loads(event["body"]))


@each(lambda route: route.method == "PATCH")
def test_a_patch_names_every_field_and_removes_those_that_may_be_missing(route):
    put = find_route(f"PUT {route.path}")
    assert put
    whole, patch = put.model, route.model
    assert "required" not in patch
    optional = whole["properties"].keys() - set(whole["required"])
    assert {name for name, schema in patch["properties"].items() if schema.get("nullable")} == optional
    descriptive = {"nullable", "description", "example"}

    # Of choices, null is one more (OpenAPI 3.0).
    def list_rules(model):
        return {
            name: {keyword: value for keyword, value in schema.items() if keyword not in {*descriptive, "enum"}}
            | {"enum": [choice for choice in schema.get("enum", ()) if choice is not None]}
            for name, schema in model["properties"].items()
        }

    assert list_rules(patch) == list_rules(whole)


def test_pages_of_the_allowed_origin_can_use_the_whole_contract():
    cors = API["CorsConfiguration"]
    assert cors["AllowOrigins"] == [{"Ref": "AllowedOrigin"}]
    assert set(cors["AllowMethods"]) == {route.method for route in list_routes()}
    parameters = DOCUMENT["components"]["parameters"].values()
    in_header = {parameter["name"] for parameter in parameters if parameter["in"] == "header"}
    assert set(cors["AllowHeaders"]) == {"Authorization", "Content-Type"} | in_header
    in_answers = set(re.findall(r'"([\w-]+)": {"\$ref": "#/components/headers/', json.dumps(DOCUMENT)))
    assert set(cors["ExposeHeaders"]) == in_answers | {"X-Correlation-Id"}
    assert "AllowCredentials" not in cors


def test_requests_are_throttled():
    settings = API["DefaultRouteSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (1000, 2000)
    assert "RouteSettings" not in API
