"""Emulator of AWS on the loopback interface that enforces IAM policies."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config

from local_engine.testing import free_port
from tests.support.stack import ROOT

ENVIRONMENT = ROOT / ".venv-deploy/bin"
REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 20

# The emulator's root user. The empty files keep the developer's own account out of reach.
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# Services with an AWS_ENDPOINT_URL_<SERVICE> variable, which takes precedence over AWS_ENDPOINT_URL: the functions set
# the latter to an empty string («Service-specific endpoints», AWS SDKs and Tools Reference Guide).
_SERVICES_OF_FUNCTIONS = (
    *("CLOUDFORMATION", "COGNITO_IDENTITY_PROVIDER", "DYNAMODB", "EVENTBRIDGE", "LAMBDA", "S3", "SCHEDULER"),
    *("SECRETS_MANAGER", "SQS"),
)


class Emulator:
    """An emulator that runs during the `with` block; its functions' processes end with it."""

    def __init__(self, directory: Path, elsewhere: Mapping[str, str]) -> None:
        """Prepare an emulator; the `with` block starts it.

        Args:
            directory: for its log, the functions' files and the buckets' objects.
            elsewhere: URLs of services that it does not emulate, by the service's name in `AWS_ENDPOINT_URL_<SERVICE>`.
        """
        self.log = directory / "emulator.log"
        self._elsewhere = elsewhere
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = _inherited_environment() | _CREDENTIALS
        environment |= {f"AWS_ENDPOINT_URL_{service}": self.url for service in _SERVICES_OF_FUNCTIONS}
        environment |= {f"AWS_ENDPOINT_URL_{service}": url for service, url in self._elsewhere.items()}
        environment |= {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "S3_DATA_DIR": str(self._directory / "s3"),
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self._directory),
        }
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [ENVIRONMENT / "python", "-P", Path(__file__).with_name("emulator_program.py")],
                cwd=self._directory,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._kill()
        for leftover in self._directory.glob("ministack-lambda-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that direct an AWS SDK to the emulator."""
        return _inherited_environment() | _CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        """Return a boto3 client for a service, as the root user."""
        return _connect(service, self.url)

    def _wait_until_it_answers(self) -> None:
        assert self._process
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.url, trust_env=False)
                return
            time.sleep(0.1)
        raise AssertionError(f"the emulator did not start:\n{self.log.read_text()}")

    def _kill(self) -> None:
        """Kill the emulator and its functions, if any still run."""
        assert self._process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _inherited_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@cache
def _connect(service: str, url: str) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
