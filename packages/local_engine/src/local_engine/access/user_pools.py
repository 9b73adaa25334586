"""Cognito user pools of a template, which the local issuer stands in for ("AWS::Cognito" resource types)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.account import REGION
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import resource_arn
from local_engine.template.stack import Resource, Stack

_POOL, _CLIENT = "AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient"
_RESOURCE_SERVER = "AWS::Cognito::UserPoolResourceServer"


@dataclass(frozen=True)
class UserPoolClient:
    """An app client."""

    logical_id: str
    id: str
    scopes: tuple[str, ...]
    """Scopes that it may request."""
    has_secret: bool
    grants: tuple[str, ...]
    """OAuth grants, such as `client_credentials`."""


@dataclass(frozen=True)
class UserPool:
    """A user pool with its clients."""

    logical_id: str
    id: str
    clients: tuple[UserPoolClient, ...]
    scopes: tuple[str, ...]
    """Scopes of its resource servers, as tokens have them: `orders/read`."""

    @property
    def issuer(self) -> str:
        """`iss` of the pool's tokens."""
        return f"https://cognito-idp.{REGION}.amazonaws.com/{self.id}"

    @property
    def arn(self) -> str:
        """The pool's ARN."""
        return resource_arn(_POOL, self.id)


def read_user_pools(stack: Stack) -> list[UserPool]:
    """Return the stack's user pools."""
    pools = []
    for logical_id, resource in stack.resources.items():
        if resource.type == _POOL and resource.reference is not None:
            own = list(_list_parts(stack, resource.reference))
            pools.append(
                UserPool(
                    logical_id,
                    str(resource.reference),
                    tuple(_read_client(name, part) for name, part in own if part.type == _CLIENT),
                    tuple(scope for _, part in own if part.type == _RESOURCE_SERVER for scope in _list_scopes(part)),
                )
            )
    return pools


def _list_parts(stack: Stack, pool_id: Any) -> Iterator[tuple[str, Resource]]:
    for name, part in stack.resources.items():
        if part.type in (_CLIENT, _RESOURCE_SERVER) and _read(part.properties, "UserPoolId") == pool_id:
            yield name, part


def _read_client(logical_id: str, client: Resource) -> UserPoolClient:
    return UserPoolClient(
        logical_id=logical_id,
        id=str(client.reference),
        scopes=tuple(map(str, _read_list(client.properties, "AllowedOAuthScopes"))),
        has_secret=str(_read(client.properties, "GenerateSecret")).lower() == "true",
        grants=tuple(map(str, _read_list(client.properties, "AllowedOAuthFlows"))),
    )


def _list_scopes(server: Resource) -> Iterator[str]:
    for scope in _read_list(server.properties, "Scopes"):
        if isinstance(scope, dict):
            yield f"{_read(server.properties, 'Identifier')}/{scope.get('ScopeName')}"


def _read(properties: Mapping[str, Any], name: str) -> Any:
    try:
        return properties.get(name)
    except TemplateError:
        return None


def _read_list(properties: Mapping[str, Any], name: str) -> list[Any]:
    value = _read(properties, name)
    return value if isinstance(value, list) else []
