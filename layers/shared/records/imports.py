"""Imports: files of NDJSON of which each line becomes an item of a collection, once.

An import is an item of its owner's partition, `import#job#<id>`. Its file is the bucket's object `<pseudonym>/<id>`.
The file is split into parts, and each part is written in transactions of up to 97 lines. Each transaction also moves
the part's own item, `import part#<id>#<number>`, so that a line is written once, even if a function runs twice or is
killed. No line is written after the import is deleted (docs/decisions/imports.md).
"""

import base64
import hashlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from serverless_api import (
    BadRequest,
    Caller,
    Collection,
    Conflict,
    DependencyUnavailable,
    NotFound,
    Origin,
    Problem,
    ServiceUnavailable,
    current_deadline,
    dump_json,
    logger,
    parse_json,
    pseudonymize,
)
from serverless_api.http.collection import ITEM_ID, create_once, format_time, make_id, make_version
from serverless_api.http.identity import PARTITION_PREFIX
from serverless_api.http.request import read_document
from serverless_api.storage import table
from serverless_api.storage.objects import Bucket, ObjectExists

MEDIA_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json")
"""How an import may be declared. A document of JSON on one line is NDJSON too."""

UPLOAD_SECONDS = 900
"""How long a client may start to upload a file."""

OWNER_HEADER = "x-amz-meta-owner"
"""Says in the file itself whose it is, so that no message about it has to."""

MAX_FAULTS = 100
"""How many faulty lines an import shows."""

MAX_LINE_BYTES = 1_000_000
"""A longer line is faulty. Nothing of that size could be stored."""

KEPT_SECONDS = 8 * 86_400
"""How long an import is shown: a day longer than its file is kept, so that no message about the file outlives it."""

# A transaction has at most 100 items and 4 MB. One item is the part's own, and one may hold faulty lines.
_MAX_ITEMS = 97
_MAX_CHUNK_BYTES = 2_000_000
_MAX_FAULT_BYTES = 200_000
_MAX_PROBLEMS = 10
# Between the check that the import exists and the commit are at most so many seconds, and a transaction's time. It is
# less than the time that an erasure waits for requests in flight.
_CHUNK_SECONDS = 8.0
_TRANSACTION_SECONDS = 15.0

_NOUN = "import"
_JOB, _PART, _FAULTS = "import#job#", "import part#", "import faults#"

_bucket = Bucket(os.environ.get("IMPORT_BUCKET", ""))


class File(NamedTuple):
    """The file of an import.

    Attributes:
        owner: the `sub` of the import's owner.
        import_id: the import's ID.
    """

    owner: str
    import_id: str


class Part(NamedTuple):
    """Whole lines of a file.

    Attributes:
        key: the file's key in the bucket.
        etag: the file's entity tag.
        number: the part's number, from 0.
        start: offset of its first byte.
        end: offset after its last byte.
        line: number of its first line, from 1.
    """

    key: str
    etag: str
    number: int
    start: int
    end: int
    line: int


def start_import(caller: Caller, content: bytes | None, key: str | None) -> dict[str, Any]:
    """Start an import.

    Args:
        caller: the owner.
        content: the file, or None if the caller uploads it.
        key: the request's `Idempotency-Key`.

    Returns:
        The import as the API shows it, with a URL for the upload if there is no content.

    Raises:
        Conflict: a request with this key is still running, or its import is deleted.
        UnprocessableContent: the key was used with another file.
        ServiceUnavailable: the bucket does not take the file.
    """
    now = time.time_ns()
    stamp = format_time(now)
    job = {
        "pk": caller.partition,
        "sk": _JOB + make_id(now),
        "state": "waiting",
        **dict.fromkeys(("created", "faulty", "partsDone"), 0),
        "startedAt": stamp,
        "updatedAt": stamp,
        **_make_stamp(caller.origin),
    }
    if key is None:
        table.put_item(job, "attribute_not_exists(#pk)")
    else:
        digest = None if content is None else hashlib.sha256(content).hexdigest()
        first = create_once(
            _NOUN,
            key,
            digest,
            draft=job,
            make_item=lambda: job,
            remembered=["sk", "startedAt", "updatedAt"],
        )
        if first["sk"] != job["sk"] and table.get_item({"pk": job["pk"], "sk": first["sk"]}) is None:
            raise Conflict("The import of this Idempotency-Key has been deleted")
        job |= first
    document = _to_document(job, [])
    file = make_file_key(caller.subject, document["id"])
    headers = {OWNER_HEADER: base64.urlsafe_b64encode(caller.subject.encode()).decode(), "if-none-match": "*"}
    if content is None:
        url = _bucket.presign_put(file, headers, UPLOAD_SECONDS)
        expires = format_time(time.time_ns() + UPLOAD_SECONDS * 1_000_000_000)
        return {**document, "upload": {"method": "PUT", "url": url, "headers": headers, "expiresAt": expires}}
    try:
        _bucket.put(file, content, headers)
    except ObjectExists:
        logger.debug("An earlier request with this key has written the file")
    except DependencyUnavailable as error:
        raise ServiceUnavailable from error
    return document


