"""A running engine, and calls of what it serves."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Self, override

import httpx

from local_engine.account import REGION
from local_engine.child_environment import child_environment
from local_engine.issuer import load_signing_key
from local_engine.issuer.access_tokens import TOKEN_SECONDS
from local_engine.issuer.api_tokens import TokenSettings, fetch_token_settings, mint_api_token
from local_engine.testing.deliveries import Deliveries
from local_engine.testing.machine import free_port

START_SECONDS = 120
_STOP_SECONDS = 60
_LONGEST_TIMEOUT = 900
_PORT_TAKEN = 6
# A function or an API may be called Ready as well.
_READY_LINE = r"^Ready\b.* Ctrl-C stops everything\.$"
_ATTEMPTS = 5
# It trusts no certificate. Reading the usual ones takes 30 ms for each client, and the engine speaks plain HTTP.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class EngineError(Exception):
    """The engine does not start, or a command of it fails. The message is the engine's own sentence."""


class InvocationError(Exception):
    """An invoked function failed. The message has the type and the text of its error."""

    def __init__(self, function: str, error: Any) -> None:
        """Take the function's name and the error as Lambda describes it."""
        self.error: dict[str, Any] = error if isinstance(error, dict) else {"errorMessage": str(error)}
        """`errorType`, `errorMessage` and `stackTrace`."""
        kind = self.error.get("errorType", "Error")
        super().__init__(f"{function} failed: {kind}: {self.error.get('errorMessage', '')}")


