"""Imports: each good line once, whatever is killed, repeated or deleted."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.dynamodb import Drop, DynamoDB, LoseAnswer, Refusal
from tests.support.gateway import import_functions
from tests.support.resources import make_body
from tests.support.resources_api import ResourcesApi

LINES = 25
"""Three transactions of `MAX_ITEMS`."""

MAX_ITEMS = 10


class Killed(BaseException):
    """The function's process ends."""


@dataclass
class Importer:
    """The modules that import, and an import of `ann` that waits for its file."""

    imports: Any
    collection: Any
    table: Any
    caller: Any
    dump_json: Any
    id: str

    @property
    def file(self) -> Any:
        return self.imports.File(self.caller.subject, self.id)

    def run(self, lines: list[str], number: int = 0, first: int = 1) -> bool:
        part = self.imports.Part("key", '"etag"', number, 0, 100, first)
        done: bool = self.imports.PartImport(self.file, part, self.collection).run([line.encode() for line in lines])
        return done

    def read(self) -> dict[str, Any]:
        document: dict[str, Any] = self.imports.get_import(self.caller, self.id)
        return document

    def list_numbers(self) -> list[int]:
        """Which of `make_lines` have become the caller's resources, in the order of the lines."""
        found, token = [], None
        while True:
            page = self.collection.list(self.caller, 100, token)
            found += [json.loads(self.dump_json(entity.to_document())) for entity in page.items]
            token = page.next_token
            if token is None:
                bodies = [make_body(number) for number in range(1, LINES + 1)]
                return [
                    number
                    for document in reversed(found)
                    for number, body in enumerate(bodies, 1)
                    if document | body == document
                ]


def make_lines(count: int = LINES) -> list[str]:
    return [json.dumps(make_body(number)) for number in range(1, count + 1)]


def list_all(count: int = LINES) -> list[int]:
    return list(range(1, count + 1))


@pytest.fixture
def importer(dynamodb: DynamoDB) -> Iterator[Importer]:
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}):
        imports = importlib.import_module("records.imports")
        from resources import resources
        from serverless_api import Caller, Origin, dump_json
        from serverless_api.storage import table

        # A busy machine must fail no test.
        table.ATTEMPT_SECONDS = 60.0
        with pytest.MonkeyPatch.context() as environment:
            environment.setattr(imports, "_MAX_ITEMS", MAX_ITEMS)
            caller = Caller("ann", frozenset(), Origin("api", "request-1", 1_798_761_600_000))
            document = imports.start_import(caller, None, None)
            importer = Importer(imports, resources, table, caller, dump_json, document["id"])
            assert imports.begin_import(importer.file, '"etag"')
            imports.end_split(importer.file, 1, LINES)
            yield importer


def test_good_lines_become_resources_in_their_order(importer: Importer) -> None:
    assert importer.run(make_lines())
    assert importer.list_numbers() == list_all()
    assert {name: importer.read()[name] for name in ("state", "created", "faulty", "faults")} == {
        "state": "completed",
        "created": LINES,
        "faulty": 0,
        "faults": [],
    }


def test_a_completed_import_without_faults_is_read_at_once(importer: Importer, dynamodb: DynamoDB) -> None:
    importer.run(make_lines())
    dynamodb.operations.clear()
    importer.read()
    assert dynamodb.operations == ["GetItem"]


def test_each_item_names_the_import_as_its_writer(importer: Importer, table: Any) -> None:
    importer.run(make_lines(1))
    items = table.scan(TableName="resources")["Items"]
    writers = {item["sk"]["S"].partition("#")[0]: item["writer"]["M"] for item in items}
    imported = {"door": {"S": "import"}, "request": {"S": importer.id}, "at": {"N": "1798761600000"}}
    assert writers["resource"] == writers["import part"] == imported
    assert writers["import"]["at"] == imported["at"]
    assert all("expiresAt" in item for item in items if not item["sk"]["S"].startswith("resource#"))


@pytest.mark.example_fields
def test_faulty_lines_stop_no_other_and_are_named_in_the_words_of_the_api(importer: Importer) -> None:
    first, second = make_lines(2)
    lines = [first, "{", " ", '{"name": "", "type": "Q"}', "[]", f"{second}\r"]
    importer.run([*lines, '{"name": "\\ud800", "type": "A"}'], first=11)
    document = importer.read()
    assert importer.list_numbers() == [1, 2]
    assert (document["created"], document["faulty"]) == (2, 4)
    assert document["faults"] == [
        {"line": 12, "problems": [{"field": "body", "problem": document["faults"][0]["problems"][0]["problem"]}]},
        {
            "line": 14,
            "problems": [
                {"field": "name", "problem": "must have at least 1 character"},
                {"field": "type", "problem": "must be one of A, B, C"},
            ],
        },
        {"line": 15, "problems": [{"field": "body", "problem": "must be an object"}]},
        {
            "line": 17,
            "problems": [{"field": "body", "problem": "contains invalid Unicode (half of a surrogate pair)"}],
        },
    ]
    assert document["faults"][0]["problems"][0]["problem"].startswith("is not JSON: ")