def get_import(caller: Caller, import_id: str) -> dict[str, Any]:
    """Return an import as the API shows it, with its first faulty lines.

    Raises:
        NotFound: the caller has no import with this ID.
    """
    job = find_job(File(caller.subject, import_id.lower()))
    if job is None:
        raise _not_found()
    return _show(caller, job)


def list_imports(caller: Caller, limit: int, after: str | None = None) -> list[dict[str, Any]]:
    """Return the caller's imports as the API shows them, newest first.

    Args:
        caller: the owner.
        limit: the most imports.
        after: an ID; only older imports are returned.

    Raises:
        BadRequest: `after` is no ID.
    """
    if after is not None and not ITEM_ID.fullmatch(after):
        raise BadRequest("The request is not valid", [Problem("after", "must be the ID of an import")])
    before = None if after is None else _JOB + after
    return [_show(caller, job) for job in table.query_items(caller.partition, _JOB, before, limit)]


def _show(caller: Caller, job: table.Item) -> dict[str, Any]:
    if _is_completed(job) and not job["faulty"]:
        return _to_document(job, [])
    faults: list[Any] = []
    prefix = f"{_FAULTS}{job['sk'].removeprefix(_JOB)}#"
    for item in table.query_items(caller.partition, prefix, None, MAX_FAULTS, ascending=True):
        faults += parse_json(item["faults"])
        if len(faults) >= MAX_FAULTS:
            break
    return _to_document(job, faults[:MAX_FAULTS])


def delete_import(caller: Caller, import_id: str) -> None:
    """Stop an import, and delete it with its file. What it has created stays.

    Raises:
        NotFound: the caller has no import with this ID.
    """
    import_id = import_id.lower()
    if not ITEM_ID.fullmatch(import_id):
        raise _not_found()
    try:
        table.delete_item(_make_job_key(File(caller.subject, import_id)), "attribute_exists(#pk)")
    except table.ConditionFailed as failure:
        raise _not_found() from failure
    try:
        _bucket.delete(make_file_key(caller.subject, import_id))
    except DependencyUnavailable as error:
        logger.warning("The file of a deleted import stays until it expires", reason=str(error))


def make_file_key(subject: str, import_id: str) -> str:
    """Return the key of an import's file. With an empty ID, it is the prefix of all files of a user."""
    return f"{pseudonymize(subject)}/{import_id}"


def find_tenant(key: str) -> str:
    """Return whose file a key names: the pseudonym, by which the queues serve everybody fairly."""
    return key.partition("/")[0]


def read_file(key: str, metadata: Mapping[str, str]) -> File | None:
    """Return what a file belongs to, or None if it is not the file of an import.

    Args:
        key: its key in the bucket.
        metadata: its metadata, named without `x-amz-meta-`.
    """
    try:
        owner = base64.b64decode(metadata.get("owner", ""), altchars=b"-_", validate=True).decode()
    except ValueError:
        return None
    import_id = key.rpartition("/")[2]
    is_known = owner and ITEM_ID.fullmatch(import_id) and key == make_file_key(owner, import_id)
    return File(owner, import_id) if is_known else None


def find_job(file: File) -> table.Item | None:
    """Return the import of a file, or None if it does not exist."""
    return table.get_item(_make_job_key(file)) if ITEM_ID.fullmatch(file.import_id) else None


def begin_import(file: File, etag: str) -> bool:
    """Note that a file has arrived, and return whether it is the one that the import waits for or works on."""
    changes = {"state": "running", "etag": etag}
    return _update_job(file, changes, "#state = :waiting OR (#state = :running AND #etag = :etag)", {":etag": etag})


def end_split(file: File, parts: int, lines: int) -> bool:
    """Note how many parts and lines a file has, once all parts are in the queue; return whether the import runs."""
    return _update_job(file, {"parts": parts, "lines": lines}, "#state = :running OR #state = :waiting")


