"""An issuer that answers introspection requests (RFC 7662), over real HTTP."""

from typing import Any, Self
from urllib.parse import parse_qs

from tests.support.http_server import Reply, Request, Server, make_reply


class Issuer:
    """Knows the tokens in `claims`; all others are inactive."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self._server = Server(self._answer)
        self.url = f"{self._server.url}/introspect"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _answer(self, request: Request) -> Reply:
        (token,) = parse_qs(request.body.decode())["token"]
        self.asked.append(token)
        claims = self.claims.get(token)
        return make_reply({"active": False} if claims is None else {"active": True, **claims})