class EngineProcess:
    """`local-engine run` in its own process, in the folder of the template. It runs within a `with` block."""

    def __init__(
        self,
        template: str | Path = "template.yaml",
        *arguments: str,
        parameters: Mapping[str, str] | None = None,
        seed: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        """Describe the engine; `start` or a `with` block starts it.

        Args:
            template: the template to serve.
            arguments: further arguments of `local-engine run`, such as `--verbose`.
            parameters: values of the template's parameters. `{issuer}` in a value stands for the local issuer's URL.
            seed: file with items for the tables.
            environment: variables to add to the process's environment.
            port: of the first API. None for a free one. Further APIs take the ports after it.
        """
        self._template = Path(template).resolve()
        self._parameters = [f"{name}={value}" for name, value in (parameters or {}).items()]
        self._arguments = arguments
        if seed is not None:
            self._arguments += ("--seed", str(Path(seed).resolve()))
        self._environment = environment or {}
        self._is_port_given = port is not None
        self.port = port or free_port(count=8)
        self.process: subprocess.Popen[str]
        self.lines: list[str] = []
        """Output so far."""
        self._arrived = threading.Condition()
        self._reader: threading.Thread
        self._token_settings: dict[int, TokenSettings] = {}
        # By principal. They do not expire.
        self._keys: dict[str, dict[str, str]] = {}
        self._own_client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the engine and wait until it is ready.

        Raises:
            EngineError: it does not start.
        """
        for _ in range(_ATTEMPTS):
            self._run()
            try:
                self.wait_for_line(_READY_LINE)
            except AssertionError:
                status = self._end()
                if status != _PORT_TAKEN or self._is_port_given:
                    reason = f"ended with status {status}" if status > 0 else f"was not ready in {START_SECONDS} s"
                    raise EngineError(f"The engine {reason}: {self.output}") from None
                # Another program took the port in the meantime.
                self.port = free_port(count=8)
            except BaseException:
                self._end()
                raise
            else:
                return self
        raise EngineError(f"No free ports were found: {self.output}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait for the end and return the exit status."""
        if self._own_client is not None:
            self._own_client.close()
            self._own_client = None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
            raise
        self._reader.join(5)
        return status

    @property
    def url(self) -> str:
        """The base URL of the first API, without the stage of a REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def urls(self) -> dict[str, str]:
        """The base URL of each API, with its stage, and of each function URL, by logical ID."""
        served = (re.match(r"(\S+) is served at (\S+)", line) for line in list(self.lines))
        return {found[1]: found[2] for found in served if found}

    @property
    def services(self) -> str:
        """The URL of the AWS services."""
        return self.wait_for_line("^AWS services").split()[-1]

    @property
    def output(self) -> str:
        """The output so far."""
        return "\n".join(self.lines)

    def client(self, api: str | None = None, **options: Any) -> httpx.Client:
        """Return an HTTP client of an API.

        Args:
            api: logical ID of the API or function URL. None for the first API, without the stage of a REST API.
            options: of httpx.Client.
        """
        base_url = self.url if api is None else self._find_url(api)
        settings: dict[str, Any] = {"base_url": base_url, "timeout": 60, "trust_env": False, "verify": _NO_TLS}
        return httpx.Client(**settings | options)

    def mint_token(
        self,
        *scopes: str,
        subject: str = "demo",
        claims: Mapping[str, Any] | None = None,
        expires_in: int = TOKEN_SECONDS,
        api: str | None = None,
    ) -> str:
        """Return a token of a user that the API's first authorizer accepts, if the local issuer can sign one.

        Args:
            scopes: what the token allows.
            subject: the user.
            claims: claims to set, or to remove with None.
            expires_in: seconds until the token expires. A negative number makes an expired token.
            api: logical ID of the API. None for the first one.
        """
        port = self.port if api is None else httpx.URL(self._find_url(api)).port or self.port
        if port not in self._token_settings:
            self._token_settings[port] = fetch_token_settings(port)
        key = load_signing_key(self._template.parent)
        return mint_api_token(key, self._token_settings[port], subject, scopes, claims=claims, expires_in=expires_in)

    def sign_as(self, principal: str, *, service: str = "execute-api") -> httpx.Auth:
        """Return what signs requests with Signature Version 4: `api.get("/orders", auth=engine.sign_as("Reader"))`.

        Args:
            principal: a role or user of the template, by its logical ID or name.
            service: `execute-api` for APIs, `lambda` for function URLs.

        Raises:
            EngineError: the keys cannot be issued.
        """
        if principal not in self._keys:
            self._keys[principal] = self._issue_keys(principal)
        return _Signature(self._keys[principal], service)

    def invoke(self, function: str, event: Any = None, *, is_asynchronous: bool = False) -> Any:
        """Invoke a function and return its result.

        Args:
            function: its logical ID, name or ARN.
            event: the event, which becomes JSON. None for an empty one.
            is_asynchronous: whether to return at once. See `deliveries` for the outcome.

        Raises:
            InvocationError: the function failed.
        """
        kind = "Event" if is_asynchronous else "RequestResponse"
        payload = json.dumps({} if event is None else event).encode()
        answer = self.aws_client("lambda").invoke(FunctionName=function, InvocationType=kind, Payload=payload)
        content = answer["Payload"].read()
        result = json.loads(content) if content else None
        if "FunctionError" in answer:
            raise InvocationError(function, result)
        return result

    def aws_client(self, service: str, **options: Any) -> Any:
        """Return a botocore client of a local AWS service, the same as boto3's. It reads no AWS configuration.

        Args:
            service: such as `dynamodb`, `sqs`, `events`, or `lambda` to invoke functions.
            options: of botocore's `Config`. Calls of `lambda` are made once, and wait as long as a function may run.
        """
        from botocore.config import Config  # noqa: PLC0415 - costs a quarter of a second
        from botocore.session import Session  # noqa: PLC0415 - as above

        nowhere = (None, None, os.devnull, None)
        files = {"config_file": nowhere, "credentials_file": nowhere, "profile": (None, None, None, None)}
        settings: dict[str, Any] = {"proxies": {}}
        if service == "lambda":
            settings |= {"retries": {"total_max_attempts": 1}, "read_timeout": _LONGEST_TIMEOUT}
        return Session(files).create_client(
            service,
            region_name=REGION,
            endpoint_url=f"{self.url}/_local/lambda" if service == "lambda" else self.services,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - any key does
            config=Config(**settings | options),
        )

    def turn_clock(self, seconds: float = 0.0, *, to: str | None = None) -> dict[str, Any]:
        """Turn the clock of schedules forward, and run what comes due.

        Args:
            seconds: how far. Ignored with `to`.
            to: the time to show, such as `2026-12-24T18:00:00Z`.

        Returns:
            The `time` on the clock, and how many `runs` came due.
        """
        turn = {"seconds": seconds} if to is None else {"time": to}
        turned: dict[str, Any] = self._request("POST", f"{self.url}/_local/clock", json=turn).raise_for_status().json()
        return turned

    def deliveries(self) -> Deliveries:
        """Return the deliveries of events and messages from this moment on, to wait for their outcomes."""

        def read(after: int | None) -> dict[str, Any]:
            query = "" if after is None else f"?after={after}"
            answer = self._request("GET", f"{self.url}/_local/deliveries.json{query}")
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

        return Deliveries(read)

    def wait_for_line(self, pattern: str) -> str:
        """Return the first line of output that matches a pattern, and wait for it.

        Raises:
            AssertionError: the line does not come in time, or the engine has ended.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._arrived:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                if not self._reader.is_alive() or time.monotonic() > deadline:
                    raise AssertionError(f"no line {pattern!r} in:\n{self.output}")
                self._arrived.wait(0.2)

    def _run(self) -> None:
        self.lines.clear()
        parameters = ["--parameters", *self._parameters] if self._parameters else []
        options = ["--template", str(self._template), "--port", str(self.port), *parameters, *self._arguments]
        if not self._template.parent.is_dir():
            raise EngineError(f"{self._template} cannot be read: there is no such folder.")
        self.process = subprocess.Popen(  # noqa: S603 - the engine's own command
            engine_command("run", *options),
            cwd=self._template.parent,
            env=child_environment() | dict(self._environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _end(self) -> int:
        # An engine that has ended by itself keeps its status.
        if self._reader.is_alive():
            self.process.kill()
        status = self.process.wait()
        self._reader.join(5)
        return status

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._arrived:
                self.lines.append(line.rstrip("\n"))
                self._arrived.notify_all()

    def _issue_keys(self, principal: str) -> dict[str, str]:
        arguments = ["--template", str(self._template), "--principal", principal]
        if self._parameters:
            arguments += ["--parameters", *self._parameters]
        printed = run_engine("credentials", *arguments)
        if printed.returncode:
            raise EngineError(printed.stderr.strip())
        keys: dict[str, str] = json.loads(printed.stdout)
        return keys

    def _find_url(self, api: str) -> str:
        urls = self.urls
        if api not in urls:
            raise EngineError(f"There is no API {api!r}; there are {', '.join(urls) or 'none'}.")
        return urls[api]

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        # Kept, because a new client takes as long as twenty requests.
        if self._own_client is None:
            self._own_client = self.client()
        return self._own_client.request(method, url, **options)


class _Signature(httpx.Auth):
    requires_request_body = True

    def __init__(self, key: Mapping[str, str], service: str) -> None:
        self._key = key
        self._service = service

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - costs a quarter of a second
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
        from botocore.credentials import Credentials  # noqa: PLC0415 - as above

        key = Credentials(self._key["AccessKeyId"], self._key["SecretAccessKey"], self._key.get("SessionToken"))
        # httpx writes a space as a plus sign, which Signature Version 4 takes for itself.
        request.url = request.url.copy_with(query=request.url.query.replace(b"+", b"%20") or None)
        signed = AWSRequest(request.method, str(request.url), data=request.content)
        SigV4Auth(key, self._service, REGION).add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


def run_engine(*arguments: str, project: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine that ends by itself.

    Args:
        arguments: the command and its arguments.
        project: the folder to run it in. None for the current one.
    """
    return subprocess.run(  # noqa: S603 - the engine's own command
        engine_command(*arguments),
        cwd=project,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def engine_command(*arguments: str) -> list[str]:
    """Return the command that runs this engine, for subprocesses."""
    return [sys.executable, "-m", "local_engine", *arguments]