def fail_import(file: File, reason: str) -> bool:
    """End an import with a sentence for its owner; return whether it was running."""
    return _update_job(file, {"state": "failed", "reason": reason}, "#state = :running OR #state = :waiting")


def _update_job(file: File, changes: table.Item, condition: str, values: Mapping[str, Any] | None = None) -> bool:
    stamped = {**changes, "updatedAt": format_time(time.time_ns()), "revision": make_version()}
    values = {":waiting": "waiting", ":running": "running", **(values or {})}
    try:
        table.update_item(_make_job_key(file), stamped, [], condition, values)
    except table.ConditionFailed:
        return False
    return True


@dataclass
class _Chunk:
    """The lines that one transaction writes."""

    end: int
    items: list[table.Item] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    faulty: int = 0
    size: int = 0
    fault_size: int = 0


@dataclass
class PartImport:
    """The import of one part of a file.

    Attributes:
        file: the file.
        part: the part.
        collection: what the lines become items of.
        write_units: the most write units a second, so that the owner's partition has some left for requests; 0 for
            no limit.
    """

    file: File
    part: Part
    collection: Collection
    write_units: float = 0.0

    def __post_init__(self) -> None:
        key = f"{_PART}{self.file.import_id}#{self.part.number:08}"
        self._key = {"pk": _make_job_key(self.file)["pk"], "sk": key}
        self._too_large: set[int] = set()

    def run(self, lines: Sequence[bytes]) -> bool:
        """Write the lines that are not written yet.

        Args:
            lines: the part's lines, without their line breaks. One that is longer than `MAX_LINE_BYTES` may be cut.

        Returns:
            False if too little time is left for all of them. Run the part again.
        """
        state = self._read_state()
        most = _MAX_ITEMS
        while state["done"] < len(lines):
            if current_deadline().remaining < _CHUNK_SECONDS + _TRANSACTION_SECONDS:
                return False
            job = find_job(self.file)
            if job is None or job["state"] == "failed":
                return True
            started = time.monotonic()
            chunk = self._make_chunk(job, state, lines, most)
            try:
                state = self._write(job, state, chunk)
            except table.ItemTooLarge:
                # Nothing says which line it is.
                if most == 1:
                    self._too_large.add(chunk.end - 1)
                most = max(len(chunk.items) // 2, 1)
                continue
            most = _MAX_ITEMS
            self._pace(chunk, time.monotonic() - started)
        self._finish(state)
        return True

    def _read_state(self) -> table.Item:
        return table.get_item(self._key) or {"done": 0, "created": 0, "faulty": 0}

    def _make_chunk(self, job: table.Item, state: table.Item, lines: Sequence[bytes], most: int) -> _Chunk:
        caller = _make_caller(self.file, job)
        chunk, ends = _Chunk(state["done"]), time.monotonic() + _CHUNK_SECONDS
        while chunk.end < len(lines) and len(chunk.items) < most and chunk.size < _MAX_CHUNK_BYTES:
            if chunk.fault_size > _MAX_FAULT_BYTES or (chunk.end > state["done"] and time.monotonic() > ends):
                break
            line = lines[chunk.end]
            number = self.part.line + chunk.end
            if problems := self._read_line(caller, line, number, chunk):
                chunk.faulty += 1
                if state["faulty"] + chunk.faulty <= MAX_FAULTS:
                    fault = {"line": number, "problems": [problem._asdict() for problem in problems[:_MAX_PROBLEMS]]}
                    chunk.faults.append(fault)
                    chunk.fault_size += len(dump_json(fault).encode())
            chunk.end += 1
            chunk.size += len(line)
        return chunk

    def _read_line(self, caller: Caller, line: bytes, number: int, chunk: _Chunk) -> Sequence[Problem]:
        """Add the item of a line to a chunk, or return the line's problems."""
        if len(line) > MAX_LINE_BYTES:
            return [Problem("body", "is longer than 1 MB")]
        if chunk.end in self._too_large:
            return [Problem("body", "is larger than the 400 KB that can be stored")]
        if not line.strip(b" \t\r"):
            return []
        try:
            fields = read_document(line, self.collection.model)
        except BadRequest as error:
            return error.details
        chunk.items.append(self.collection.make_item(caller, _make_item_id(self.file.import_id, number), fields))
        return []

    def _write(self, job: table.Item, state: table.Item, chunk: _Chunk) -> table.Item:
        """Write a chunk and return the part's new state."""
        stamp = _make_stamp(_read_origin(job))
        changes = {
            "done": chunk.end,
            "created": state["created"] + len(chunk.items),
            "faulty": state["faulty"] + chunk.faulty,
            **stamp,
        }
        items = list(chunk.items)
        if chunk.faults:
            sk = f"{_FAULTS}{self.file.import_id}#{chunk.faults[0]['line']:010}"
            items.append({"pk": self._key["pk"], "sk": sk, "faults": dump_json(chunk.faults), **stamp})
        condition, values = "attribute_not_exists(#pk)", {}
        if state["done"]:
            condition, values = "#revision = :revision", {":revision": state["revision"]}
        try:
            table.transact([table.Update(self._key, changes, [], condition, values)], items)
        except table.ConditionFailed:
            found = self._read_state()
            if found["done"] <= state["done"]:
                raise
            # The message was delivered twice, and the other function was faster.
            return found
        return changes

    def _finish(self, state: table.Item) -> None:
        """Add the part's counts to the import, once."""
        while not state.get("finished"):
            job = find_job(self.file)
            if job is None:
                return
            counts = {name: job[name] + state[name] for name in ("created", "faulty")}
            changes = {
                **counts,
                "partsDone": job["partsDone"] + 1,
                "updatedAt": format_time(time.time_ns()),
                "revision": make_version(),
            }
            done = {"finished": True, "revision": make_version()}
            is_same = "#revision = :revision"
            updates = [
                table.Update(self._key, done, [], is_same, {":revision": state["revision"]}),
                table.Update(_make_job_key(self.file), changes, [], is_same, {":revision": job["revision"]}),
            ]
            try:
                table.transact(updates)
            except (table.ConditionFailed, table.WriteConflict):
                # Another part has finished in between, or another function has finished this one.
                current_deadline().cut(1.0)
                state = self._read_state()
            else:
                logger.info(
                    "A part of an import is done",
                    part=self.part.number,
                    created_lines=state["created"],
                    faulty_lines=state["faulty"],
                )
                return

    def _pace(self, chunk: _Chunk, elapsed: float) -> None:
        if self.write_units:
            # A transaction takes two write units for each item and KB.
            units = 2 * (1 + sum(math.ceil(_estimate_size(item) / 1024) for item in chunk.items))
            # The end of the part takes a transaction too. A pause that would last longer is cut.
            left = current_deadline().remaining - _TRANSACTION_SECONDS
            time.sleep(max(min(units / self.write_units - elapsed, left), 0.0))


def _estimate_size(item: Mapping[str, Any]) -> int:
    return 200 + sum(len(value) for value in item.values() if isinstance(value, str))


def _make_item_id(import_id: str, line: int) -> str:
    """Return the ID of the item of a line: a UUID of version 7 of the import's time, in the order of lines."""
    digits = f"{(0b10 << 62) | (line << 32) | int(import_id[-8:], 16):016x}"
    return f"{import_id[:19]}{digits[:4]}-{digits[4:]}"


def _make_stamp(origin: Origin) -> table.Item:
    """Return the attributes that each item of an import has."""
    return {"revision": make_version(), "expiresAt": int(time.time()) + KEPT_SECONDS, "writer": origin.to_attribute()}


def _read_origin(job: table.Item) -> Origin:
    writer = job["writer"]
    return Origin("import", job["sk"].removeprefix(_JOB), writer["at"], writer.get("actor", ""))


def _make_caller(file: File, job: table.Item) -> Caller:
    return Caller(file.owner, frozenset(), _read_origin(job))


def _make_job_key(file: File) -> table.Item:
    return {"pk": PARTITION_PREFIX + file.owner, "sk": _JOB + file.import_id}


def _is_completed(job: table.Item) -> bool:
    return bool(job["state"] == "running" and job.get("parts") == job["partsDone"])


def _to_document(job: table.Item, faults: Sequence[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: job[name] for name in ("reason", "lines") if name in job}
    return {
        "id": job["sk"].removeprefix(_JOB),
        "state": "completed" if _is_completed(job) else job["state"],
        **shown,
        "created": job["created"],
        "faulty": job["faulty"],
        "faults": faults,
        "createdAt": job["startedAt"],
        "updatedAt": job["updatedAt"],
    }


def _not_found() -> NotFound:
    return NotFound(f"There is no such {_NOUN}")
