"""The routes of template.yaml, the functions behind them, and what both say of themselves."""

import ast
import json
import re

import pytest
from jsonschema import Draft202012Validator

from tests.support.permissions import translate_stack
from tests.support.stack import ROOT, find_resources, list_routes, load_template

ROUTES = pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
API = find_resources("AWS::Serverless::HttpApi")["Api"]["Properties"]
DOCUMENT = API["DefinitionBody"]
ACTION_OF_METHOD = {"GET": "read", "POST": "write", "PUT": "write", "DELETE": "write"}


def read_model(name):
    return json.loads((ROOT / "models" / f"{name}.json").read_text(encoding="utf-8"))


@ROUTES
def test_a_route_takes_both_spellings_of_the_scope_of_its_function(route):
    tree = ast.parse((route.folder / "app.py").read_text(encoding="utf-8"))
    (handler,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler"]
    (decorator,) = handler.decorator_list
    assert isinstance(decorator, ast.Call)
    (scope,) = [keyword.value.value for keyword in decorator.keywords if keyword.arg == "scope"]
    action, noun = scope.split(":")
    assert set(route.scopes) == {scope, f"{noun}/{action}"}
    assert action == ACTION_OF_METHOD[route.method]


@ROUTES
def test_a_route_has_the_apis_default_authorizer(route):
    event = load_template()["Resources"][route.function]["Properties"]["Events"]
    (properties,) = [each["Properties"] for each in event.values()]
    assert properties["ApiId"] == {"Ref": "Api"}
    # Nothing but scopes: "Authorizer: NONE" would open the route.
    assert set(properties["Auth"]) == {"AuthorizationScopes"}
    assert API["Auth"]["DefaultAuthorizer"] in API["Auth"]["Authorizers"]


def test_tokens_are_those_of_the_issuer():
    ((_, authorizer),) = API["Auth"]["Authorizers"].items()
    assert authorizer["IdentitySource"] == "$request.header.Authorization"
    condition, pool, parameter = authorizer["JwtConfiguration"]["issuer"]["Fn::If"]
    assert condition == "MakesUserPool"
    assert "cognito-idp" in pool["Fn::Sub"]
    assert parameter == {"Ref": "Issuer"}
    assert authorizer["JwtConfiguration"]["audience"]["Fn::If"][2] == [{"Ref": "Audience"}]


def test_cognito_issues_the_scopes_that_the_routes_take():
    server = find_resources("AWS::Cognito::UserPoolResourceServer")["ResourceServer"]["Properties"]
    issued = {f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]}
    assert issued == {scope for route in list_routes() for scope in route.scopes if "/" in scope}
    for client in find_resources("AWS::Cognito::UserPoolClient").values():
        assert issued <= set(client["Properties"]["AllowedOAuthScopes"])


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
def test_an_operation_describes_its_answers(route):
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["summary"]
    assert {"401", "403", "429", "500", "503"} <= set(operation["responses"])
    has_body = route.method in ("POST", "PUT")
    assert ("requestBody" in operation) == has_body
    if has_body:
        assert {"400", "413"} <= set(operation["responses"])
    if "{id}" in route.path:
        assert "404" in operation["responses"]


def test_every_reference_of_the_document_leads_somewhere():
    references = re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(DOCUMENT, default=str))
    assert references
    for kind, name in references:
        assert name in DOCUMENT["components"][kind]
    used = set(references)
    unused = {(kind, name) for kind, of in DOCUMENT["components"].items() for name in of} - used
    assert not unused - {("schemas", "Resource")}


def test_the_schemas_are_the_models():
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas) == {path.stem for path in (ROOT / "models").glob("*.json")}
    for name, schema in schemas.items():
        assert schema == {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": f"models/{name}.json"}}}


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.json")), ids=lambda path: path.stem)
def test_a_model_is_a_schema(path):
    Draft202012Validator.check_schema(read_model(path.stem))


def test_the_layers_models_are_the_models():
    layer = ROOT / "layers" / "shared" / "serverless_api" / "models"
    assert layer.resolve() == ROOT / "models"


def test_there_is_an_event_for_every_function_and_a_function_for_every_event():
    functions = {
        (ROOT / function["Properties"]["CodeUri"]).name
        for function in find_resources("AWS::Serverless::Function").values()
    }
    assert functions == {path.name for path in (ROOT / "functions").iterdir() if path.joinpath("app.py").exists()}
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
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert ("body" in event) == ("requestBody" in operation)
    if "body" in event:
        Draft202012Validator(read_model("ResourceInput")).validate(json.loads(event["body"]))
        assert int(event["headers"]["content-length"]) == len(event["body"].encode())


def test_pages_of_the_allowed_origin_can_use_the_whole_contract():
    cors = API["CorsConfiguration"]
    assert cors["AllowOrigins"] == [{"Ref": "AllowedOrigin"}]
    assert load_template()["Parameters"]["AllowedOrigin"]["Default"] == "https://app.example.com"
    assert set(cors["AllowMethods"]) == {route.method for route in list_routes()}
    assert set(cors["AllowHeaders"]) == {
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Correlation-Id"
    }  # fmt: skip
    assert set(cors["ExposeHeaders"]) == {"ETag", "Location", "Retry-After", "X-Correlation-Id"}
    assert cors["MaxAge"] == 3600
    assert "AllowCredentials" not in cors


def test_requests_are_throttled():
    settings = API["DefaultRouteSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (1000, 2000)
    assert "RouteSettings" not in API


@pytest.mark.parametrize(("named", "caller"), [("hashed", "-"), ("plain", "$context.authorizer.claims.sub")])
def test_access_logs_are_lines_of_json(named, caller):
    stage = translate_stack(CallerInLogs=named).resources["ApiApiGatewayDefaultStage"]
    text = stage.properties["AccessLogSettings"]["Format"]
    assert "\n" not in text.strip()
    line = json.loads(text)
    # A value of the gateway is text without quotes, or "-".
    assert json.loads(re.sub(r"\$context\.[A-Za-z.]+", "-", text)).keys() == line.keys()
    assert {"requestId", "status", "route", "integrationError", "authorizerError"} <= set(line)
    # The gateway cannot hash.
    assert line["caller"] == caller
    assert "uthorization" not in text
    assert API["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
