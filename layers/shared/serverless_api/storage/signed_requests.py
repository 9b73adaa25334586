"""Requests to AWS: where a service is, and the signature that it asks for.

Importing botocore's signer would load two thirds of botocore.

Source: «Create a signed AWS API request», AWS Identity and Access Management User Guide.
"""

import hashlib
import hmac
from collections.abc import Mapping

from serverless_api.storage.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"

# Domains of the partitions that do not use amazonaws.com, by prefix of the region.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


def regional_host(service: str, region: str) -> str:
    """Return the host of a service in a region.

    >>> regional_host("dynamodb", "eu-central-1")
    'dynamodb.eu-central-1.amazonaws.com'
    """
    suffix = next((name for prefix, name in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
    return f"{service}.{region}.{suffix}"


def find_endpoint(environ: Mapping[str, str], service: str) -> str | None:
    """Return the URL that the environment sets for a service, or None.

    Source: «Service-specific endpoints», AWS SDKs and Tools Reference Guide.

    >>> find_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": ""}, "dynamodb")
    'http://127.0.0.1:8000'
    """
    return environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL") or None


def make_scope(moment: str, region: str, service: str) -> str:
    """Return what a signature is good for: a day, a region and a service."""
    return f"{moment[:8]}/{region}/{service}/aws4_request"


def compute_signature(credentials: Credentials, moment: str, scope: str, canonical_request: str) -> str:
    """Return the signature of a canonical request.

    Args:
        credentials: the keys to sign with.
        moment: the time of the request, as `x-amz-date` spells it.
        scope: what `make_scope` returns.
        canonical_request: the request in its canonical form.
    """
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (*scope.split("/"), f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def list_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of the headers to sign, and the lines of a canonical request with names and values."""
    return ";".join(sorted(headers)), "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))


def sign(
    credentials: Credentials,
    region: str,
    service: str,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    """Return the headers of a request with its signature, and the session token if there is one.

    Args:
        credentials: the keys to sign with.
        region: the endpoint's region.
        service: the service's name in signatures, such as `dynamodb`.
        method: the HTTP method.
        path: the canonical path: as it is sent, and for every service except S3 encoded once more.
        headers: the headers to sign, named in lower case, including `x-amz-date`.
        body: the request's body.
    """
    moment = headers["x-amz-date"]
    if credentials.session_token:
        headers = {**headers, "x-amz-security-token": credentials.session_token}
    names, lines = list_headers(headers)
    scope = make_scope(moment, region, service)
    canonical_request = f"{method}\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    signature = compute_signature(credentials, moment, scope, canonical_request)
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}
