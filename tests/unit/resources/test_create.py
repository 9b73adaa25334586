import base64
import gzip
import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

pytestmark = pytest.mark.example_fields

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_a_created_resource_is_answered_whole(api):
    before = datetime.now(UTC)
    answer = api.create({"name": "First", "type": "B", "metadata": {"colour": "blue"}})
    resource = answer.json()
    assert answer.status == 201
    assert set(resource) == {"id", "name", "type", "metadata", "createdAt", "updatedAt"}
    assert (resource["name"], resource["type"], resource["metadata"]) == ("First", "B", {"colour": "blue"})
    assert re.fullmatch(UUID7, resource["id"])
    assert answer.headers["location"] == f"/api/v1/resources/{resource['id']}"
    assert re.fullmatch(r'"[^"]+"', answer.headers["etag"])
    assert answer.headers["content-type"] == "application/json"
    assert resource["createdAt"] == resource["updatedAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", resource["createdAt"])
    assert abs((datetime.fromisoformat(resource["createdAt"]) - before).total_seconds()) < 60


def test_what_was_created_is_read_back_the_same(api):
    created = api.create({"name": "First", "type": "B", "metadata": {"colour": "blue"}})
    read = api.read(created.json()["id"])
    assert read.status == 200
    assert read.body == created.body
    assert read.headers["etag"] == created.headers["etag"]


def test_metadata_that_was_not_given_is_absent(api):
    assert "metadata" not in api.create({"name": "plain", "type": "A"}).json()


def test_empty_metadata_is_kept(api):
    created = api.create({"name": "empty", "type": "A", "metadata": {}}).json()
    assert created["metadata"] == {}
    assert api.read(created["id"]).json() == created


def test_two_equal_requests_make_two_resources(api):
    first, second = api.create(), api.create()
    assert first.json()["id"] != second.json()["id"]
    assert first.headers["etag"] != second.headers["etag"]
    assert api.page().json()["count"] == 2


def test_every_fault_is_named_at_once(api):
    answer = api.create({"name": "", "type": "D", "metadata": [], "colour": "blue", "id": "mine"})
    assert answer.status == 400
    assert answer.json()["error"] == "The request is not valid"
    assert set(answer.problems) == {"name", "type", "metadata", "colour", "id"}


def test_everything_that_is_missing_is_named(api):
    answer = api.create({})
    assert (answer.status, set(answer.problems)) == (400, {"name", "type"})
    assert set(answer.problems.values()) == {"is missing"}


@pytest.mark.parametrize(
    ("body", "faulty"),
    [
        ({"name": "x" * 101, "type": "A"}, {"name"}),
        ({"name": None, "type": "A"}, {"name"}),
        ({"name": 7, "type": "A"}, {"name"}),
        ({"name": True, "type": "A"}, {"name"}),
        ({"name": "x", "type": "a"}, {"type"}),
        ({"name": "x", "type": ""}, {"type"}),
        ({"name": "x", "type": ["A"]}, {"type"}),
        ({"name": "x", "type": "A", "metadata": None}, {"metadata"}),
        ({"name": "x", "type": "A", "metadata": "{}"}, {"metadata"}),
        ({"name": "x", "type": "A", "createdAt": "2027-01-01T00:00:00.000Z"}, {"createdAt"}),
        ([], {"body"}),
        ("text", {"body"}),
        (7, {"body"}),
        (False, {"body"}),
    ],
)
def test_an_invalid_body_is_refused(api, body, faulty):
    answer = api.create(json.dumps(body))
    assert answer.status == 400
    assert set(answer.problems) == faulty
    assert api.page().json()["count"] == 0


@pytest.mark.parametrize("name", ["x", "x" * 100, "😀" * 100, " ", '"\\/', "\u0000\u001f\u007f", "e\u0301", "\u2028"])
def test_any_name_of_up_to_a_hundred_characters_is_kept(api, name):
    created = api.create({"name": name, "type": "A"})
    assert created.status == 201
    assert api.read(created.json()["id"]).json()["name"] == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        '{"name": "x", "type": "A",}',
        "{'name': 'x'}",
        '{"name": "x", "type": "A"} {}',
        '{"name": "x", "type": "A", "metadata": {"n": NaN}}',
        '{"name": "x", "type": "A", "metadata": {"n": Infinity}}',
        '{"name": "x", "type": "A", "metadata": {"n": -Infinity}}',
        '{"name": "x", "type": "A", "metadata": {"n": 01}}',
        '{"name": "x", "type": "A", "metadata": {"n": .5}}',
        '{"name": "\\ud83d", "type": "A"}',
        '{"name": "x", "type": "A", "metadata": {"\\udc00": 1}}',
        '{"name": "x", "type": "A", "\\udc00": 1}',
        '{"name": "x", "type": "A", "metadata": {"n": 1E9999999999999999999}}',
        '{"name": "x", "type": "A", "metadata": {"n": 1E-9999999999999999999}}',
        '{"name": "x", "type": "A", "metadata": {"n": ' + "9" * 5000 + "}}",
        '{"name": "x", "type": "A", "metadata": ' + '{"a":' * 65 + "1" + "}" * 65 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ufeff{}",
    ],
    ids=lambda text: text[:40],
)
def test_a_body_that_is_no_json_is_refused(api, text):
    answer = api.create(text)
    assert answer.status == 400
    assert set(answer.problems) == {"body"}
    assert len(answer.problems["body"]) < 200


