"""Verification of S3's links of Signature Version 2, which are boto3's default, and of forms for uploads.

Sources: "Signing and authenticating REST requests (AWS signature version 2)" (Amazon S3 User Guide), "Calculating a
signature for browser-based uploads using HTTP POST" (Amazon S3 API Reference). botocore signs.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from local_engine.access.signatures import (
    MISMATCH,
    FindCredentials,
    SignatureRefused,
    SignedRequest,
    find_signer,
    join_headers,
)


def verify_old_link(request: SignedRequest, find_credentials: FindCredentials) -> None:
    """Verify a link of Signature Version 2.

    Args:
        request: the request as it arrived.
        find_credentials: returns issued credentials by access key ID.

    Raises:
        SignatureRefused: the request is rejected.
    """
    from botocore.auth import HmacV1Auth  # noqa: PLC0415 - only if something is signed

    parameters = dict(parse_qsl(request.query, keep_blank_values=True))
    headers = join_headers(request.headers)
    token = parameters.get("x-amz-security-token")
    credentials = find_signer(find_credentials, parameters.get("AWSAccessKeyId", ""), token)
    signer = HmacV1Auth(credentials.to_botocore())
    named = {name: value for name, value in {**parameters, **headers}.items() if name.startswith("x-amz-")}
    lines = (
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        parameters.get("Expires", ""),
        *(f"{name}:{value}" for name, value in sorted(named.items())),
        signer.canonical_resource(urlsplit(f"{request.raw_path}?{request.query}")),
    )
    _compare(signer.sign_string("\n".join(lines)), parameters.get("Signature", ""))


def verify_form(fields: Mapping[str, str], region: str, find_credentials: FindCredentials) -> None:
    """Verify the signature of a form's policy, of Signature Version 4 or 2.

    Args:
        fields: the form's fields. Names are in lower case.
        region: the region of the credential scope.
        find_credentials: returns issued credentials by access key ID.

    Raises:
        SignatureRefused: the form is rejected.
    """
    from botocore.auth import HmacV1Auth, SigV4Auth  # noqa: PLC0415 - only if something is signed
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    access_key_id = fields.get("x-amz-credential", fields.get("awsaccesskeyid", "")).split("/")[0]
    credentials = find_signer(find_credentials, access_key_id, fields.get("x-amz-security-token"))
    if "x-amz-signature" in fields:
        holder = AWSRequest()
        holder.context["timestamp"] = fields.get("x-amz-date", "")
        expected = SigV4Auth(credentials.to_botocore(), "s3", region).signature(fields["policy"], holder)
        _compare(expected, fields["x-amz-signature"])
    else:
        _compare(HmacV1Auth(credentials.to_botocore()).sign_string(fields["policy"]), fields.get("signature", ""))


def _compare(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        message = "The request signature we calculated does not match the signature you provided. Check your key and "
        raise SignatureRefused(MISMATCH, f"{message}signing method.")
