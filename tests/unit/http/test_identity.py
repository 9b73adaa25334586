import pytest

from tests.support.gateway import import_functions
from tests.support.resources_api import ResourcesApi
from tests.support.stack import list_routes

ROUTES = pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
RESOURCE = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"


def make_event(api, route, **options):
    body = {"name": "x", "type": "A"} if route.method in ("POST", "PUT") else None
    return api.make_event(route.method, route.path.replace("{id}", RESOURCE), body=body, **options)


def assert_unauthorized(answer):
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"error", "requestId"}


@ROUTES
@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"jwt": None},
        {"jwt": {}},
        {"jwt": {"claims": None, "scopes": None}},
        {"jwt": {"claims": {}, "scopes": ["read:resources", "write:resources"]}},
        {"jwt": {"claims": {"sub": ""}, "scopes": None}},
        {"jwt": {"claims": {"sub": "x" * 256}, "scopes": None}},
        {"jwt": {"claims": {"sub": 7}, "scopes": None}},
        {"iam": {"userArn": "arn:aws:iam::123456789012:user/alice"}},
        {"lambda": {"sub": "alice", "scope": "read:resources write:resources"}},
    ],
)
def test_without_verified_claims_nobody_calls(api, route, authorizer):
    event = make_event(api, route, headers={"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."})
    if authorizer is None:
        del event["requestContext"]["authorizer"]
    else:
        event["requestContext"]["authorizer"] = authorizer
    assert_unauthorized(api.invoke(event))


@pytest.mark.parametrize("subject", ["a", "x" * 255, "😀" * 255, "auth0|5f1c", "name@example.com"])
def test_any_subject_of_up_to_255_characters_is_a_caller(api, subject):
    assert api.create(subject=subject).status == 201
    assert api.page(subject=subject).json()["count"] == 1


@ROUTES
def test_either_spelling_of_the_scope_is_enough(api, route):
    for scope in route.scopes:
        assert api.invoke(make_event(api, route, scopes=[scope])).status not in (401, 403)
        event = make_event(api, route, claims={"sub": "alice"})
        event["requestContext"]["authorizer"]["jwt"]["scopes"] = [scope]
        assert api.invoke(event).status not in (401, 403)


@ROUTES
@pytest.mark.parametrize(
    "scope", ["", "openid", "resources", "READ:RESOURCES", "other/read", "other:write", "read:resourcesx"]
)
def test_too_few_scopes_are_forbidden(api, route, scope):
    answer = api.invoke(make_event(api, route, scopes=["openid", scope]))
    assert answer.status == 403
    assert answer.problems == {"scope": f"{route.scopes[0]} is missing"}


@ROUTES
def test_the_scope_of_the_other_action_is_not_enough(api, route):
    others = {each for other in list_routes() for each in other.scopes} - set(route.scopes)
    assert api.invoke(make_event(api, route, scopes=others)).status == 403


@ROUTES
@pytest.mark.parametrize("name", ["scp", "permissions"])
@pytest.mark.parametrize("text", ["[{}]", "[openid {} email]", "openid {}"])
def test_lists_of_scopes_count_as_the_gateway_writes_them(api, route, name, text):
    claims = {"sub": "alice", name: text.format(route.scopes[0])}
    assert api.invoke(make_event(api, route, claims=claims)).status not in (401, 403)


@pytest.mark.parametrize("name", ["scp", "permissions"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "<nil>",
        "[openid]",
        "[[read:resources]]",
        "[read:resourcesx]",
        "[xread:resources]",
        "[openid,read:resources]",
        "map[read:resources:1]",
    ],
)
def test_lists_without_the_scope_are_not_enough(api, name, text):
    assert api.page(claims={"sub": "alice", name: text}).status == 403


@pytest.mark.parametrize("name", ["scope", "scp", "permissions"])
@pytest.mark.parametrize("blank", ["\t", "\n", "\r", "\x0b", "\x1c", "\u00a0", "\u2003", "\u3000", ","])
def test_only_the_space_separates_scopes(api, name, blank):
    assert api.page(claims={"sub": "alice", name: f"openid{blank}read:resources"}).status == 403
    assert api.page(claims={"sub": "alice", name: f"openid{blank}x  read:resources "}).status == 200