def test_the_first_hundred_faulty_lines_are_shown_whichever_part_is_first(importer: Importer) -> None:
    importer.imports.end_split(importer.file, 2, 240)
    importer.run(["{"] * 120, number=1, first=121)
    importer.run(["{"] * 120)
    document = importer.read()
    assert (document["state"], document["created"], document["faulty"]) == ("completed", 0, 240)
    assert [fault["line"] for fault in document["faults"]] == list(range(1, 101))


def test_ten_problems_of_a_line_are_shown(importer: Importer) -> None:
    importer.run([json.dumps(make_body(1) | {f"field{number}": 1 for number in range(count)}) for count in (10, 11)])
    tenth, eleventh = (fault["problems"] for fault in importer.read()["faults"])
    assert len(tenth) == 10
    assert eleventh == tenth


def test_a_hundred_faulty_lines_are_shown_even_if_they_are_larger_than_an_item(importer: Importer) -> None:
    line = json.dumps({f"{number}{'€' * 300}": 1 for number in range(10)})
    importer.imports.end_split(importer.file, 1, 120)
    importer.run([line] * 120)
    document = importer.read()
    assert (document["state"], document["faulty"], len(document["faults"])) == ("completed", 120, 100)
    assert len(importer.dump_json(document["faults"]).encode()) > 400_000


