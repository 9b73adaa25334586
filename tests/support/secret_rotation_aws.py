"""Secrets Manager and Cognito over HTTP, and the rotation function that calls them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from moto.moto_server.werkzeug_app import create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.test import Client

from tests.support.cognito import CLIENT_ID, SCOPE, USER_POOL_ID, Cognito, Refused, write_error
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.stack import ROOT, find_resources

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT, REGION = "123456789012", "us-east-1"
SECRET_NAME = "machine-client"
IDENTITY = "stacks/identity.yaml"
GRACE_DAYS = 7
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


def read_retirement(secret_id: str) -> dict[str, str]:
    """The event of the daily schedule."""
    schedule = find_resources("AWS::Serverless::Function", IDENTITY)["RotateClientSecret"]["Properties"]["Events"]
    text = schedule["Retirement"]["Properties"]["Input"]["Fn::Sub"]
    event: dict[str, str] = json.loads(text.replace("${MachineClientSecret}", secret_id))
    return event


def read_operation(request: Request) -> str:
    return str(request.headers.get("x-amz-target", request.target)).rpartition(".")[2]


class AWS:
    """Both services, with the stack's secret as CloudFormation creates it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._moto = Client(create_backend_app("secretsmanager"))
        self.cognito = Cognito()
        backend: Any = secretsmanager_backends[ACCOUNT][REGION]
        backend.reset()
        properties = find_resources("AWS::SecretsManager::Secret", IDENTITY)["MachineClientSecret"]["Properties"]
        backend.create_secret(
            name=SECRET_NAME,
            secret_string=properties["SecretString"],
            secret_binary=None,
            description=properties["Description"],
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        (self._secret,) = backend.secrets.values()
        self._secret.rotation_enabled = self._secret.rotation_requested = True

    @property
    def secret_id(self) -> str:
        return str(self._secret.arn)

    def answer(self, request: Request) -> Reply:
        """Run one request at a time."""
        operation = read_operation(request)
        with self._lock:
            if operation == "/oauth2/token":
                status, content = self.cognito.give_token(request.headers["authorization"], request.body.decode())
                return make_reply(content, status)
            if request.target.endswith("openid-configuration"):
                return make_reply(self.cognito.describe_issuer())
            if request.target.endswith("jwks.json"):
                return make_reply(self.cognito.list_keys())
            if "secretsmanager" in request.headers["x-amz-target"]:
                response = self._moto.post("/", data=request.body, headers=list(request.headers.items()))
                self._complete_finish()
                return make_reply(response.data, response.status_code)
            try:
                return make_reply(self.cognito.call(operation, json.loads(request.body)))
            except Refused as error:
                return make_reply(write_error(error).encode(), 400)

    def begin_rotation(self) -> str:
        """Add a pending version without a value, as RotateSecret does before it calls the function.

        Returns the version's ID.
        """
        with self._lock:
            version = str(uuid.uuid4())
            self._secret.remove_version_stages_from_old_versions(["AWSPENDING"])
            self._secret.versions[version] = {
                "createdate": int(time.time()),
                "version_id": version,
                "version_stages": ["AWSPENDING"],
            }
            return version

    def pass_days(self, days: float) -> None:
        """Make the secrets and the last rotation so much older."""
        with self._lock:
            for secret in self.cognito.secrets:
                secret.created -= days * 86400
            if self._secret.last_rotation_date:
                self._secret.last_rotation_date -= int(days * 86400)

    def find_version(self, stage: str) -> str | None:
        with self._lock:
            versions = self._secret.versions.items()
            return next((version for version, entry in versions if stage in entry["version_stages"]), None)

    def read(self, stage: str = "AWSCURRENT") -> dict[str, str]:
        with self._lock:
            version = self.find_version(stage)
            assert version
            return json.loads(self._secret.versions[version]["secret_string"])

    def _complete_finish(self) -> None:
        # moto does not do this when AWSCURRENT moves: the version becomes the default and is no longer pending, and the
        # secret counts as rotated ("Rotation by Lambda function", AWS Secrets Manager User Guide).
        current = self.find_version("AWSCURRENT")
        assert current
        self._secret.set_default_version_id(current)
        stages = self._secret.versions[current]["version_stages"]
        if "AWSPENDING" in stages:
            stages.remove("AWSPENDING")
            self._secret.last_rotation_date = int(time.time())


@dataclass(frozen=True)
class Fault:
    """A fault at one of the calls that a step makes.

    Attributes:
        call: the call's number from 0, or an operation for its first call.
        kind: `killed` (the function's process, before the next call) or `answer lost`.
    """

    call: int | str
    kind: str


class Function:
    """The rotation function in its own processes, in front of the services."""

    def __init__(self, aws: AWS, log: Path) -> None:
        self._log = log
        self._started = threading.Event()
        self._process_id = 0
        self.move(aws)

    def __enter__(self) -> Self:
        self._server = Server(self._answer).__enter__()
        properties = find_resources("AWS::Serverless::Function", IDENTITY)["RotateClientSecret"]["Properties"]
        code = (ROOT / IDENTITY).parent / properties["CodeUri"]
        variables = {
            **properties["Environment"]["Variables"],
            "USER_POOL_ID": USER_POOL_ID,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SCOPE": SCOPE,
            "TOKEN_ENDPOINT": f"{self._server.url}/oauth2/token",
            "SECRET_GRACE_DAYS": str(GRACE_DAYS),
        }
        with self._log.open("w") as log:
            self._host = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("function_host.py"))],
                cwd=code,
                env={
                    **CREDENTIALS,
                    **variables,
                    "AWS_ENDPOINT_URL": self._server.url,
                    "AWS_LAMBDA_FUNCTION_NAME": "RotateClientSecret",
                    "PATH": os.environ["PATH"],
                    "POWERTOOLS_LOG_LEVEL": "DEBUG",
                    "POWERTOOLS_METRICS_NAMESPACE": "ServerlessApi/test",
                    "POWERTOOLS_SERVICE_NAME": "api",
                    "PYTHONPATH": os.pathsep.join([str(code), str(ROOT / "layers/shared")]),
                    "TABLE_NAME": "resources",
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._host.stdin
        assert self._host.stdout
        self._events, self._answers = self._host.stdin, self._host.stdout
        assert self._read_line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._host.wait(10)
        self._answers.close()
        self._server.__exit__()

    def move(self, aws: AWS) -> None:
        """Put the function in front of other services, without a fault or an earlier run."""
        self._aws = aws
        self._fault: Fault | None = None
        self.calls: list[str] = []
        """Operations that the last run called, in order."""
        self.before: dict[str, Callable[[], object]] = {}
        """What happens elsewhere just before an operation, once."""

    def run(self, step: str, version: str, fault: Fault | None = None) -> int:
        """Send a step's event; returns the process's exit status, or the negative signal number if it was killed."""
        return self._send({"Step": step, "SecretId": self._aws.secret_id, "ClientRequestToken": version}, fault)

    def retire(self, fault: Fault | None = None) -> int:
        """Send the event of the daily schedule; returns what `run` does."""
        return self._send(read_retirement(self._aws.secret_id), fault)

    def _send(self, event: dict[str, str], fault: Fault | None) -> int:
        self.calls, self._fault = [], fault
        self._started.clear()
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()
        self._process_id = int(self._read_line())
        self._started.set()
        return int(self._read_line())

    def rotate(self) -> str:
        """Run a whole rotation without faults; returns its version."""
        version = self._aws.begin_rotation()
        for step in STEPS:
            assert self.run(step, version) == 0, self._log.read_text()
        return version

    def _answer(self, request: Request) -> Reply:
        operation = read_operation(request)
        if operation == "/oauth2/token" and "user-agent" in request.headers:
            # All programs use the same token endpoint; the others, unlike the function, send a user agent.
            return self._aws.answer(request)
        call = len(self.calls)
        self.calls.append(operation)
        kind = ""
        if self._fault and self._fault.call in (call, operation):
            kind, self._fault = self._fault.kind, None
        self.before.pop(operation, bool)()
        answer = self._aws.answer(request)
        if kind == "killed":
            assert self._started.wait(60)
            os.kill(self._process_id, signal.SIGKILL)
        return Reply(b"", "close") if kind else answer

    def _read_line(self) -> str:
        line = self._answers.readline().strip()
        assert line, self._log.read_text()
        return line