@pytest.mark.parametrize("name", ["scope", "scp", "permissions"])
@pytest.mark.parametrize(
    "value", [True, 7, {"read:resources": True}, {" read:resources ": True}, None, [["read:resources"]]]
)
def test_only_text_is_a_scope(api, name, value):
    assert api.page(claims={"sub": "alice", name: value}).status == 403


def test_scope_itself_is_no_list(api):
    assert api.page(claims={"sub": "alice", "scope": "[read:resources]"}).status == 403


def test_nothing_is_written_without_the_scope(api):
    assert api.create(scopes=["read:resources"]).status == 403
    assert api.page().json()["count"] == 0


@pytest.fixture
def sam_local(issuer, dynamodb):
    """The API as `sam local` runs it, with an issuer."""
    issuer.claims["good"] = {"sub": "alice", "scope": "read:resources"}
    settings = {"AWS_SAM_LOCAL": "true", "TOKEN_INTROSPECTION_URL": issuer.url, "AWS_ENDPOINT_URL": dynamodb.url}
    with import_functions(settings) as handlers:
        yield ResourcesApi(handlers)


def without_authorizer(api, **headers):
    event = api.make_event("GET", "/api/v1/resources", headers=headers)
    del event["requestContext"]["authorizer"]
    return event


@pytest.mark.parametrize("header", ["Bearer good", "bearer good", "Bearer  good "])
def test_sam_local_asks_the_issuer(sam_local, issuer, header):
    answer = sam_local.invoke(without_authorizer(sam_local, Authorization=header))
    assert (answer.status, issuer.asked) == (200, ["good"])


@pytest.mark.parametrize("header", ["Bearer bad", "Bearer ", "Bearer", "Basic good", "good", ""])
def test_sam_local_accepts_only_active_tokens(sam_local, header):
    assert_unauthorized(sam_local.invoke(without_authorizer(sam_local, Authorization=header)))


def test_sam_local_accepts_no_request_without_a_token(sam_local, issuer):
    assert_unauthorized(sam_local.invoke(without_authorizer(sam_local)))
    assert issuer.asked == []


@pytest.mark.parametrize(("scopes", "status"), [(["openid", "read:resources"], 200), (["write:resources", 7], 403)])
def test_sam_local_understands_lists_of_scopes(sam_local, issuer, scopes, status):
    issuer.claims["listed"] = {"sub": "alice", "scp": scopes}
    assert sam_local.invoke(without_authorizer(sam_local, Authorization="Bearer listed")).status == status


@pytest.mark.parametrize("subject", [7, True, None, "", ["alice"], {"alice": 1}])
def test_sam_local_makes_no_subject_of_what_is_no_text(sam_local, issuer, subject):
    issuer.claims["odd"] = {"sub": subject, "scope": "read:resources"}
    assert_unauthorized(sam_local.invoke(without_authorizer(sam_local, Authorization="Bearer odd")))


def test_sam_local_demands_scopes(sam_local):
    event = sam_local.make_event(
        "POST", "/api/v1/resources", headers={"Authorization": "Bearer good"}, body={"name": "x", "type": "A"}
    )
    del event["requestContext"]["authorizer"]
    assert sam_local.invoke(event).status == 403


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_sam_local_is_closed_where_the_issuer_is_down():
    settings = {"AWS_SAM_LOCAL": "true", "TOKEN_INTROSPECTION_URL": "http://127.0.0.1:9/introspect"}
    with import_functions(settings) as handlers:
        api = ResourcesApi(handlers)
        assert api.invoke(without_authorizer(api, Authorization="Bearer good")).status == 500


@pytest.mark.parametrize("settings", [{}, {"AWS_SAM_LOCAL": "true"}, {"AWS_SAM_LOCAL": "false"}])
def test_no_issuer_is_asked_outside_sam_local(issuer, settings):
    issuer.claims["good"] = {"sub": "alice", "scope": "read:resources"}
    with import_functions(settings) as handlers:
        api = ResourcesApi(handlers)
        assert_unauthorized(api.invoke(without_authorizer(api, Authorization="Bearer good")))
    assert issuer.asked == []
