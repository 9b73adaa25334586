"""`If-Match` and `If-None-Match` on each method that takes an ID (RFC 9110, section 13)."""

import pytest

SUCCESS = {"read": 200, "update": 200, "delete": 204}
METHODS = pytest.mark.parametrize("method", SUCCESS)
# The status of a precondition that fails, by method and header.
FAILED = {
    (method, name): 304 if (method, name) == ("read", "If-None-Match") else 412
    for method in SUCCESS
    for name in ("If-Match", "If-None-Match")
}
HEADERS = pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])


def send(api, method, **headers):
    """The response to a request for a new resource, and whether the resource is as it was."""
    created = api.create()
    tag = created.headers["etag"]
    headers = {
        name.replace("_", "-"): form.replace("{tag}", tag).replace("{bare}", tag.strip('"'))
        for name, form in headers.items()
    }
    answer = getattr(api, method)(created.json()["id"], headers=headers)
    return answer, api.read(created.json()["id"]).body == created.body


@METHODS
@pytest.mark.parametrize(
    ("form", "match", "none_match"),
    [
        ("{tag}", True, False),
        ("*", True, False),
        (" * ", True, False),
        ('"other",{tag}', True, False),
        (' {tag}\t, W/"x" ', True, False),
        (',, {tag} ,"other" ,', True, False),
        ("W/{tag}", False, False),
        ('W/{tag}, "other"', False, False),
        ('"other"', False, True),
        ('"*"', False, True),
        ('""', False, True),
        ('"{bare}x"', False, True),
        ('"{bare},other"', False, True),
        ('"W/{bare}"', False, True),
        ('"é", "\\", "\u20ac"', False, True),
    ],
)
def test_a_precondition_holds_or_fails(api, method, form, match, none_match):
    for name, holds in (("If-Match", match), ("If-None-Match", none_match)):
        answer, is_unchanged = send(api, method, **{name: form})
        assert answer.status == (SUCCESS[method] if holds else FAILED[method, name]), name
        assert is_unchanged == (not holds or method == "read")
        if answer.status == 412:
            assert set(answer.json()) == {"error", "requestId"}
            assert ("changed since" in answer.json()["error"]) == (name == "If-Match")


@METHODS
@pytest.mark.parametrize(
    ("if_match", "if_none_match", "failed"),
    [
        ("{tag}", '"other"', None),
        ("*", '"other"', None),
        ("{tag}", "{tag}", "If-None-Match"),
        ("*", "*", "If-None-Match"),
        ('{tag}, "other"', 'W/{tag}, "another"', "If-None-Match"),
        ('"other"', "{tag}", "If-Match"),
        ('"other"', "*", "If-Match"),
        ('"other"', '"other"', "If-Match"),
        ("W/{tag}", '"other"', "If-Match"),
    ],
)
def test_if_match_is_evaluated_before_if_none_match(api, method, if_match, if_none_match, failed):
    answer, is_unchanged = send(api, method, If_Match=if_match, If_None_Match=if_none_match)
    assert answer.status == (FAILED[method, failed] if failed else SUCCESS[method])
    assert is_unchanged == (failed is not None or method == "read")


@METHODS
@HEADERS
@pytest.mark.parametrize(
    "form",
    [
        "",
        " ",
        ",",
        " , ,",
        "garbage",
        "{bare}",
        '"{bare}',
        '{bare}"',
        '"{bare}" x',
        "x{tag}",
        "x/{tag}",
        "w/{tag}",
        "W/ {tag}",
        "W{tag}",
        "W/",
        "W/W/{tag}",
        "{tag}{tag}",
        "{tag}; x",
        "{tag}\n",
        '"a b"',
        '"a\u007f"',
        '"a\u0000"',
        '"a", *',
        "*, {tag}",
        "*,*",
        "**",
        "'{bare}'",
    ],
)
def test_a_malformed_header_is_named(api, method, name, form):
    answer, is_unchanged = send(api, method, **{name: form})
    assert (answer.status, set(answer.problems)) == (400, {name})
    assert is_unchanged


@METHODS
@HEADERS
@pytest.mark.parametrize(("others", "is_valid"), [(99, True), (100, False)])
def test_a_header_has_at_most_a_hundred_entity_tags(api, method, name, others, is_valid):
    tags = ",".join([*(f'"{index:016x}"' for index in range(others)), "{tag}"])
    answer, _ = send(api, method, **{name: tags})
    holds = FAILED[method, name] if name == "If-None-Match" else SUCCESS[method]
    assert answer.status == (holds if is_valid else 400)


def test_a_hundred_other_entity_tags_leave_a_write_alone(api):
    tags = ",".join(f'"{index:016x}"' for index in range(100))
    assert send(api, "update", If_None_Match=tags)[0].status == 200
    assert send(api, "update", If_Match=tags + "," * 100)[0].status == 412


@METHODS
def test_a_malformed_header_is_named_even_if_there_is_no_such_resource(api, method):
    created = api.create()
    api.delete(created.json()["id"])
    answer = getattr(api, method)(created.json()["id"], headers={"If-Match": "x"})
    assert (answer.status, set(answer.problems)) == (400, {"If-Match"})


@METHODS
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
@pytest.mark.parametrize("value", ["Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "x", "{tag}"])
def test_preconditions_on_dates_and_ranges_are_ignored(api, method, name, value):
    assert send(api, method, **{name: value})[0].status == SUCCESS[method]


def test_a_resource_is_not_created_by_an_update_that_expects_none(api):
    created = api.create()
    api.delete(created.json()["id"])
    for form in ("*", '"other"'):
        assert api.update(created.json()["id"], headers={"If-None-Match": form}).status == 404
    assert api.page().json()["count"] == 0
