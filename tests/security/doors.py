"""Two ways to the functions for a caller whose token holds: over HTTP, and by the event that the gateway makes."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from tests.security.tokens import BOTH, Forge
from tests.support.gateway import Answer, Gateway

RESOURCES = "/api/v1/resources"
INPUT = {"name": "mine", "type": "A"}


class Door(Protocol):
    def send(
        self,
        subject: str,
        method: str,
        path: str = RESOURCES,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer: ...


class GatewayDoor:
    """Real requests with tokens of the issuer's."""

    def __init__(self, client: httpx.Client, forge: Forge) -> None:
        self._client = client
        self._forge = forge

    def send(
        self,
        subject: str,
        method: str,
        path: str = RESOURCES,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self._forge.mint(subject, BOTH)}", "Content-Type": "application/json"}
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        response = self._client.request(
            method, path, params=query, headers={**sent, **(headers or {})}, content=content
        )
        return Answer(response.status_code, response.headers, response.text)


class FunctionsDoor:
    """Events as the gateway makes them, claims and all."""

    def __init__(self, functions: Gateway) -> None:
        self._functions = functions

    def send(
        self,
        subject: str,
        method: str,
        path: str = RESOURCES,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        return self._functions.send(method, path, query=query or {}, headers=headers, body=body, subject=subject)
