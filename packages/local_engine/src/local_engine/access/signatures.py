"""Verification of requests that are signed with Signature Version 4, as API Gateway, Lambda and S3 do it.

Sources: "AWS Signature Version 4 for API requests" (IAM User Guide), "Authenticating Requests: Using Query Parameters"
(Amazon S3 API Reference); the order of the checks and their messages are those of AWS's services. botocore
canonicalises and signs.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from local_engine.access.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
_S3 = "s3"
_SKEW_SECONDS = 300
_LONGEST_EXPIRY = 7 * 24 * 60 * 60
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_TIME = re.compile(r"\d{8}T\d{6}Z")
_PARAMETERS = ("Credential", "Signature", "SignedHeaders")
MISMATCH = "InvalidSignatureException"
_PAYLOAD_HASH = "x-amz-content-sha256"
_UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""
type FindCredentials = Callable[[str], Credentials | None]
"""Returns issued credentials by access key ID."""


class SignatureRefused(Exception):
    """The request is not signed, or not as it must be. The message is AWS's."""

    def __init__(self, error_type: str, message: str) -> None:
        """Take the value of `x-amzn-errortype`, and the message."""
        super().__init__(message)
        self.error_type = error_type


class HeaderUnsigned(SignatureRefused):
    """The request has a header that its signature does not cover, and must."""

    def __init__(self, message: str) -> None:
        """Take the message."""
        super().__init__(MISMATCH, message)


@dataclass(frozen=True)
class SignedRequest:
    """What a signature covers."""

    method: str
    raw_path: str
    """As sent, with percent escapes."""
    query: str
    """As sent, without the question mark."""
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class _Claim:
    """What a request says of its signature, in its header or its query string."""

    credential: str
    signed_headers: Sequence[str]
    signature: str
    time: str
    token: str | None
    expires: int | None
    """Seconds; None if the signature is in a header."""


