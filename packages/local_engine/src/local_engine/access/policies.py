"""Evaluation of IAM policies for a request, within one account.

Sources: "Policy evaluation logic" (IAM User Guide) and "How API Gateway resource policies affect authorization
workflow" (API Gateway Developer Guide).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from local_engine.access.conditions import Context, UnsupportedPolicy, matches, meets_conditions, substitute
from local_engine.account import ACCOUNT_ID
from local_engine.template.intrinsics import REFUSAL

Policy = Mapping[str, Any]
"""A policy document."""


class Effect(Enum):
    """What policies say of a request."""

    ALLOW = "Allow"
    EXPLICIT_DENY = "Deny"
    IMPLICIT_DENY = "none"


@dataclass(frozen=True)
class Principal:
    """Who signed a request: an IAM user, or a session of a role."""

    arn: str
    """ARN of the user or the role."""
    user_arn: str
    """ARN that AWS shows: the user's, or that of the role's session."""
    user_id: str
    """`AIDA…`, or `AROA…:session`."""
    access_key_id: str
    policies: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    """A permissions boundary, which must allow the request too."""

    @property
    def conditions(self) -> dict[str, str]:
        """Condition keys of the principal ("AWS global condition context keys")."""
        is_role = ":role/" in self.arn
        return {
            "aws:principalarn": self.arn,
            "aws:principalaccount": ACCOUNT_ID,
            "aws:principaltype": "AssumedRole" if is_role else "User",
            "aws:userid": self.user_id,
            **({} if is_role else {"aws:username": self.arn.rpartition("/")[2]}),
        }


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and why not."""

    allowed: bool
    reason: str = ""
    """Ends AWS's message to the caller."""
    fault: str = ""
    """A sentence for the user of the engine, if a policy cannot be evaluated."""


def is_allowed(
    principal: Principal | None, action: str, resource: str, conditions: Context, resource_policy: Policy | None
) -> bool:
    """Return whether a principal may do something, as `decide`."""
    return decide(principal, action, resource, conditions, resource_policy).allowed


def decide(
    principal: Principal | None, action: str, resource: str, conditions: Context, resource_policy: Policy | None
) -> Decision:
    """Decide by the principal's policies and the resource's.

    An explicit deny wins. Otherwise, it is enough if one side allows the request.

    Args:
        principal: who asks. None for an anonymous caller, whom only the resource's policy can allow.
        action: such as `execute-api:Invoke`.
        resource: the ARN.
        conditions: condition keys of the request, such as `aws:SourceIp`. Those of the principal are added.
        resource_policy: the resource's policy. None if it has none.
    """
    context = {name.lower(): value for name, value in conditions.items()} | (principal.conditions if principal else {})
    try:
        of_resource = evaluate_policies(
            [resource_policy] if resource_policy else [], action, resource, context, principal=principal, has_owner=True
        )
        of_identity = evaluate_policies(principal.policies if principal else (), action, resource, context)
        bounded = principal is not None and principal.boundary is not None
        of_boundary = (
            evaluate_policies([principal.boundary], action, resource, context)
            if principal is not None and principal.boundary is not None
            else Effect.ALLOW
        )
    except UnsupportedPolicy as error:
        return Decision(False, " with an explicit deny", f"A policy cannot be evaluated, so it denies: {error}")
    for effect, name in (
        (of_identity, "an identity-based policy"),
        (of_resource, "a resource-based policy"),
        (of_boundary, "a permissions boundary"),
    ):
        if effect is Effect.EXPLICIT_DENY:
            return Decision(False, f" with an explicit deny in {name}")
    if of_resource is Effect.ALLOW or (of_identity is Effect.ALLOW and of_boundary is Effect.ALLOW):
        return Decision(True)
    if bounded and of_identity is Effect.ALLOW:
        return Decision(False, f" because no permissions boundary allows the {action} action")
    missing = "resource-based" if principal is None else "identity-based"
    return Decision(False, f" because no {missing} policy allows the {action} action")


