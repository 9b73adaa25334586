"""HTTP requests: API Gateway's payload format 2.0, read and checked.

Source: «Create AWS Lambda proxy integrations for HTTP APIs in API Gateway», Amazon API Gateway Developer Guide.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from serverless_api.http.content import JSON, MERGE_PATCH, check_coding, check_media_type
from serverless_api.http.errors import BadRequest, ContentTooLarge, Problem
from serverless_api.http.identity import Caller
from serverless_api.http.preconditions import Preconditions, read_preconditions
from serverless_api.http.validation import check_value
from serverless_api.storage.json_text import InvalidJSON, parse_json

# A string of structured fields (RFC 9651, section 3.3.3), or the same without quotes.
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*+)"')
_BARE_KEY = re.compile(r"[!#-+\--~]+")
_MAX_KEY = 255
_MAX_BODY = 3_000_000
"""How many characters a text may have. Checking more would take seconds, and nothing of that size can be stored: the
escapes of JSON (`\\u00e9`) spell an item of 400 KB in three times as many characters."""
_NOT_TEXT = "is not UTF-8 text"
_CORRELATION_ID = re.compile(r"[!-~]{1,128}")


class Request(NamedTuple):
    """A request of a known caller.

    Attributes:
        event: the gateway's event, unchanged.
        request_id: the gateway's request ID.
        caller: the caller.
    """

    event: Mapping[str, Any]
    request_id: str
    caller: Caller

    def read_header(self, name: str) -> str | None:
        """Return the header `name`, given in lower case, or None."""
        return _find_header(self.event, name)

    def read_path_parameter(self, name: str) -> str:
        """Return the path parameter `name`, or an empty string if the route has none."""
        value: str = (self.event.get("pathParameters") or {}).get(name) or ""
        return value

    def read_query_parameter(self, name: str) -> str | None:
        """Return the query parameter `name`, several values joined by commas, or None."""
        value: str | None = (self.event.get("queryStringParameters") or {}).get(name)
        return value

    def read_query_parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Return those of some query parameters that the request has."""
        values = {name: self.read_query_parameter(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def read_flag(self, name: str) -> bool:
        """Return the query parameter `name`, which is `true` or `false`; false if it is missing.

        Raises:
            BadRequest: it is something else.
        """
        text = self.read_query_parameter(name)
        if text not in (None, "true", "false"):
            raise BadRequest("The request is not valid", [Problem(name, "must be true or false")])
        return text == "true"

    def read_limit(self, default: int, most: int) -> int:
        """Return the query parameter `limit`, the number of items on a page, from 1 to `most`.

        Raises:
            BadRequest: it is not a whole number of at least 1.
        """
        text = self.read_query_parameter("limit")
        if text is None:
            return default
        digits = text.lstrip("0")
        if not (text.isascii() and text.isdigit() and digits):
            raise BadRequest("The request is not valid", [Problem("limit", "must be a whole number of at least 1")])
        # A number with more digits than `most` is greater than `most`; parsing it could take long.
        return most if len(digits) > len(str(most)) else min(int(digits), most)

    def read_body(self, model: str) -> dict[str, Any]:
        """Return the body, checked against the request model `models/<model>.json`.

        Raises:
            BadRequest: it is not JSON in UTF-8, is not declared as JSON, or violates the model; the error names the
                invalid fields.
            ContentTooLarge: it is larger than any that can be stored.
            UnsupportedMediaType: it is compressed.
        """
        return read_document(self._read_text(JSON), model)

    def read_patch(self) -> dict[str, Any]:
        """Return the body, a JSON Merge Patch (RFC 7396) of an object. `Collection.patch` checks what it names.

        Raises:
            BadRequest: it is not a JSON object in UTF-8, or is not declared as `application/merge-patch+json`.
            ContentTooLarge: it is larger than any that can be stored.
            UnsupportedMediaType: it is compressed.
        """
        patch = _parse(self._read_text(MERGE_PATCH))
        if not isinstance(patch, dict):
            raise _refuse_body("must be an object")
        return patch

    def _read_text(self, media_types: Sequence[str]) -> str | bytes:
        check_media_type(self.read_header("content-type") or "", media_types)
        check_coding(self.read_header("content-encoding") or "")
        body: str = self.event.get("body") or ""
        if len(body) > (_MAX_BODY * 4 // 3 if self.event.get("isBase64Encoded") else _MAX_BODY):
            raise ContentTooLarge("The body is larger than can be stored")
        return self._decode_body()

    def read_content(self, media_types: Sequence[str]) -> bytes:
        """Return the body unchanged; empty if there is none.

        Args:
            media_types: the accepted media types, in lower case; all are based on JSON.

        Raises:
            BadRequest: a body is not declared as one of these.
            UnsupportedMediaType: it is compressed.
        """
        body: str = self.event.get("body") or ""
        if body:
            check_media_type(self.read_header("content-type") or "", media_types)
            check_coding(self.read_header("content-encoding") or "")
        content = self._decode_body()
        return content.encode(errors="surrogatepass") if isinstance(content, str) else content

    def _decode_body(self) -> str | bytes:
        """Return the body as the gateway passes it: text, or bytes that it has encoded."""
        body: str = self.event.get("body") or ""
        if self.event.get("isBase64Encoded"):
            try:
                return base64.b64decode(body, validate=True)
            # One that is not even ASCII is no `binascii.Error`.
            except ValueError as error:
                raise _refuse_body(_NOT_TEXT) from error
        # A REST API passes text only: this character replaces bytes that are not UTF-8. A caller can escape it.
        if "httpMethod" in self.event and "\ufffd" in body:
            raise _refuse_body(_NOT_TEXT)
        return body

    def read_idempotency_key(self) -> str | None:
        """Return the `Idempotency-Key`, or None if there is none.

        The draft makes it a string of structured fields: `"k"`. Many clients leave out the quotes, so `k` is the same
        key. The gateway joins repeated headers with commas; a comma is therefore part of a key only inside quotes.

        Raises:
            BadRequest: it is not one key of 1 to 255 characters.
        """
        header = self.read_header("idempotency-key")
        if header is None:
            return None
        header = header.strip(" \t")
        if quoted := _QUOTED_KEY.fullmatch(header):
            key = re.sub(r"\\(.)", r"\1", quoted[1])
        else:
            key = header if _BARE_KEY.fullmatch(header) else ""
        if not 0 < len(key) <= _MAX_KEY:
            problem = (
                f"must be one key of 1 to {_MAX_KEY} visible ASCII characters;"
                " a key with spaces, commas or quotes must be a quoted string"
            )
            raise BadRequest("The request is not valid", [Problem("Idempotency-Key", problem)])
        return key

    def read_preconditions(self) -> Preconditions:
        """Return the preconditions in `If-Match` and `If-None-Match`.

        Raises:
            BadRequest: one of them is neither `*` nor a list of entity tags.
        """
        return read_preconditions(self.read_header("if-match"), self.read_header("if-none-match"))


def read_document(content: str | bytes, model: str) -> dict[str, Any]:
    """Return the value of a JSON document, checked against the request model `models/<model>.json`.

    Raises:
        BadRequest: it is not JSON in UTF-8 or violates the model; the error names the invalid fields.
    """
    body = _parse(content)
    check_value(body, model)
    return body  # type: ignore[no-any-return]


def _parse(content: str | bytes) -> Any:
    try:
        return parse_json(content if isinstance(content, str) else content.decode())
    except (InvalidJSON, UnicodeDecodeError) as error:
        raise _refuse_body(str(error) if isinstance(error, InvalidJSON) else _NOT_TEXT) from error


def _refuse_body(problem: str) -> BadRequest:
    return BadRequest("The request is not valid", [Problem("body", problem)])


def read_correlation_id(event: Mapping[str, Any]) -> str | None:
    """Return the event's `X-Correlation-Id`, which correlates the request across systems, or None.

    A missing or invalid one (1 to 128 visible ASCII characters) is not an error.
    """
    correlation_id = _find_header(event, "x-correlation-id") or ""
    return correlation_id if _CORRELATION_ID.fullmatch(correlation_id) else None


def _find_header(event: Mapping[str, Any], name: str) -> str | None:
    # The gateway sends all names in lower case; `sam local` passes them unchanged.
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((value for header, value in headers.items() if header.lower() == name), None)
