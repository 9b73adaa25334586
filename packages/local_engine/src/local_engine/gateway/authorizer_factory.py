"""Makes the authorizers of an API from its OpenAPI document.

Sources: "x-amazon-apigateway-authorizer object", "x-amazon-apigateway-authtype property" and
"x-amazon-apigateway-policy" (API Gateway Developer Guide).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local_engine.access.principals import Principals
from local_engine.access.user_pools import UserPool, read_user_pools
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.api_access import Authorizer, IamAuthorizer, ResourcePolicyAuthorizer
from local_engine.gateway.cognito_authorizer import CognitoAuthorizer
from local_engine.gateway.identity_sources import IdentitySources
from local_engine.gateway.issuer_keys import KnownKeys
from local_engine.gateway.jwt_authorizer import JwtAuthorizer, JwtSchemeAuthorizer
from local_engine.gateway.lambda_authorizer import LambdaAuthorizer, LambdaSettings
from local_engine.gateway.routes import FUNCTION_NAME, substitute_stage_variables
from local_engine.observer import Observer
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.stack import HttpApi, RestApi, Stack

IAM = "AWS_IAM"
"""The name that SAM gives to IAM authorization."""
OPEN = "NONE"
"""The name that SAM gives to the lack of an authorizer."""
_HEADER = "method.request.header."
_REST_TTL, _LONGEST_TTL = 300, 3600


@dataclass(frozen=True)
class IdentityProviders:
    """Who vouches for callers on this machine."""

    principals: Principals
    user_pools: tuple[UserPool, ...]
    signing_keys: Mapping[str, RSAPublicKey]
    """The local issuer's keys by ID. It signs the tokens of the template's user pools. Empty without a pool."""


def find_identity_providers(stack: Stack, load_keys: Callable[[], Mapping[str, RSAPublicKey]]) -> IdentityProviders:
    """Return a stack's identity providers.

    Args:
        stack: the stack.
        load_keys: returns the local issuer's keys by ID.
    """
    pools = tuple(read_user_pools(stack))
    return IdentityProviders(Principals(stack), pools, load_keys() if pools else {})


@dataclass(frozen=True)
class RefusedAuthorizer:
    """An authorizer that the engine cannot serve, so no request passes."""

    refusal: str
    kind: str = "refused"
    reads_body: bool = False

    async def authorize(self, *_: object) -> dict[str, Any]:
        """Raise an error: a route with this authorizer is not served."""
        raise AssertionError(self.refusal)


def create_authorizers(
    api: HttpApi | RestApi,
    stack: Stack,
    functions: Mapping[str, FunctionPool],
    observer: Observer,
    providers: IdentityProviders,
) -> Mapping[str, Authorizer]:
    """Return an API's authorizers by their names; one that cannot be served has a `refusal`.

    A REST API with a resource policy has one named `NONE` for its open methods.

    Args:
        api: the API.
        stack: its stack.
        functions: by their names.
        observer: told of faults.
        providers: who vouches for callers.
    """
    factory = _Factory(api, stack, functions, observer, providers)
    components = api.document.get("components")
    schemes = (components or {}).get("securitySchemes") or {}
    authorizers = {IAM: factory.create(IAM, {"x-amazon-apigateway-authtype": "awsSigv4"})}
    authorizers |= {name: factory.create(name, scheme) for name, scheme in schemes.items() if name != OPEN}
    if factory.policy is not None:
        authorizers[OPEN] = factory.apply_policy(None)
    return authorizers


class _Factory:
    def __init__(
        self,
        api: HttpApi | RestApi,
        stack: Stack,
        functions: Mapping[str, FunctionPool],
        observer: Observer,
        providers: IdentityProviders,
    ) -> None:
        self._api = api
        self._stack = stack
        self._functions = functions
        self._observer = observer
        self._providers = providers
        self._is_rest = isinstance(api, RestApi)
        self.policy = api.policy if isinstance(api, RestApi) else None

    def create(self, name: str, scheme: Any) -> Authorizer:
        """Return an authorizer, or one with a refusal."""
        try:
            if isinstance(scheme, dict) and REFUSAL in scheme:
                raise TemplateError(f"Authorizer {name} cannot be served: {scheme[REFUSAL]}")
            authorizer = self._create(name, scheme if isinstance(scheme, dict) else {})
        except TemplateError as error:
            return RefusedAuthorizer(str(error))
        except (TypeError, ValueError, AttributeError, re.error) as error:
            return RefusedAuthorizer(f"A setting of authorizer {name} has a wrong form: {error}.")
        return authorizer if self.policy is None or authorizer.kind == "iam" else self.apply_policy(authorizer)

    def apply_policy(self, authorizer: Authorizer | None) -> Authorizer:
        """Return an authorizer behind the resource policy."""
        policy = self.policy or {}
        return ResourcePolicyAuthorizer(policy, self._api.id, self._api.stage, self._observer, authorizer)

    def _create(self, name: str, scheme: Mapping[str, Any]) -> Authorizer:
        if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
            api = self._api
            return IamAuthorizer(
                self._providers.principals,
                api.id,
                api.stage,
                self._observer,
                is_rest=self._is_rest,
                policy=self.policy,
            )
        settings = scheme.get("x-amazon-apigateway-authorizer")
        kind = str(settings.get("type")).lower() if isinstance(settings, dict) else ""
        kinds = ("token", "request", "cognito_user_pools") if self._is_rest else ("jwt", "request")
        if not isinstance(settings, dict) or kind not in kinds:
            raise TemplateError(
                f"Authorizer {name} cannot be served. On this kind of API, the local engine serves {', '.join(kinds)} "
                "and AWS_IAM."
            )
        if kind == "jwt":
            return self._create_jwt(name, settings)
        if kind == "cognito_user_pools":
            return self._create_cognito(name, scheme, settings)
        return self._create_lambda(name, kind, scheme, settings)

    def _create_jwt(self, name: str, settings: Mapping[str, Any]) -> Authorizer:
        configuration = settings.get("jwtConfiguration")
        issuer = configuration.get("issuer") if isinstance(configuration, dict) else None
        audience = configuration.get("audience") if isinstance(configuration, dict) else None
        if not isinstance(issuer, str) or not isinstance(audience, str | list):
            raise TemplateError(f"Authorizer {name} is a JWT authorizer without issuer and audience.")
        audience = [audience] if isinstance(audience, str) else audience
        if not audience or not all(isinstance(entry, str) and entry for entry in audience):
            raise TemplateError(f"Authorizer {name} accepts no audience: its audience is {audience!r}.")
        source = settings.get("identitySource", "$request.header.Authorization")
        source = source[0] if isinstance(source, list) and source else source
        sources = IdentitySources(name, source if isinstance(source, str) else [source], {})
        is_own = issuer in (pool.issuer for pool in self._providers.user_pools)
        keys = KnownKeys(self._providers.signing_keys) if is_own else None
        return JwtSchemeAuthorizer(JwtAuthorizer(issuer, audience, keys=keys), sources)

    def _create_cognito(self, name: str, scheme: Mapping[str, Any], settings: Mapping[str, Any]) -> Authorizer:
        arns = settings.get("providerARNs") or []
        pools = {pool.arn: pool for pool in self._providers.user_pools}
        for arn in arns if isinstance(arns, list) else [arns]:
            if arn not in pools:
                raise TemplateError(f"Authorizer {name} trusts {arn!r}, which is not a user pool of the template.")
        if not arns:
            raise TemplateError(f"Authorizer {name} trusts no user pool.")
        (key,) = self._providers.signing_keys.values()
        trusted = {pools[arn].issuer: (key, [client.id for client in pools[arn].clients]) for arn in arns}
        return CognitoAuthorizer(
            self._read_sources(name, scheme, settings), trusted, settings.get("identityValidationExpression")
        )

    def _create_lambda(
        self, name: str, kind: str, scheme: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Authorizer:
        uri = self._read_uri(name, settings)
        function = FUNCTION_NAME.search(uri)
        pool = self._functions.get(function[1]) if function else None
        if function is None or pool is None:
            called = function[1] if function else uri
            unknown = f"Authorizer {name} invokes {called}, which is not a function of the template."
            raise TemplateError(self._stack.refused_functions.get(str(called), unknown))
        payload = "1.0" if self._is_rest else str(settings.get("authorizerPayloadFormatVersion"))
        if payload not in ("1.0", "2.0"):
            raise TemplateError(f"Authorizer {name} has the payload format {payload}; it must be 1.0 or 2.0.")
        ttl = settings.get("authorizerResultTtlInSeconds")
        ttl = float((_REST_TTL if self._is_rest else 0) if ttl is None else ttl)
        if not 0 <= ttl <= _LONGEST_TTL:
            raise TemplateError(f"Authorizer {name} keeps results for {ttl:g} s; it must be 0 to {_LONGEST_TTL}.")
        sources = self._read_sources(name, scheme if kind == "token" else {}, settings)
        validation = settings.get("identityValidationExpression")
        if validation is not None:
            re.compile(validation)
        return LambdaAuthorizer(
            LambdaSettings(
                name=name,
                kind="TOKEN" if kind == "token" else "REQUEST",
                payload=payload,
                is_simple=payload == "2.0" and str(settings.get("enableSimpleResponses")).lower() == "true",
                sources=sources,
                validation=validation,
                ttl=ttl,
                is_rest=self._is_rest,
            ),
            pool,
            function[2],
            self._observer,
        )

    def _read_uri(self, name: str, settings: Mapping[str, Any]) -> str:
        uri = str(settings.get("authorizerUri"))
        if not self._is_rest:
            return uri
        try:
            return substitute_stage_variables(uri, self._api.stage_variables)
        except KeyError as error:
            raise TemplateError(
                f"Authorizer {name} uses a stage variable that stage {self._api.stage} does not have: {error}."
            ) from None

    def _read_sources(self, name: str, scheme: Mapping[str, Any], settings: Mapping[str, Any]) -> IdentitySources:
        # The header of the scheme is the source of a token.
        header = f"{_HEADER}{scheme.get('name', 'Authorization')}" if scheme else None
        return IdentitySources(name, settings.get("identitySource") or header, self._api.stage_variables)
