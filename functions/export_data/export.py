"""An export in lines of JSON: one for each item, then one that says whether the export is complete.

    {"at": "resources.AZqw…", "resource": {"id": …}}
    {"end": {"complete": true, "counts": {"resources": 1}, "checksum": "sha256:…"}}

A client that gets no line with `end` has lost the rest, and continues with `?from=` and the `at` of the last whole
line. The same goes for an `end` with `"complete": false`: the response has reached the size or the time that it may
have. Counts and checksum are those of the lines before, in this response. `withheld` names the sections whose scope the
caller's token does not have.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sections import SECTIONS, Entry, Section
from serverless_api import BadRequest, Caller, Problem, TableUnavailable, current_deadline, dump_json

MAX_BYTES = 202_000_000
"""Size after which a response ends, with room for another page below Lambda's limit of 200 MB (209,715,200)."""
FIRST_PAGE = 1
"""How many items the first page has: the caller waits for it."""
GROWTH = 8
"""How many times more each further page has."""
LARGEST_PAGE = 512
"""How many items a page has at most. Pages of large items end at about a megabyte."""
PAUSE_SECONDS = 1.0
"""Time before a page that the table did not give is asked for again, with fewer items."""
RESERVE_SECONDS = 5.0
"""Time before the deadline at which a response ends."""


def export(caller: Caller, after: str | None) -> Iterator[bytes]:
    """Yield the lines of an export, in chunks of a page.

    Args:
        caller: the owner of everything in the export.
        after: the `at` of a line of an earlier export, to go on after it; None for everything.

    Raises:
        BadRequest: `after` is no `at` of an export.
    """
    sections = [section for section in SECTIONS if caller.has_scope(section.scope)]
    remaining, position = _find_start(sections, after)
    counts = dict.fromkeys((section.name for section in sections), 0)
    digest = hashlib.sha256()
    size, is_complete = 0, True
    for section, page in _read_pages(caller, remaining, position):
        lines = [dump_json({"at": f"{section.name}.{at}", section.item: document}) for at, document in page]
        chunk = "".join(f"{line}\n" for line in lines).encode()
        digest.update(chunk)
        size += len(chunk)
        counts[section.name] += len(lines)
        yield chunk
        if size > MAX_BYTES or current_deadline().remaining < RESERVE_SECONDS:
            is_complete = False
            break
    end: dict[str, Any] = {"complete": is_complete, "counts": counts, "checksum": f"sha256:{digest.hexdigest()}"}
    if withheld := [section.name for section in SECTIONS if section not in sections]:
        end["withheld"] = withheld
    yield f"{dump_json({'end': end})}\n".encode()


def _find_start(sections: Sequence[Section], after: str | None) -> tuple[Sequence[Section], str | None]:
    """Return the sections from the first one that has something to export on, and the position in it."""
    if after is None:
        return sections, None
    name, _, position = after.partition(".")
    for index, section in enumerate(sections):
        if section.name == name and position:
            return sections[index:], position
    raise _bad_start()


def _read_pages(
    caller: Caller, sections: Sequence[Section], position: str | None
) -> Iterator[tuple[Section, Sequence[Entry]]]:
    limit = FIRST_PAGE
    for section in sections:
        while True:
            try:
                page = _list(section, caller, limit, position)
            except TableUnavailable:
                if limit == 1:
                    raise
                limit = max(limit // GROWTH, 1)
                time.sleep(PAUSE_SECONDS)
                continue
            if not page:
                break
            yield section, page
            position = page[-1][0]
            limit = min(limit * GROWTH, LARGEST_PAGE)
        position = None


def _list(section: Section, caller: Caller, limit: int, position: str | None) -> Sequence[Entry]:
    try:
        return section.list(caller, limit, position)
    except BadRequest as error:
        raise _bad_start() from error


def _bad_start() -> BadRequest:
    return BadRequest("The request is not valid", [Problem("from", "must be the `at` of a line of an export")])