def verify_signature(
    request: SignedRequest,
    *,
    service: str,
    region: str,
    find_credentials: FindCredentials,
    shows_canonical_request: bool = True,
) -> Credentials:
    """Return the credentials that a request was signed with.

    Args:
        request: the request as it arrived.
        service: the service of the credential scope, such as `execute-api`. For `s3`, the request must be a link.
        region: its region.
        find_credentials: returns issued credentials by access key ID.
        shows_canonical_request: whether a wrong signature is answered with what should have been signed.

    Raises:
        SignatureRefused: the request is rejected.
    """
    values = join_headers(request.headers)
    claim = _read_claim(request, values)
    _check_time(claim)
    if "host" not in claim.signed_headers:
        raise _mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    access_key_id = _check_scope(claim, service, region)
    credentials = find_signer(find_credentials, access_key_id, claim.token)
    for name in values:
        # Some signers add the token after signing.
        is_free = name == "x-amz-security-token" or name in claim.signed_headers
        if name.startswith("x-amz-") and not is_free:
            raise HeaderUnsigned(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    canonical, to_sign, signature = _sign(request, claim, credentials, service, region)
    if not _has_payload(request, values, service) or not hmac.compare_digest(
        signature.encode(), claim.signature.encode()
    ):
        message = (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
        if shows_canonical_request:
            message += (
                f"\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
                f"The String-to-Sign should have been\n'{to_sign}'\n"
            )
        raise _mismatch(message)
    return credentials


def find_signer(find_credentials: FindCredentials, access_key_id: str, token: str | None) -> Credentials:
    """Return the credentials of an access key ID, if they are good and have the session token.

    Raises:
        SignatureRefused: there are no such credentials, or they have expired.
    """
    credentials = find_credentials(access_key_id)
    if credentials is None or not _has_token(credentials, token):
        raise SignatureRefused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if credentials.is_expired:
        raise SignatureRefused("ExpiredTokenException", "The security token included in the request is expired")
    return credentials


def is_signed(request: SignedRequest) -> bool:
    """Return whether a request carries a signature or another kind of authorization."""
    return "X-Amz-Signature=" in request.query or any(name == b"authorization" for name, _ in request.headers)


def canonicalise(request: SignedRequest, signed_headers: Sequence[str], service: str = "") -> str:
    """Return the canonical request ("Create a signed AWS API request")."""
    from botocore.utils import normalize_url_path  # noqa: PLC0415 - only if something is signed

    values = join_headers(request.headers)
    # The path was escaped by the client, and services other than S3 escape it again.
    if service == _S3:
        path = unquote_to_bytes(request.raw_path)
        payload_hash = values.get(_PAYLOAD_HASH, _UNSIGNED_PAYLOAD)
    else:
        path = normalize_url_path(request.raw_path or "/").encode("latin-1")
        payload_hash = hashlib.sha256(request.body).hexdigest()
    return "\n".join(
        (
            request.method.upper(),
            quote(path, safe="/~"),
            _canonicalise_query(request.query),
            *(f"{name}:{values.get(name, '')}" for name in signed_headers),
            "",
            ";".join(signed_headers),
            payload_hash,
        )
    )


def _canonicalise_query(query: str) -> str:
    pairs = []
    for pair in filter(None, query.encode("latin-1").split(b"&")):
        name, _, value = (quote(unquote_to_bytes(part), safe="-_.~") for part in pair.partition(b"="))
        # A signature does not cover itself.
        if name != "X-Amz-Signature":
            pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _sign(
    request: SignedRequest, claim: _Claim, credentials: Credentials, service: str, region: str
) -> tuple[str, str, str]:
    """Return the canonical request, the string to sign, and the signature."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - only if something is signed
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    signer = SigV4Auth(credentials.to_botocore(), service, region)
    holder = AWSRequest()
    holder.context["timestamp"] = claim.time
    canonical = canonicalise(request, claim.signed_headers, service)
    to_sign = signer.string_to_sign(holder, canonical)
    return canonical, to_sign, signer.signature(to_sign, holder)


def _read_claim(request: SignedRequest, values: Mapping[str, str]) -> _Claim:
    parameters = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = values.get("authorization")
    if authorization is not None and "X-Amz-Algorithm" in parameters:
        raise _mismatch("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    if authorization is not None:
        return _read_header(authorization, values)
    if "X-Amz-Signature" in parameters or "X-Amz-Algorithm" in parameters:
        return _read_query(parameters)
    raise SignatureRefused("MissingAuthenticationTokenException", "Missing Authentication Token")


def _read_header(authorization: str, values: Mapping[str, str]) -> _Claim:
    algorithm, _, rest = authorization.partition(" ")
    hashed = base64.b64encode(hashlib.sha256(authorization.encode()).digest()).decode()
    parts: dict[str, str] = {}
    for part in filter(None, map(str.strip, rest.split(","))):
        name, separator, value = part.partition("=")
        if not separator:
            raise _incomplete(
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded "
                f"with Base64): '{hashed}'."
            )
        parts[name] = value
    moment = values.get("x-amz-date") or _read_http_date(values.get("date"))
    missing = [f"Authorization header requires '{name}' parameter." for name in _PARAMETERS if not parts.get(name)]
    if moment is None:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or moment is None:
        raise _incomplete(f"{' '.join(missing)} (Hashed with SHA-256 and encoded with Base64) Authorization={hashed}")
    _check_algorithm(algorithm)
    return _Claim(
        parts["Credential"],
        parts["SignedHeaders"].split(";"),
        parts["Signature"],
        moment,
        values.get("x-amz-security-token"),
        None,
    )


def _read_query(parameters: Mapping[str, str]) -> _Claim:
    missing = [
        f"AWS query-string parameters must include 'X-Amz-{name}'."
        for name in ("Algorithm", *_PARAMETERS, "Date", "Expires")
        if not parameters.get(f"X-Amz-{name}")
    ]
    if missing:
        raise _incomplete(f"{' '.join(missing)} Re-examine the query-string parameters.")
    _check_algorithm(parameters["X-Amz-Algorithm"])
    expires = parameters["X-Amz-Expires"]
    if not re.fullmatch(r"\d{1,6}", expires) or not 1 <= int(expires) <= _LONGEST_EXPIRY:
        raise _incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800.")
    return _Claim(
        parameters["X-Amz-Credential"],
        parameters["X-Amz-SignedHeaders"].split(";"),
        parameters["X-Amz-Signature"],
        parameters["X-Amz-Date"],
        parameters.get("X-Amz-Security-Token"),
        int(expires),
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")


def _check_time(claim: _Claim) -> None:
    try:
        if not _TIME.fullmatch(claim.time):
            raise ValueError(claim.time)
        signed_at = datetime.strptime(claim.time, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{claim.time}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None
    now = time.time()
    if signed_at.timestamp() > now + _SKEW_SECONDS:
        raise _mismatch(
            f"Signature not yet current: {claim.time} is still later than {_write_time(now + _SKEW_SECONDS)} "
            f"({_write_time(now)} + 5 min.)"
        )
    if claim.expires is not None:
        if (end := signed_at.timestamp() + claim.expires) < now:
            raise _mismatch(f"Signature expired: {_write_time(end)} is now earlier than {_write_time(now)}")
    elif signed_at.timestamp() < now - _SKEW_SECONDS:
        raise _mismatch(
            f"Signature expired: {claim.time} is now earlier than {_write_time(now - _SKEW_SECONDS)} "
            f"({_write_time(now)} - 5 min.)"
        )


def _check_scope(claim: _Claim, service: str, region: str) -> str:
    """Return the access key ID of a credential scope that fits."""
    parts = claim.credential.split("/")
    if len(parts) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{claim.credential}'"
        )
    access_key_id, date, given_region, given_service, terminator = parts
    problems = []
    if given_region != region:
        problems.append(f"Credential should be scoped to a valid region, not '{given_region}'. ")
    if given_service != service:
        problems.append(f"Credential should be scoped to correct service: '{service}'. ")
    if terminator != "aws4_request":
        problems.append(f"Credential should be scoped with a valid terminator: 'aws4_request', not '{terminator}'. ")
    if date != claim.time[:8]:
        problems.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{claim.time[:8]}', from '{claim.time}'. "
        )
    if problems:
        raise _mismatch("".join(problems))
    return access_key_id


def _has_payload(request: SignedRequest, values: Mapping[str, str], service: str) -> bool:
    """Return whether the body is the one that the request names by its hash, if it names one."""
    named = values.get(_PAYLOAD_HASH)
    is_free = named is None or (service == _S3 and named == _UNSIGNED_PAYLOAD)
    return is_free or named == hashlib.sha256(request.body).hexdigest()


def _has_token(credentials: Credentials, token: str | None) -> bool:
    return hmac.compare_digest((credentials.session_token or "").encode(), (token or "").encode())


def join_headers(headers: Headers) -> dict[str, str]:
    """Return the headers' canonical values by name; those of one name are joined."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        try:
            text = raw_value.decode()
        except UnicodeDecodeError:
            text = raw_value.decode("latin-1")
        value = " ".join(text.split())
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _read_http_date(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime(_TIME_FORMAT)
    except ValueError:
        return text


def _write_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME_FORMAT)


def _mismatch(message: str) -> SignatureRefused:
    return SignatureRefused(MISMATCH, message)


def _incomplete(message: str) -> SignatureRefused:
    return SignatureRefused("IncompleteSignatureException", message)
