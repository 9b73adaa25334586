"""The process that runs moto: `python -m local_engine.services.moto_server NETWORKS MODEL PROJECT DESCRIPTOR…`.

`local_engine.services.aws_services` starts it with listening sockets and a pipe as standard input.
"""

import ipaddress
import os
import socket
import sys
import threading
from pathlib import Path

from local_engine.imports import import_quickly


def main() -> None:
    """Serve until the parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A tenth of the default: a request in the event loop waits so long for each turn while a thread serves another one.
    sys.setswitchinterval(0.0005)
    # botocore imports these two if they are installed, which takes long. Nothing here connects or signs with them.
    sys.modules.update(dict.fromkeys(("awscrt", "OpenSSL")))  # type: ignore[arg-type]
    with import_quickly():
        from local_engine.services.moto_application import run_server  # noqa: PLC0415

    networks = [ipaddress.ip_network(network) for network in sys.argv[1].split(",") if network]
    project = Path(sys.argv[3]) if sys.argv[3] else None
    run_server(networks, sys.argv[2], project, [socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[4:]])


def _end_with_parent() -> None:
    # The other end of this pipe closes however the parent ends, even by SIGKILL.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