def test_a_request_without_a_body_is_refused(api):
    answer = api.send("POST", "/api/v1/resources", headers={"Content-Type": "application/json"})
    assert (answer.status, set(answer.problems)) == (400, {"body"})


def test_metadata_may_nest_sixty_levels(api):
    text = '{"name": "x", "type": "A", "metadata": ' + '{"a":' * 60 + "1" + "}" * 61
    created = api.create(text)
    assert created.status == 201
    assert api.read(created.json()["id"]).body == created.body


def test_of_a_name_given_twice_the_last_counts(api):
    answer = api.create('{"name": "first", "name": "last", "type": "A"}')
    assert (answer.status, answer.json()["name"]) == (201, "last")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        " application/json ",
        "application/json;",
        "application/json ; ; charset=UTF-8 ;",
        'APPLICATION/JSON;profile="a;b\\"c";version=1;Charset="utf-8"',
    ],
)
def test_json_is_accepted_however_it_is_spelt(api, media_type):
    assert api.create(headers={"Content-Type": media_type}).status == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/merge-patch+json",
        "application/json; charset=latin-1",
        "application/json,text/plain",
        "application/x-www-form-urlencoded",
        "application/json, application/json",
        "application/json charset=utf-8",
        "application/json; charset",
        'application/json; charset="utf-8',
        "application/json; charset=utf-8; charset=utf-16",
    ],
)
def test_another_content_type_is_refused(api, media_type):
    answer = api.create(headers={"Content-Type": media_type})
    assert (answer.status, set(answer.problems)) == (400, {"Content-Type"})


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", '"us-ascii"', "utf8", '""'])
def test_another_charset_is_named_as_what_is_wrong(api, charset):
    answer = api.create(headers={"Content-Type": f"application/json; charset={charset}"})
    assert (answer.status, answer.problems) == (400, {"Content-Type": "must have the charset utf-8, or none"})


def test_a_long_content_type_takes_linear_time(api):
    for header in ("application/json" + ";" * 9_000 + "x", "application/json" + " " * 9_000 + '; a="' + "\\" * 9_001):
        assert api.create(headers={"Content-Type": header}).status == 400


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "identity, gzip", "aws-chunked"])
def test_a_compressed_body_is_refused(api, coding):
    answer = api.create(gzip.compress(b'{"name": "x", "type": "A"}'), headers={"Content-Encoding": coding})
    assert (answer.status, set(answer.problems)) == (415, {"Content-Encoding"})
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_a_body_that_is_declared_uncompressed_is_read(api, coding):
    assert api.create(headers={"Content-Encoding": coding}).status == 201


