"""Imports over HTTP, from the file to the resources."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local_engine.testing import EngineProcess, poll
from tests.support.resources import make_body

IMPORTS = "/api/v1/imports"
NDJSON = {"Content-Type": "application/x-ndjson"}


class Importer:
    """A user who imports."""

    def __init__(self, engine: EngineProcess, subject: str) -> None:
        token = engine.mint_token("read:resources", "write:resources", subject=subject)
        self.client = engine.client()
        self.client.headers["Authorization"] = f"Bearer {token}"

    def start(self, lines: list[str], **headers: str) -> httpx.Response:
        return self.client.post(IMPORTS, content="\n".join(lines), headers={**NDJSON, **headers})

    def read(self, location: str) -> dict[str, Any]:
        """The import. A busy machine may answer 503, which is asked again."""
        while (answer := self.client.get(location)).status_code == 503:
            pass
        document: dict[str, Any] = answer.json()
        return document

    def wait(self, location: str) -> dict[str, Any]:
        """The import when it is over."""
        document: dict[str, Any] = {}

        def is_over() -> bool:
            document.update(self.read(location))
            return document["state"] in ("completed", "failed")

        poll(is_over, f"{location} does not end", seconds=240)
        return document

    def list_bodies(self) -> list[dict[str, Any]]:
        """What was imported, in its order."""
        found, query = [], {"limit": "100"}
        while query:
            page = self.client.get("/api/v1/resources", params=query).json()
            found += page["resources"]
            query = {"limit": "100", "nextToken": page["nextToken"]} if "nextToken" in page else {}
        return [{name: resource[name] for name in make_body(1)} for resource in reversed(found)]


@pytest.fixture
def importer(engine: EngineProcess, request: pytest.FixtureRequest) -> Iterator[Importer]:
    importer = Importer(engine, request.node.name)
    with importer.client:
        yield importer


def make_lines(count: int) -> list[str]:
    return [json.dumps(body) for body in make_bodies(count)]


def make_bodies(count: int) -> list[dict[str, Any]]:
    return [make_body(number) for number in range(1, count + 1)]


def test_a_file_may_start_with_a_bom(importer: Importer) -> None:
    first, *others = make_lines(3)
    document = importer.wait(importer.start([f"\ufeff{first}", *others]).headers["location"])
    assert (document["state"], document["created"], document["faulty"]) == ("completed", 3, 0)
    assert importer.list_bodies() == make_bodies(3)


def test_each_good_line_of_the_body_becomes_a_resource(importer: Importer) -> None:
    lines = make_lines(120)
    lines.insert(50, "[]")
    started = importer.start(lines)
    assert (started.status_code, started.json()["state"]) == (202, "waiting")
    location = started.headers["location"]
    assert location == f"{IMPORTS}/{started.json()['id']}"
    document = importer.wait(location)
    assert {name: document[name] for name in ("state", "lines", "created", "faulty", "faults")} == {
        "state": "completed",
        "lines": 121,
        "created": 120,
        "faulty": 1,
        "faults": [{"line": 51, "problems": [{"field": "body", "problem": "must be an object"}]}],
    }
    assert importer.list_bodies() == make_bodies(120)


def test_a_repeated_request_imports_once(importer: Importer) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = importer.start(make_lines(3), **key), importer.start(make_lines(3), **key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert importer.start(make_lines(4), **key).status_code == 422
    assert importer.wait(first.headers["location"])["created"] == 3
    assert importer.list_bodies() == make_bodies(3)


def test_a_file_is_uploaded_with_a_link(importer: Importer, aws: Any) -> None:
    started = importer.client.post(IMPORTS, params={"upload": "true"})
    upload = started.json()["upload"]
    with httpx.Client(trust_env=False) as client:
        content = "\n".join(make_lines(5)).encode()
        for incomplete in ({}, {**upload["headers"], "x-amz-meta-owner": "other"}):
            refused = client.request(upload["method"], upload["url"], content=content, headers=incomplete)
            assert (refused.status_code, "<Code>SignatureDoesNotMatch</Code>" in refused.text) == (403, True)
        # curl calls each body a form.
        headers = {**upload["headers"], "content-type": "application/x-www-form-urlencoded"}
        assert client.request(upload["method"], upload["url"], content=content, headers=headers).status_code == 200
        # The link is good for one file.
        again = client.request(upload["method"], upload["url"], content=b"{}", headers=upload["headers"])
        assert again.status_code == 412
    assert importer.wait(started.headers["location"])["created"] == 5
    assert importer.list_bodies() == make_bodies(5)


def test_the_file_of_one_user_does_not_hold_up_that_of_another(engine: EngineProcess, importer: Importer) -> None:
    # The first line of each part takes two seconds of the owner's write units.
    line = json.dumps({"name": "large", "type": "A", "metadata": {"text": "x" * 390_000}})
    started = importer.client.post(IMPORTS, params={"upload": "true"})
    upload, location = started.json()["upload"], started.headers["location"]
    with httpx.Client(trust_env=False) as client:
        content = f"{line}\n{'[]\n' * 999}" * 20
        client.request(upload["method"], upload["url"], content=content, headers=upload["headers"]).raise_for_status()
    poll(lambda: "lines" in importer.read(location), "all parts are in the queue", seconds=240)
    other = Importer(engine, "another importer")
    with other.client:
        assert other.wait(other.start(make_lines(1)).headers["location"])["created"] == 1
    # In the order of the queue, it would have 19 parts at least.
    assert importer.read(location)["created"] <= 15
    assert importer.client.delete(location).status_code == 204


def test_garbage_fails_with_one_sentence(importer: Importer) -> None:
    started = importer.client.post(IMPORTS, content=bytes(range(256)) * 20, headers=NDJSON)
    document = importer.wait(started.headers["location"])
    assert (document["state"], document["created"], document["faults"]) == ("failed", 0, [])
    assert document["reason"] == "The file is not NDJSON: none of its first lines is a JSON object"


def test_a_cancelled_import_is_gone_with_its_file(importer: Importer, aws: Any) -> None:
    location = importer.start(make_lines(3)).headers["location"]
    assert importer.client.delete(location).status_code == 204
    assert importer.client.get(location).status_code == 404
    assert importer.client.delete(location).status_code == 404
    keys = [
        entry["Key"] for entry in aws("s3").list_objects_v2(Bucket="records-imports-importbucket").get("Contents", ())
    ]
    assert not [key for key in keys if key.endswith(location.rpartition("/")[2])]


def test_the_key_of_a_deleted_import_starts_no_other(importer: Importer) -> None:
    key = {"Idempotency-Key": "deleted"}
    location = importer.start(make_lines(3), **key).headers["location"]
    assert importer.client.delete(location).status_code == 204
    again = importer.start(make_lines(3), **key)
    assert (again.status_code, again.json()["error"]) == (409, "The import of this Idempotency-Key has been deleted")


def test_a_file_that_arrives_after_its_import_is_deleted_goes(importer: Importer, aws: Any) -> None:
    started = importer.client.post(IMPORTS, params={"upload": "true"})
    upload, import_id = started.json()["upload"], started.json()["id"]
    assert importer.client.delete(started.headers["location"]).status_code == 204
    with httpx.Client(trust_env=False) as client:
        content = "\n".join(make_lines(5)).encode()
        assert client.put(upload["url"], content=content, headers=upload["headers"]).status_code == 200

    def is_gone() -> bool:
        found = aws("s3").list_objects_v2(Bucket="records-imports-importbucket").get("Contents", ())
        return not [entry for entry in found if entry["Key"].endswith(import_id)]

    poll(is_gone, "the file stays", seconds=60)
    assert importer.list_bodies() == []


def test_an_import_is_its_owners_alone(engine: EngineProcess, importer: Importer) -> None:
    location = importer.start(make_lines(1)).headers["location"]
    other = Importer(engine, "another user")
    with other.client:
        assert [other.client.request(method, location).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert importer.wait(location)["created"] == 1


@pytest.mark.parametrize(
    ("query", "content", "headers", "field"),
    [
        ("", b"", NDJSON, "body"),
        ("?upload=true", b"{}", NDJSON, "body"),
        ("?upload=yes", b"{}", NDJSON, "upload"),
        ("", b"{}", {"Content-Type": "text/csv"}, "Content-Type"),
    ],
    ids=["no body", "body and upload", "upload=yes", "CSV"],
)
def test_a_request_that_starts_nothing_says_why(
    importer: Importer, query: str, content: bytes, headers: dict[str, str], field: str
) -> None:
    answer = importer.client.post(IMPORTS + query, content=content, headers=headers)
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.json()["details"]] == [field]


def test_a_compressed_body_is_not_supported(importer: Importer) -> None:
    assert importer.start(["{}"], **{"Content-Encoding": "gzip"}).status_code == 415
