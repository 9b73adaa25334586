"""Two ways to reach the functions with a valid token: over HTTP, and with the event that the gateway makes."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from tests.security.tokens import Forge
from tests.support.gateway import Answer, Gateway
from tests.support.matrix import EVERY_SCOPE
from tests.support.stack import find_media_type, list_scopes


class Door(Protocol):
    @abstractmethod
    def send(
        self,
        subject: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """Send a request; text and bytes in `body` go as they are, anything else as JSON."""


class GatewayDoor:
    """Real requests with the issuer's tokens."""

    def __init__(self, client: httpx.Client, forge: Forge) -> None:
        self._client = client
        self._forge = forge

    def send(
        self,
        subject: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        claims: Mapping[str, Any] | None = {"scope": EVERY_SCOPE},
    ) -> Answer:
        """Send a request as `Door` does; `claims` stand beside the usual ones, and None sends no token."""
        sent = {"Content-Type": find_media_type(method), **(headers or {})}
        if claims is not None:
            sent.setdefault("Authorization", f"Bearer {self._forge.mint(subject, **claims)}")
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        response = self._client.request(method, path, params=query, headers=sent, content=content)
        return Answer(response.status_code, response.headers, response.text)


class FunctionsDoor:
    """Events as the gateway makes them, claims included."""

    def __init__(self, functions: Gateway) -> None:
        self._functions = functions

    def send(
        self,
        subject: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        return self._functions.send(
            method, path, query=query or {}, headers=headers, body=body, subject=subject, scopes=list_scopes()
        )