@pytest.mark.parametrize("unit", ["[" * 60 + "]" * 60, "[]", "1e2", "0", '{"a":1}'])
def test_a_body_larger_than_can_be_stored_is_not_read(api, unit):
    entries = ",".join([unit] * (5_900_000 // (len(unit) + 1)))
    answer = api.create(f'{{"name": "x", "type": "A", "metadata": {{"a": [{entries}]}}}}')
    assert (answer.status, answer.json()["error"]) == (413, "The body is larger than can be stored")


def test_escapes_of_a_body_that_can_be_stored_are_read(api):
    assert api.create({"name": "x", "type": "A", "metadata": {"a": "é" * 199_000}}).status == 201


def test_only_the_first_problems_are_listed(api):
    body = {"name": "x", "type": "A"}
    exact = api.create(body | {f"unknown{number}": 0 for number in range(100)})
    assert (len(exact.problems), exact.json()["error"]) == (100, "The request is not valid")
    more = api.create(body | {f"unknown{number}": 0 for number in range(120_000)})
    assert more.status == 400
    assert list(more.problems) == list(exact.problems)
    assert more.json()["error"] == "The request is not valid. There are more problems than the 100 listed here"


@pytest.mark.parametrize("character", ["x", "\x01", '"', "😀"])
def test_what_a_caller_sent_is_quoted_in_part(api, character):
    answer = api.create({"name": "x", "type": "A"} | {f"{number}{character * 2_000}": 0 for number in range(101)})
    assert answer.status == 400
    assert {len(field) for field in answer.problems} == {300}
    assert all(field.endswith("…") for field in answer.problems)
    assert len(answer.body) < 500_000


def test_a_body_without_content_type_is_refused(api):
    event = api.make_event("POST", "/api/v1/resources", body={"name": "x", "type": "A"})
    del event["headers"]["content-type"]
    answer = api.invoke(event)
    assert (answer.status, set(answer.problems)) == (400, {"Content-Type"})


@pytest.mark.parametrize("is_encoded", [False, True], ids=["text", "base64"])
def test_a_body_of_3_million_characters_is_read_and_a_longer_one_is_not(api, is_encoded):
    event = api.make_event("POST", "/api/v1/resources", body={})
    statuses = []
    for size in (3_000_000, 3_000_001):
        body = "x" * size
        event["body"] = base64.b64encode(body.encode()).decode() if is_encoded else body
        event["isBase64Encoded"] = is_encoded
        statuses.append(api.invoke(event).status)
    assert statuses == [400, 413]


def test_a_body_in_base64_is_read(api):
    event = api.make_event("POST", "/api/v1/resources", body="")
    event["body"] = base64.b64encode('{"name": "ümläut", "type": "A"}'.encode()).decode()
    event["isBase64Encoded"] = True
    answer = api.invoke(event)
    assert (answer.status, answer.json()["name"]) == (201, "ümläut")


@pytest.mark.parametrize(
    "body", ["%%%", "é", "YQ", "gA==", base64.b64encode(b'{"name": "\xff", "type": "A"}').decode()]
)
def test_base64_that_holds_no_text_is_refused(api, body):
    event = api.make_event("POST", "/api/v1/resources", body="")
    event["body"], event["isBase64Encoded"] = body, True
    answer = api.invoke(event)
    assert (answer.status, set(answer.problems)) == (400, {"body"})


def test_bytes_that_are_no_utf8_are_refused(api):
    answer = api.create(b'{"name": "\xff\xfe", "type": "A"}')
    assert (answer.status, set(answer.problems)) == (400, {"body"})


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "large"}], ids=["plain", "idempotent"])
@pytest.mark.parametrize("character", ["x", "€", "😀"])
def test_a_resource_over_400_kb_is_too_large(api, character, headers):
    width = len(character.encode())

    def body(kilobytes):
        return {"name": "large", "type": "A", "metadata": {"text": character * (kilobytes * 1024 // width)}}

    refused = api.create(json.dumps(body(401), ensure_ascii=False), headers=headers)
    assert refused.status == 413
    assert "400 KB" in refused.json()["error"]
    assert api.page().json()["count"] == 0
    # The same key works for a smaller body immediately.
    accepted = api.create(json.dumps(body(390), ensure_ascii=False), headers=headers)
    assert accepted.status == 201
    assert api.read(accepted.json()["id"]).body == accepted.body


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-0.0",
        "1.10",
        "1.0",
        "0.1",
        "3.141592653589793238462643383279502884197",
        "99999999999999999999999999999999999999",
        "-99999999999999999999999999999999999999",
        "9007199254740993",
        "123456789012345678901234567890123456789012345678901234567890",
        "-0",
        "1e2",
        "1E+2",
        "-2.50E-400",
        "0.0000001",
        "0e0",
    ],
)
def test_a_number_comes_back_as_it_was_written(api, number):
    created = api.create('{"name": "x", "type": "A", "metadata": {"n": ' + number + "}}")
    assert created.status == 201
    for answer in (created, api.read(created.json()["id"]), api.page()):
        assert '{"n":' + number + "}" in answer.body


@pytest.mark.parametrize("number", ["1E400", "1e-400", "-2.50E+400", "1E+2", "5e0"])
def test_a_number_with_an_exponent_keeps_its_value_and_digits(api, number):
    created = api.create('{"name": "x", "type": "A", "metadata": {"n": ' + number + "}}")
    assert created.status == 201
    read = api.read(created.json()["id"]).json()["metadata"]["n"]
    assert Decimal(read).as_tuple() == Decimal(number).as_tuple()