def evaluate_policies(
    policies: Iterable[Policy],
    action: str,
    resource: str,
    context: Context,
    *,
    principal: Principal | None = None,
    has_owner: bool = False,
) -> Effect:
    """Return what some policies say of a request.

    Args:
        policies: the documents.
        action: the action.
        resource: the ARN.
        context: condition keys of the request, in lower case.
        principal: who asks; only for the policy of a resource.
        has_owner: whether the policies are those of a resource, so that statements name principals.

    Raises:
        UnsupportedPolicy: a policy has a wrong form, or an unknown condition operator.
    """
    effect = Effect.IMPLICIT_DENY
    for statement in _read_statements(policies):
        is_deny = statement.get("Effect") == Effect.EXPLICIT_DENY.value
        if not is_deny and statement.get("Effect") != Effect.ALLOW.value:
            raise UnsupportedPolicy("A statement's Effect is neither Allow nor Deny.")
        applies = (
            _covers(statement, "Action", action, context, is_deny=is_deny)
            and _covers(statement, "Resource", resource, context, is_deny=is_deny)
            and (not has_owner or _names(statement, principal, is_deny=is_deny))
            and meets_conditions(statement.get("Condition"), context)
        )
        if applies and is_deny:
            return Effect.EXPLICIT_DENY
        if applies:
            effect = Effect.ALLOW
    return effect


def _read_statements(policies: Iterable[Policy]) -> Iterator[Mapping[str, Any]]:
    for policy in policies:
        statements = policy.get("Statement") if isinstance(policy, Mapping) else None
        for statement in statements if isinstance(statements, list) else [statements]:
            if not isinstance(statement, dict):
                raise UnsupportedPolicy("A policy has no Statement, or one that is not a mapping.")
            # A statement that is a value without a counterpart here allows nothing.
            if REFUSAL not in statement:
                yield statement


def _covers(statement: Mapping[str, Any], name: str, value: str, context: Context, *, is_deny: bool) -> bool:
    """Return whether a statement's `Action` or `Resource`, or its opposite, includes a value."""
    is_negated = f"Not{name}" in statement
    patterns = statement.get(f"Not{name}" if is_negated else name)
    for pattern in patterns if isinstance(patterns, list) else [patterns]:
        if isinstance(pattern, dict) and REFUSAL in pattern:
            # It cannot be evaluated, so a deny applies and an allow does not.
            if is_deny or is_negated:
                return is_deny
            continue
        if not isinstance(pattern, str):
            raise UnsupportedPolicy(f"A statement's {name} is {pattern!r}.")
        full = pattern if name == "Action" else substitute(_expand(pattern, value), context)
        if full is not None and matches(full, value, ignores_case=name == "Action"):
            return not is_negated
    return is_negated


def _expand(pattern: str, resource: str) -> str:
    """Return a resource of API Gateway's short form, `execute-api:/stage/GET/path`, as an ARN."""
    prefix = "execute-api:/"
    if not pattern.startswith(prefix):
        return pattern
    return f"{resource.partition('/')[0]}/{pattern.removeprefix(prefix)}"


def _names(statement: Mapping[str, Any], principal: Principal | None, *, is_deny: bool) -> bool:
    """Return whether a resource's statement is about a principal ("AWS JSON policy elements: Principal")."""
    is_negated = "NotPrincipal" in statement
    named = statement.get("NotPrincipal" if is_negated else "Principal")
    if isinstance(named, dict):
        if REFUSAL in named:
            return is_deny
        accounts = named.get("AWS", [])
        # An entry of another kind, such as Service, is nobody who signs requests here.
        names = accounts if isinstance(accounts, list) else [accounts]
    else:
        names = [named]
    return any(_is_named(name, principal, is_deny=is_deny or is_negated) for name in names) != is_negated


def _is_named(name: Any, principal: Principal | None, *, is_deny: bool) -> bool:
    if name == "*":
        return True
    if isinstance(name, dict) and REFUSAL in name:
        return is_deny
    if not isinstance(name, str):
        raise UnsupportedPolicy(f"A statement's Principal is {name!r}.")
    if principal is None:
        return False
    if name in (ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root"):
        # An account passes a permission on with its identity-based policies; a deny binds all of its principals.
        return is_deny
    return name in (principal.arn, principal.user_arn)
