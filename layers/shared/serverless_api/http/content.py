"""Checks of how a request's body is declared: `Content-Type` and `Content-Encoding`.

Source: RFC 9110, sections 8.3 and 8.4.
"""

import re
from collections.abc import Sequence

from serverless_api.http.errors import BadRequest, Problem, UnsupportedMediaType

_MEDIA_TYPE = re.compile(r"([!#$%&'*+.^_`|~\w-]++/[!#$%&'*+.^_`|~\w-]++)[ \t]*+", re.ASCII)
# A parameter may be empty: "application/json;" is legal (RFC 9110, section 5.6.6).
_PARAMETER = re.compile(
    r""";[ \t]*+(?:(?P<name>[!#$%&'*+.^_`|~\w-]++)=(?P<value>[!#$%&'*+.^_`|~\w-]++|"(?:[^"\\]|\\.)*+"))?+[ \t]*+""",
    re.ASCII,
)


JSON = ("application/json",)
"""The media type of JSON."""
MERGE_PATCH = ("application/merge-patch+json",)
"""The media type of a JSON Merge Patch (RFC 7396)."""


def check_media_type(header: str, accepted: Sequence[str] = JSON) -> None:
    """Check that a `Content-Type` is JSON in UTF-8, the only charset that JSON has (RFC 8259, section 8.1).

    Parameters without a meaning are ignored (RFC 8259, section 11).

    Args:
        header: the header's value.
        accepted: media types that are based on JSON, in lower case.

    Raises:
        BadRequest: it is something else.
    """
    header = header.strip(" \t")
    media_type = _MEDIA_TYPE.match(header)
    if media_type and media_type[1].lower() not in accepted:
        media_type = None
    position = media_type.end() if media_type else 0
    while media_type and position < len(header) and (parameter := _PARAMETER.match(header, position)):
        charset = (parameter["value"] or "").strip('"').lower()
        if (parameter["name"] or "").lower() == "charset" and charset != "utf-8":
            raise _reject("must have the charset utf-8, or none")
        position = parameter.end()
    if not media_type or position < len(header):
        raise _reject(f"must be {accepted[0]}")


def check_coding(header: str) -> None:
    """Check that a `Content-Encoding` does not compress the body.

    Raises:
        UnsupportedMediaType: it does; the response names the encoding that works.
    """
    if any(coding.strip(" \t").lower() not in ("", "identity") for coding in header.split(",")):
        problem = Problem("Content-Encoding", "must be identity, or none")
        # RFC 9110, section 12.5.3.
        raise UnsupportedMediaType("The body must not be compressed", [problem], {"Accept-Encoding": "identity"})


def _reject(problem: str) -> BadRequest:
    return BadRequest("The request is not valid", [Problem("Content-Type", problem)])
