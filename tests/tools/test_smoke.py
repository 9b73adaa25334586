"""The smoke test, run as `make smoke` runs it, against the local engine."""

import pytest

from local_engine.issuer import CLIENT_ID
from local_engine.testing import EngineProcess, free_port
from tests.support.programs import prepare_engine, run_tool
from tests.support.stack import Route, list_routes

ROUTES = list_routes()


def read_resources(engine: EngineProcess) -> list[str]:
    """The resources of the client that the smoke test uses."""
    token = engine.mint_token("read:resources", subject=CLIENT_ID)
    with engine.client() as client:
        page = client.get("/api/v1/resources", headers={"Authorization": f"Bearer {token}"})
    return [resource["id"] for resource in page.raise_for_status().json()["resources"]]


def find_status(route: Route) -> int:
    """The status that the smoke test expects: it creates nothing that no route could delete (docs/add-a-noun.md)."""
    creator = route if route.method == "POST" else route.creator
    is_deletable = any(other.method == "DELETE" and other.creator == creator for other in ROUTES)
    if creator is None or creator.body is None or is_deletable:
        return route.success
    return 400 if route is creator else 404


def test_every_route_is_tried_with_and_without_a_token(engine):
    before = read_resources(engine)
    done = run_tool("smoke", "--url", engine.url)
    assert (done.returncode, done.stderr) == (0, "")
    without, _, with_token = done.stdout.partition("With a token:")
    for route in ROUTES:
        (refused,) = [line for line in without.splitlines() if f"  {route.key} " in line]
        (answered,) = [line for line in with_token.splitlines() if f"  {route.key} " in line]
        assert refused.split()[2] == "401"
        assert answered.split()[2] == str(find_status(route))
        assert answered.endswith(" ms")
    assert read_resources(engine) == before


def test_a_broken_route_fails_the_test_and_what_was_created_goes(copied_stack):
    handler = copied_stack.parent / "functions/get_resource/app.py"
    handler.write_text(handler.read_text().replace("Response(200", "Response(202"))
    with prepare_engine(copied_stack) as engine:
        done = run_tool("smoke", "--url", engine.url)
        assert done.returncode == 1
        assert "GET /api/v1/resources/{id}: GET /api/v1/resources/" in done.stderr
        assert "answered 202 instead of 200" in done.stderr
        assert done.stderr.endswith("Failed.\n")
        assert read_resources(engine) == []


def test_a_route_that_is_open_fails_the_test(copied_stack):
    template = copied_stack.read_text()
    old = 'Auth: {AuthorizationScopes: ["read:resources", resources/read]}'
    assert old in template
    copied_stack.write_text(template.replace(old, "Auth: {Authorizer: NONE}"))
    # A function refuses by itself what no authorizer has let through, so this one has to be another.
    open_handler = "def handler(event, context):\n    return {'statusCode': 200}\n"
    copied_stack.parent.joinpath("functions/list_resources/app.py").write_text(open_handler)
    with prepare_engine(copied_stack) as engine:
        done = run_tool("smoke", "--url", engine.url)
    assert done.returncode == 1
    assert "GET /api/v1/resources: Answered 200 instead of 401 to a request without a token." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--url", f"http://127.0.0.1:{free_port()}"], "start the API with `make run PORT="),
        (["--url", "127.0.0.1:3000"], "is not a URL such as http://127.0.0.1:3000;"),
        (["--url", "http://127.0.0.1:99999"], "PORT= to a number from 1 to 65535"),
        (["--url", "https://api.example.com"], "set STAGE= or STACK= instead"),
        (["--stage", "qa"], "STAGE=qa is not one of the profiles in samconfig.toml: dev, staging, prod."),
        (["--stack", "any"], "No AWS region is set"),
        ([], "one of the arguments --url --stage --stack is required"),
    ],
    ids=["nobody there", "no URL", "no port", "not local", "no such stage", "no region", "nothing said"],
)
def test_what_cannot_begin_is_refused_with_a_sentence(arguments, sentence):
    done = run_tool("smoke", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