@pytest.mark.example_fields
def test_a_line_that_cannot_be_stored_is_faulty_and_its_neighbours_are_not(importer: Importer) -> None:
    lines = make_lines(6)
    lines[2] = json.dumps({"name": "large", "type": "A", "metadata": {"text": "x" * 420_000}})
    lines[4] = json.dumps({"name": "longer", "type": "A", "metadata": {"text": "x" * 1_000_000}})
    importer.run(lines)
    assert importer.list_numbers() == [1, 2, 4, 6]
    assert importer.read()["faults"] == [
        {"line": 3, "problems": [{"field": "body", "problem": "is larger than the 400 KB that can be stored"}]},
        {"line": 5, "problems": [{"field": "body", "problem": "is longer than 1 MB"}]},
    ]


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("is_done", [False, True], ids=["before the write", "after the write"])
def test_a_part_whose_function_is_killed_is_written_once(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, step: int, is_done: bool
) -> None:
    transact: Callable[..., None] = importer.table.transact
    calls = 0

    def transact_and_die(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step + 1 and not is_done:
            raise Killed
        transact(*arguments)
        if calls == step + 1:
            raise Killed

    monkeypatch.setattr(importer.table, "transact", transact_and_die)
    with pytest.raises(Killed):
        importer.run(make_lines())
    importer.run(make_lines())
    importer.run(make_lines())
    assert importer.list_numbers() == list_all()
    assert (importer.read()["state"], importer.read()["created"]) == ("completed", LINES)


@pytest.mark.parametrize(
    "fault", [Drop(), LoseAnswer(), Refusal("InternalServerError", 500)], ids=["drop", "lose", "500"]
)
def test_lost_answers_write_nothing_twice(importer: Importer, dynamodb: DynamoDB, fault: Any) -> None:
    dynamodb.fail("TransactWriteItems", fault, None, fault, None, fault)
    importer.run(make_lines())
    assert importer.list_numbers() == list_all()
    assert importer.read()["created"] == LINES


def test_two_functions_with_the_same_part_write_it_once(importer: Importer, dynamodb: DynamoDB) -> None:
    dynamodb.before("TransactWriteItems", lambda: importer.run(make_lines()))
    importer.run(make_lines())
    assert importer.list_numbers() == list_all()
    assert (importer.read()["state"], importer.read()["created"]) == ("completed", LINES)


def test_a_part_goes_on_only_from_where_it_was_read(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    transact: Callable[..., None] = importer.table.transact
    calls = 0

    def transact_late(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            # Another function does the rest, and everything that it has created goes.
            importer.run(make_lines())
            for item in list(importer.table.query_items("user#ann", "resource#", None, LINES)):
                importer.table.delete_item({"pk": item["pk"], "sk": item["sk"]}, "attribute_exists(#pk)")
        transact(*arguments)

    monkeypatch.setattr(importer.table, "transact", transact_late)
    importer.run(make_lines())
    assert importer.list_numbers() == []
    assert importer.read()["created"] == LINES


def test_a_resource_that_its_owner_deleted_does_not_come_back(importer: Importer) -> None:
    importer.run(make_lines(3))
    (newest, *_) = importer.collection.list(importer.caller, 1).items
    importer.collection.delete(importer.caller, newest.id)
    importer.run(make_lines(3))
    assert importer.list_numbers() == [1, 2]


def test_nothing_is_written_after_the_import_is_deleted(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    transact: Callable[..., None] = importer.table.transact

    def transact_and_delete(*arguments: Any) -> None:
        transact(*arguments)
        importer.table.delete_item({"pk": "user#ann", "sk": f"import#job#{importer.id}"}, "attribute_exists(#pk)")

    monkeypatch.setattr(importer.table, "transact", transact_and_delete)
    assert importer.run(make_lines())
    assert importer.list_numbers() == list_all(MAX_ITEMS)


def test_a_part_that_has_too_little_time_goes_on_later(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    from serverless_api import Deadline

    monkeypatch.setattr(importer.imports, "current_deadline", lambda: Deadline(20.0))
    assert not importer.run(make_lines())
    assert importer.list_numbers() == []


def test_a_file_is_an_import_only_under_the_key_of_its_owner(importer: Importer) -> None:
    key = importer.imports.make_file_key("ann", importer.id)
    assert importer.imports.read_file(key, {"owner": "YW5u"}) == importer.file
    others = [{"owner": "Ym9i"}, {"owner": "!"}, {"owner": "é"}, {"owner": "_w=="}, {}]
    assert [importer.imports.read_file(key, metadata) for metadata in others] == [None] * 5
    assert importer.imports.read_file(f"x{key}", {"owner": "YW5u"}) is None


def test_another_file_does_not_take_the_place_of_the_first(importer: Importer) -> None:
    assert importer.imports.begin_import(importer.file, '"etag"')
    assert not importer.imports.begin_import(importer.file, '"another"')


def test_a_failed_import_says_why_and_writes_nothing(importer: Importer) -> None:
    assert importer.imports.fail_import(importer.file, "The file is larger than 1 GB")
    importer.run(make_lines(3))
    assert (importer.read()["state"], importer.read()["reason"]) == ("failed", "The file is larger than 1 GB")
    assert importer.list_numbers() == []
    assert not importer.imports.fail_import(importer.file, "Another reason")


class Uploads:
    """The bucket of imports, as far as starting and deleting one uses it. An object is written once."""

    def __init__(self, importer: Importer) -> None:
        self._objects = importlib.import_module("serverless_api.storage.objects")
        self._errors = importlib.import_module("serverless_api")
        self.files: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.is_down = False
        importer.imports._bucket = self

    def put(self, key: str, content: bytes, headers: dict[str, str]) -> None:
        if self.is_down:
            raise self._errors.DependencyUnavailable("down")
        if key in self.files:
            raise self._objects.ObjectExists
        self.files[key] = (content, headers)

    def delete(self, key: str) -> None:
        if self.is_down:
            raise self._errors.DependencyUnavailable("down")
        self.files.pop(key, None)


@pytest.fixture
def uploads(importer: Importer) -> Uploads:
    return Uploads(importer)


def test_a_key_starts_one_import_with_one_file(importer: Importer, uploads: Uploads) -> None:
    from serverless_api import Conflict, UnprocessableContent

    imports, caller = importer.imports, importer.caller
    first = imports.start_import(caller, b"{}", "key")
    assert imports.start_import(caller, b"{}", "key") == first
    assert uploads.files == {
        imports.make_file_key("ann", first["id"]): (b"{}", {imports.OWNER_HEADER: "YW5u", "if-none-match": "*"})
    }
    with pytest.raises(UnprocessableContent):
        imports.start_import(caller, b"[]", "key")
    imports.delete_import(caller, first["id"].upper())
    assert uploads.files == {}
    with pytest.raises(Conflict, match="The import of this Idempotency-Key has been deleted"):
        imports.start_import(caller, b"{}", "key")


def test_a_bucket_that_is_down_refuses_a_file_and_holds_up_no_deletion(importer: Importer, uploads: Uploads) -> None:
    from serverless_api import NotFound, ServiceUnavailable

    started = importer.imports.start_import(importer.caller, b"{}", None)
    uploads.is_down = True
    with pytest.raises(ServiceUnavailable):
        importer.imports.start_import(importer.caller, b"{}", None)
    importer.imports.delete_import(importer.caller, started["id"])
    for import_id in (started["id"], "x"):
        with pytest.raises(NotFound, match="There is no such import"):
            importer.imports.delete_import(importer.caller, import_id)


@pytest.mark.parametrize("value", ["yes", "True", ""])
def test_an_upload_is_asked_for_with_true_or_false(api: ResourcesApi, value: str) -> None:
    answer = api.send("POST", "/api/v1/imports", query={"upload": value})
    assert (answer.status, answer.problems) == (400, {"upload": "must be true or false"})


@pytest.mark.example_fields
def test_writes_are_paced_by_their_size(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    from serverless_api import Deadline

    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(importer.imports, "current_deadline", lambda: Deadline(5_000.0))
    part = importer.imports.Part("key", '"etag"', 0, 0, 100, 1)
    lines = [*make_lines(12), json.dumps({"name": "large", "type": "A", "metadata": {"text": "x" * 9_000}})]
    importer.imports.PartImport(importer.file, part, importer.collection, 0.02).run([line.encode() for line in lines])
    # Two write units for each item and KB, and for the count: 22 for the first transaction, and 26 for the second.
    assert [round(pause, -2) for pause in pauses] == [1_100, 1_300]


def test_a_pause_leaves_time_for_the_end_of_the_part(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    from serverless_api import Deadline

    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(importer.imports, "current_deadline", lambda: Deadline(25.0))
    part = importer.imports.Part("key", '"etag"', 0, 0, 100, 1)
    lines = [line.encode() for line in make_lines(1)]
    assert importer.imports.PartImport(importer.file, part, importer.collection, 0.02).run(lines)
    assert [round(pause) for pause in pauses] == [10]


def test_a_compressed_file_is_refused(api: ResourcesApi) -> None:
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    assert api.send("POST", "/api/v1/imports", body="{}", headers=headers).status == 415


def test_imports_are_listed_from_the_newest(importer: Importer, uploads: Uploads) -> None:
    from serverless_api import BadRequest

    imports, caller = importer.imports, importer.caller
    ids = [importer.id, *(imports.start_import(caller, b"{}", None)["id"] for _ in range(2))]
    assert [document["id"] for document in imports.list_imports(caller, 2)] == ids[:0:-1]
    assert [document["id"] for document in imports.list_imports(caller, 2, after=ids[1])] == ids[:1]
    assert imports.list_imports(caller._replace(subject="bob"), 2) == []
    with pytest.raises(BadRequest) as error:
        imports.list_imports(caller, 2, after="x")
    assert [tuple(detail) for detail in error.value.details] == [("after", "must be the ID of an import")]


class Bucket:
    """S3 with some files, of which it refuses to delete one."""

    def __init__(self, keys: list[str], refused: str = "") -> None:
        self.keys = sorted(keys)
        self._refused = refused

    def get_paginator(self, operation: str) -> "Bucket":
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **options: str) -> Iterator[dict[str, Any]]:
        assert options.keys() == {"Bucket", "Prefix"}
        yield from ({"Contents": [{"Key": key}]} for key in self.keys if key.startswith(options["Prefix"]))
        yield {}

    def delete_objects(self, **options: Any) -> dict[str, Any]:
        assert options.keys() == {"Bucket", "Delete"}
        asked = {entry["Key"] for entry in options["Delete"]["Objects"]}
        self.keys = [key for key in self.keys if key not in asked - {self._refused}]
        return {"Errors": [{"Key": self._refused, "Code": "SlowDown"}]} if self._refused in asked else {}


def test_files_of_requests_up_to_a_moment_are_found_and_deleted(importer: Importer) -> None:
    files = importlib.import_module("records.import_files")
    own, other = (importer.imports.make_file_key(subject, importer.id) for subject in ("ann", "bob"))
    # A file without an import belongs to one that is erased.
    stray = importer.imports.make_file_key("ann", "stray")
    bucket = Bucket([own, stray, other])
    assert list(files.find_files(bucket, "imports", "ann", 1_798_761_599_999)) == [stray]
    assert list(files.find_files(bucket, "imports", "ann", 1_798_761_600_000)) == sorted([own, stray])
    files.delete_files(bucket, "imports", [own, stray])
    assert bucket.keys == [other]


def test_a_file_that_is_not_deleted_is_an_error(importer: Importer) -> None:
    files = importlib.import_module("records.import_files")
    with pytest.raises(OSError, match="1 files are not deleted: SlowDown"):
        files.delete_files(Bucket(["a", "b"], refused="b"), "imports", ["a", "b"])
