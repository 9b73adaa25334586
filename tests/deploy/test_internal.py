"""The internal API in the emulator, which verifies signatures and policies, but neither validates nor caches."""

import json

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_engine.template import ACCOUNT_ID
from tests.deploy.deployment import Deployment
from tests.deploy.emulator import REGION
from tests.support.internal import BODY, JSON, allow

OWNER = "ann"


@pytest.fixture(scope="module")
def key(deployment: Deployment) -> Credentials:
    """Of a user who may use every route about one owner."""
    iam = deployment.emulator.client("iam")
    iam.create_user(UserName="service")
    # The emulator has another account than the engine.
    policy = json.dumps(allow(f"*/users/{OWNER}/*")).replace(ACCOUNT_ID, "*")
    iam.put_user_policy(UserName="service", PolicyName="invoke", PolicyDocument=policy)
    made = iam.create_access_key(UserName="service")["AccessKey"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"])


def send(
    deployment: Deployment, key: Credentials | None, method: str, path: str, body: object = None
) -> httpx.Response:
    api, port = deployment.find("Internal/InternalApi"), httpx.URL(deployment.emulator.url).port
    host = f"{api}.execute-api.localhost:{port}"
    content = b"" if body is None else json.dumps(body).encode()
    request = AWSRequest(method, f"http://{host}/v1{path}", data=content, headers=JSON if content else {})
    if key:
        SigV4Auth(key, "execute-api", REGION).add_auth(request)
    headers = {**dict(request.headers), "Host": host}
    url = f"{deployment.emulator.url}/v1{path}"
    return httpx.request(method, url, content=content, headers=headers, trust_env=False, timeout=60)


def test_a_signed_request_reaches_its_function(deployment: Deployment, key: Credentials) -> None:
    page = f"/users/{OWNER}/resources"
    created = send(deployment, key, "POST", page, BODY)
    assert created.status_code == 201, created.text
    item = f"{page}/{created.json()['id']}"
    assert send(deployment, key, "GET", item).json() == created.json()
    assert send(deployment, key, "PUT", item, {**BODY, "name": "new"}).status_code == 200
    assert send(deployment, key, "GET", page).json()["resources"][0]["name"] == "new"
    assert send(deployment, key, "DELETE", item).status_code == 204


@pytest.mark.parametrize("path", [f"/users/{OWNER}/resources", "/users/bob/resources"])
def test_a_request_without_a_right_is_denied(deployment: Deployment, key: Credentials, path: str) -> None:
    wrong = Credentials(key.access_key, key.secret_key[::-1])
    assert send(deployment, None, "GET", path).status_code == 403
    assert send(deployment, wrong, "GET", path).status_code == 403
    assert send(deployment, key, "GET", "/users/bob/resources").status_code == 403
