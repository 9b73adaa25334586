"""What S3 checks of requests from outside and moto does not: links, POST policies and cross-origin rules.

Signatures in headers are not checked, as for all AWS services here.

Sources: "POST Policy", "Authenticating Requests: Using Query Parameters" (Amazon S3 API Reference), "Using cross-origin
resource sharing (CORS)", "Troubleshooting CORS" (Amazon S3 User Guide).
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moto.moto_server.werkzeug_app import BackendRequest
from moto.s3 import responses
from moto.s3.exceptions import EntityTooSmall, S3ClientError

from local_engine.access.credentials import Credentials, find_credentials
from local_engine.access.signatures import MISMATCH, HeaderUnsigned, SignatureRefused, SignedRequest, verify_signature
from local_engine.access.upload_signatures import verify_form, verify_old_link
from local_engine.account import REGION

_UNCONDITIONED = ("file", "policy", "signature", "awsaccesskeyid", "x-amz-signature")
_SIGNING_PARAMETERS = {"X-Amz-Algorithm", "X-Amz-Signature", "Signature", "AWSAccessKeyId"}
# The developer's key for the local AWS services, as docs and SDKs' clients have it.
_PLACEHOLDER = Credentials("local", "local", None, None, "local", None)
# S3's own error codes, by those of other services.
_REFUSALS = {
    MISMATCH: "SignatureDoesNotMatch",
    "IncompleteSignatureException": "AuthorizationQueryParametersError",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "ExpiredTokenException": "ExpiredToken",
}
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


@cache
def install_upload_rules(project: Path | None) -> None:
    """Add the checks to moto's S3.

    Args:
        project: the folder with the access keys that the engine issues. None if links are signed with others, and
            their signatures cannot be checked.
    """
    answer_form = responses.S3Response._bucket_response_post  # noqa: SLF001

    def check_form(response: Any, request: Any, bucket: str) -> Any:
        fields = {name.lower(): value for name, value in response.form_data.items()}
        if "policy" in fields:
            if project is not None:
                with _s3_refusals():
                    verify_form(fields, REGION, partial(_find_credentials, project))
            _check_policy(response, bucket)
        status, headers, content = answer_form(response, request, bucket)
        return status, {**_describe_origin(response, bucket, request.method), **headers}, content

    def answer_preflight(response: Any, headers: Mapping[str, str], bucket: str) -> Any:
        wanted = headers.get("Access-Control-Request-Headers") or ""
        names = [name.strip().lower() for name in wanted.split(",") if name.strip()]
        allowed = _describe_origin(response, bucket, headers.get("Access-Control-Request-Method") or "", names)
        if not allowed:
            raise S3ClientError("AccessForbidden", _NOT_ALLOWED)
        return 200, allowed, ""

    def describe_origin(response: Any) -> dict[str, str]:
        return _describe_origin(response, response.bucket_name, response.method)

    responses.S3Response._bucket_response_post = check_form  # type: ignore[assignment, method-assign]  # noqa: SLF001
    # A form is a POST. curl calls the body of a PUT one too.
    BackendRequest.want_form_data_parsed = property(  # type: ignore[assignment, method-assign]
        lambda request: request.method == "POST" and "CONTENT_TYPE" in request.environ
    )
    for name in ("_key_response", "_bucket_response"):
        setattr(responses.S3Response, name, _check_links(getattr(responses.S3Response, name), project))
    responses.S3Response._response_options = answer_preflight  # type: ignore[assignment, method-assign]  # noqa: SLF001
    responses.S3Response._get_cors_headers_other = describe_origin  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _check_links(answer: Callable[..., Any], project: Path | None) -> Callable[..., Any]:
    def checked(response: Any, request: Any, url: str) -> Any:
        # A browser asks before it sends what is signed.
        if request.method != "OPTIONS":
            query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            _check_expiry(query)
            if project is not None and query.keys() & _SIGNING_PARAMETERS:
                _check_signature(request, project)
        return answer(response, request, url)

    return checked


def _check_expiry(query: Mapping[str, str]) -> None:
    try:
        if "X-Amz-Expires" in query:
            signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            end = signed.timestamp() + int(query["X-Amz-Expires"])
        elif "Signature" in query and "Expires" in query:
            end = int(query["Expires"])
        else:
            return
    except (KeyError, ValueError) as error:
        reason = "Query-string authentication requires valid X-Amz-Date and X-Amz-Expires parameters."
        raise S3ClientError("AuthorizationQueryParametersError", reason) from error
    if end < time.time():
        raise S3ClientError("AccessDenied", "Request has expired")


def _check_signature(request: Any, project: Path) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    query = request.query_string.decode("latin-1")
    signed = SignedRequest(request.method, request.raw_path, query, headers, request.data)
    find = partial(_find_credentials, project)
    with _s3_refusals():
        if "X-Amz-" in query:
            verify_signature(signed, service="s3", region=REGION, find_credentials=find, shows_canonical_request=False)
        else:
            verify_old_link(signed, find)


@contextmanager
def _s3_refusals() -> Iterator[None]:
    """Give a refusal S3's own code and form."""
    try:
        yield
    except HeaderUnsigned as refusal:
        raise S3ClientError(
            "AccessDenied", "There were headers present in the request which were not signed"
        ) from refusal
    except SignatureRefused as refusal:
        raise S3ClientError(_REFUSALS[refusal.error_type], str(refusal)) from refusal


