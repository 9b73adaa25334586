"""Calls the internal API as a service inside AWS does: with requests that its IAM role signs.

The environment provides `INTERNAL_URL`, and AWS credentials that may call the API. `SUBJECT` is the user.
"""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import get_session

BODY = {"name": "made by a service", "type": "A"}
TIMEOUT = urllib3.Timeout(connect=3.05, read=35.0)  # seconds; the gateway answers within 29
CONNECTIONS = 10

# Retry-After is honoured; a throttled request has none and backs off exponentially. Every method is retried, because
# this client's POST requests carry an Idempotency-Key. All attempts share a signature, which is valid for five minutes.
_RETRY = urllib3.Retry(
    total=5,
    status_forcelist=(429, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=20,
    raise_on_status=False,
)


class CredentialsMissing(Exception):
    """The environment has no AWS credentials."""


@dataclass(frozen=True)
class Answer:
    """A response of the API; `document` is its JSON, or None without a body."""

    status: int
    headers: Mapping[str, str]
    document: Any


class InternalClient:
    """Reads and writes users' resources. Threads may share it."""

    def __init__(self, url: str, region: str | None = None) -> None:
        """Prepare a client without sending anything.

        Args:
            url: the stack's output `InternalUrl`.
            region: the API's region; by default the environment's.

        Raises:
            CredentialsMissing: there are no AWS credentials.
        """
        session = get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise CredentialsMissing("There are no AWS credentials.")
        self._url = url.rstrip("/")
        self._region = region or session.get_config_variable("region") or "us-east-1"
        # Those of a role are replaced before they expire.
        self._credentials = credentials
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=TIMEOUT, retries=_RETRY)

    def request(
        self,
        method: str,
        subject: str,
        resource_id: str = "",
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request about a user's resources, or one of them, and return the response, whatever its status.

        Args:
            method: HTTP method.
            subject: the user's `sub`.
            resource_id: ID of a resource; empty for all.
            query: `limit` and `nextToken`.
            body: a JSON value; None for no body.
            headers: further headers, such as `If-Match`. A POST without an `Idempotency-Key` gets one.

        Raises:
            urllib3.exceptions.HTTPError: there is no response.
        """
        url = f"{self._url}/users/{quote(subject, safe='')}/resources"
        url += f"/{quote(resource_id, safe='')}" if resource_id else ""
        url += f"?{urlencode(query, quote_via=quote)}" if query else ""
        sent = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        sent |= {"Content-Type": "application/json"} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        request = AWSRequest(method, url, data=content, headers={**sent, **(headers or {})})
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(request)
        response = self._pool.request(method, url, body=content, headers=dict(request.headers.items()))
        return Answer(response.status, response.headers, response.json() if response.data else None)


def main() -> int:
    """Create a resource for a user and list the user's resources."""
    url, subject = os.environ.get("INTERNAL_URL"), os.environ.get("SUBJECT", "demo")
    if not url:
        print("INTERNAL_URL is not set: `make run` prints where Internal/InternalApi is served.", file=sys.stderr)
        return 2
    try:
        client = InternalClient(url)
        created = client.request("POST", subject, body=BODY)
        page = client.request("GET", subject)
    except (BotoCoreError, CredentialsMissing, urllib3.exceptions.HTTPError) as error:
        print(f"The API at {url} could not be called: {error}", file=sys.stderr)
        return 1
    if (created.status, page.status) != (201, 200):
        print(f"The API answered {created.status} {created.document}, then {page.status}.", file=sys.stderr)
        return 1
    print(f"Created {created.document['id']}; the newest resources of {subject} are:")
    for entry in page.document["resources"]:
        print(json.dumps(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
