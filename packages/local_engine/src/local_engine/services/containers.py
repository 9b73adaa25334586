"""Access for containers on this machine, and for no other machine.

Docker Desktop forwards `host.docker.internal` to loopback. On Linux the name means the gateway address of the
containers' network, so a server must listen there too. Another machine may route packets to that address, so the
server also checks the caller's address.
"""

import http.client
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network
type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULT_ENGINE = "unix:///var/run/docker.sock"
# ip(7); the socket module has no name for it.
_IP_FREEBIND = 15


@dataclass(frozen=True)
class ContainerNetwork:
    """The default network of containers."""

    gateway: str
    subnet: Network


def find_container_network() -> ContainerNetwork | None:
    """Ask the container engine in DOCKER_HOST, or the usual one, for its default network.

    Returns:
        None if loopback is enough (not Linux) or no engine answers on a local socket.
    """
    engine = os.environ.get("DOCKER_HOST", _DEFAULT_ENGINE)
    if sys.platform != "linux" or not engine.startswith("unix://"):
        return None
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(5)
        connection.sock.connect(engine.removeprefix("unix://"))
        connection.request("GET", "/networks/bridge")
        for entry in json.load(connection.getresponse())["IPAM"]["Config"]:
            subnet = ipaddress.ip_network(entry["Subnet"])
            if subnet.version == 4:
                return ContainerNetwork(entry.get("Gateway") or str(subnet[1]), subnet)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        pass
    finally:
        connection.close()
    return None


def listen(address: str, port: int) -> socket.socket:
    """Open a listening socket. A client that connects before its server is up waits instead of failing.

    Args:
        address: an IPv4 address. On Linux, this machine need not have it yet.
        port: 0 for any free one.

    Raises:
        OSError: the port is taken.
    """
    # asyncio disables Nagle's algorithm only if the protocol is explicit. Otherwise each response takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # Podman's network interface only exists while a container runs.
            listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


class LocalPeersOnly:
    """An ASGI application that rejects callers outside loopback and the given networks."""

    def __init__(self, application: Application, networks: Sequence[Network]) -> None:
        self._application = application
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with 403 if the caller is not allowed."""
        peer = ipaddress.ip_address(scope["client"][0])
        if peer.is_loopback or any(peer in network for network in self._networks):
            await self._application(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
