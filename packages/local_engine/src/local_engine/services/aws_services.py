"""AWS services on one machine: moto in its own process."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_engine.bedrock.local_model import MODEL_NAMES
from local_engine.child_environment import service_environment
from local_engine.services.containers import Network, listen
from local_engine.services.services_client import ServicesClient, ServicesError

SERVICES_PORT = 4566
"""The port under `local-engine backend`."""


@dataclass(frozen=True)
class Services:
    """The running process. It ends with this one, even if this one is killed."""

    process: subprocess.Popen[bytes]
    endpoint: str

    def stop(self) -> None:
        """End the process. Harmless if it has ended."""
        if self.process.stdin:
            self.process.stdin.close()
        # It keeps nothing, and looks at its input only after seconds of imports.
        self.process.kill()
        self.process.wait()


def start_services(port: int | None = None, *, model: str = MODEL_NAMES[0], project: Path | None = None) -> Services:
    """Start moto on loopback.

    Args:
        port: the port to listen on. None for any free one.
        model: Bedrock's local model.
        project: see `serve_moto`.

    Raises:
        ServicesError: the port is taken.
    """
    try:
        listener = listen("127.0.0.1", port or 0)
    except OSError as error:
        raise ServicesError(
            f"Port {port} cannot be used for the local AWS services ({error.strerror}). Stop the program that uses it."
        ) from error
    return serve_moto([listener], model=model, project=project)


def serve_moto(
    sockets: Sequence[socket.socket],
    networks: Sequence[Network] = (),
    *,
    model: str = MODEL_NAMES[0],
    project: Path | None = None,
) -> Services:
    """Start moto on listening sockets, which this process then closes.

    Args:
        sockets: this machine reaches the services at the first one's address.
        networks: networks that may call, besides loopback.
        model: Bedrock's local model.
        project: the folder of the template, whose access keys S3's links must be signed with. None if functions have
            other keys, which are not known; then these signatures are not checked.
    """
    host, port = sockets[0].getsockname()
    descriptors = [listener.fileno() for listener in sockets]
    process = subprocess.Popen(  # noqa: S603 - this module's own arguments
        [
            sys.executable,
            "-m",
            "local_engine.services.moto_server",
            ",".join(map(str, networks)),
            model,
            "" if project is None else str(project),
            *map(str, descriptors),
        ],
        # Without CORS headers, no web page can read the tables.
        env={**service_environment(), "MOTO_DISABLE_GLOBAL_CORS": "true", "MOTO_PORT": str(port)},
        stdin=subprocess.PIPE,
        pass_fds=descriptors,
        # Ctrl-C is for the parent, which stops this process when it is ready.
        start_new_session=True,
    )
    for listener in sockets:
        listener.close()
    return Services(process, f"http://{host}:{port}")


def keep_secret(name: str, value: str, endpoint: str) -> None:
    """Create or replace a secret in Secrets Manager.

    Args:
        name: the secret's name.
        value: its text.
        endpoint: URL of the services.

    Raises:
        ServicesError: the secret is rejected.
    """
    with ServicesClient(endpoint) as client:
        # Created without its value, which an error message would quote. Other services may have the secret already.
        with contextlib.suppress(ServicesError):
            client.call("secretsmanager", "CreateSecret", {"Name": name})
        try:
            client.call("secretsmanager", "PutSecretValue", {"SecretId": name, "SecretString": value})
        except ServicesError:
            raise ServicesError(f"The local AWS services reject the secret {name}.") from None