def _find_credentials(project: Path, access_key_id: str) -> Credentials | None:
    if access_key_id == _PLACEHOLDER.access_key_id:
        return _PLACEHOLDER
    return find_credentials(project, access_key_id)


def _check_policy(response: Any, bucket: str) -> None:
    fields = {name.lower(): value for name, value in response.form_data.items()}
    try:
        policy = json.loads(base64.b64decode(fields["policy"], validate=True))
        expiration = datetime.fromisoformat(policy["expiration"])
        conditions = list(_read_conditions(policy["conditions"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise S3ClientError("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from error
    if expiration.timestamp() < time.time():
        _deny("Policy expired.")
    # The key as the policy sees it has the file's name in it.
    fields |= {"bucket": bucket, "key": response.querystring["key"][0]}
    size, covered = len(response.body or b""), {"bucket"}
    for operator, name, operands in conditions:
        if operator == "content-length-range":
            _check_size(size, *operands)
            continue
        covered.add(name)
        value, expected = fields.get(name, ""), str(operands[0])
        is_met = value.startswith(expected) if operator == "starts-with" else value == expected
        if not is_met:
            _deny(f"Policy Condition failed: {json.dumps([operator, f'${name}', expected])}")
    extra = [name for name in fields if name not in covered | {*_UNCONDITIONED} and not name.startswith("x-ignore-")]
    if extra:
        _deny(f"Extra input fields: {', '.join(extra)}")


def _read_conditions(conditions: list[Any]) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    for condition in conditions:
        if isinstance(condition, dict):
            for name, value in condition.items():
                yield "eq", name.lower(), (value,)
            continue
        operator, *operands = condition
        if operator == "content-length-range":
            yield operator, "", (int(operands[0]), int(operands[1]))
        else:
            yield str(operator).lower(), operands[0].removeprefix("$").lower(), (operands[1],)


def _check_size(size: int, smallest: int, largest: int) -> None:
    if size > largest:
        raise S3ClientError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    if size < smallest:
        raise EntityTooSmall


def _deny(reason: str) -> None:
    raise S3ClientError("AccessDenied", f"Invalid according to Policy: {reason}")


def _describe_origin(response: Any, bucket: str, method: str, names: list[str] | None = None) -> dict[str, str]:
    """Return the headers of the first rule that matches a request, or of a preflight that asks for header names."""
    origin = response.headers.get("Origin")
    found = response.backend.buckets.get(bucket)
    if not origin or found is None:
        return {}
    for rule in found.cors:
        accepted = [name.lower() for name in rule.allowed_headers or ()]
        if (
            any(_fits(origin, pattern) for pattern in rule.allowed_origins or ())
            and method in (rule.allowed_methods or ())
            and all(any(_fits(name, pattern) for pattern in accepted) for name in names or ())
        ):
            return dict(_describe_rule(rule, origin, names))
    return {}


def _describe_rule(rule: Any, origin: str, names: list[str] | None) -> Iterator[tuple[str, str]]:
    is_public = "*" in rule.allowed_origins
    yield "Access-Control-Allow-Origin", "*" if is_public else origin
    yield "Access-Control-Allow-Methods", ", ".join(rule.allowed_methods)
    if not is_public:
        yield "Access-Control-Allow-Credentials", "true"
    if names:
        yield "Access-Control-Allow-Headers", ", ".join(names)
    if rule.exposed_headers:
        yield "Access-Control-Expose-Headers", ", ".join(rule.exposed_headers)
    if rule.max_age_seconds is not None:
        yield "Access-Control-Max-Age", str(rule.max_age_seconds)
    yield "Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def _fits(value: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None
