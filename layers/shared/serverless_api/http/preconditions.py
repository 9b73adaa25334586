"""Preconditions of a request: `If-Match` and `If-None-Match` (RFC 9110, section 13).

docs/decisions/preconditions.md says what each method does with them.
"""

import re
from typing import NamedTuple

from serverless_api.http.errors import BadRequest, Problem
from serverless_api.storage.table import MAX_ALTERNATIVES

# An element of a list, which may be empty, and the comma after it (RFC 9110, sections 5.6.1 and 8.8.3).
_ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([!#-~\x80-\U0010ffff]*)"[ \t]*)?(?:,|\Z)')


class Preconditions(NamedTuple):
    """The versions of an item that a request is for; by default all.

    Attributes:
        match: the versions that `If-Match` lists, or None for any.
        none_match: the versions that `If-None-Match` lists, or None for any.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = frozenset()

    def allow(self, version: str) -> bool:
        """Return whether `If-Match` holds for a version (RFC 9110, section 13.1.1)."""
        return self.match is None or version in self.match

    def exclude(self, version: str) -> bool:
        """Return whether `If-None-Match` fails for a version: the caller has it (RFC 9110, section 13.1.2)."""
        return self.none_match is None or version in self.none_match


ANY_VERSION = Preconditions()


def read_preconditions(if_match: str | None, if_none_match: str | None) -> Preconditions:
    """Return the preconditions that the values of the two headers state.

    `If-Match` compares strongly, so weak entity tags match nothing; `If-None-Match` compares weakly.

    Args:
        if_match: the value of `If-Match`, several lines joined by commas, or None.
        if_none_match: the value of `If-None-Match`, likewise.

    Raises:
        BadRequest: a header is neither `*` nor a list of entity tags, or it lists too many.
    """
    return Preconditions(
        match=None if if_match is None else _read_tags("If-Match", if_match, are_strong=True),
        none_match=frozenset() if if_none_match is None else _read_tags("If-None-Match", if_none_match),
    )


def _read_tags(header: str, value: str, *, are_strong: bool = False) -> frozenset[str] | None:
    """Return the opaque tags of a header, or None for `*`."""
    if value.strip(" \t") == "*":
        return None
    elements: list[re.Match[str]] = []
    position = 0
    while position < len(value):
        element = _ELEMENT.match(value, position)
        if element is None:
            raise _bad_header(header, 'must be * or a list of entity tags such as "abc"')
        position = element.end()
        if element[2] is not None:
            elements.append(element)
    if not elements:
        raise _bad_header(header, "must have an entity tag")
    # One condition of a write compares no more.
    if len(elements) > MAX_ALTERNATIVES:
        raise _bad_header(header, f"must have at most {MAX_ALTERNATIVES} entity tags")
    return frozenset(element[2] for element in elements if not (are_strong and element[1]))


def _bad_header(header: str, problem: str) -> BadRequest:
    return BadRequest("The request is not valid", [Problem(header, problem)])
