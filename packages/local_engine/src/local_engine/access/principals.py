"""IAM roles, users, groups and policies of a template ("AWS::IAM" resource types of CloudFormation)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_engine.access.credentials import Credentials, find_credentials, make_id
from local_engine.access.policies import Policy, Principal
from local_engine.account import ACCOUNT_ID
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import REFUSAL
from local_engine.template.stack import Resource, Stack

_INVOKE = {"Effect": "Allow", "Action": ["execute-api:Invoke", "execute-api:ManageConnections"]}
# AWS's own policies that say something of what is served here. The others allow nothing.
_MANAGED_BY_AWS: Mapping[str, Policy] = {
    "AdministratorAccess": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}},
    "PowerUserAccess": {
        "Statement": {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}
    },
    "AmazonAPIGatewayInvokeFullAccess": {"Statement": {**_INVOKE, "Resource": "arn:aws:execute-api:*:*:*"}},
    "AWSLambda_FullAccess": {"Statement": {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}},
}
_HOLDERS = {"Role": "AWS::IAM::Role", "User": "AWS::IAM::User", "Group": "AWS::IAM::Group"}


@dataclass
class _Holder:
    """A role, a user or a group with what is attached to it."""

    policies: list[Policy] = field(default_factory=list)
    boundary: Policy | None = None
    groups: list[str] = field(default_factory=list)


class Principals:
    """Who can sign requests: the template's roles and users, and the users that the engine has issued keys to."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    @cached_property
    def _holders(self) -> dict[tuple[str, str], _Holder]:
        holders: dict[tuple[str, str], _Holder] = {}
        for kind, resource_type in _HOLDERS.items():
            for resource in self._resources(resource_type):
                holders[kind, str(resource.reference)] = self._read_holder(resource)
        for kind, names, document in self._list_attachments():
            for name in names:
                if (kind, name) in holders:
                    holders[kind, name].policies.append(document)
        for resource in self._resources("AWS::IAM::UserToGroupAddition"):
            for user in _list(_read(resource, "Users")):
                if ("User", user) in holders:
                    holders["User", user].groups.append(str(_read(resource, "GroupName")))
        return holders

    def _list_attachments(self) -> Iterator[tuple[str, list[Any], Policy]]:
        """Return the policies that are separate resources, with the kind and the names of what they apply to."""
        for kind in _HOLDERS:
            for resource_type in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", f"AWS::IAM::{kind}Policy"):
                for resource in self._resources(resource_type):
                    # `RolePolicy` and its like name one holder, the others a list of each kind.
                    names = [_read(resource, f"{kind}Name"), *_list(_read(resource, f"{kind}s"))]
                    yield kind, names, _document(_read(resource, "PolicyDocument"))

    def find_signer(self, access_key_id: str) -> Credentials | None:
        """Return the issued key with an ID, or None.

        Raises:
            StateError: the key's file cannot be read.
        """
        return find_credentials(self._stack.project, access_key_id)

    def describe(self, credentials: Credentials) -> Principal:
        """Return the principal of a key, with its policies as the template has them."""
        kind, name = ("User", credentials.user) if credentials.role is None else ("Role", credentials.role)
        holder = self._holders.get((kind, str(name))) or _Holder()
        arn = f"arn:aws:iam::{ACCOUNT_ID}:{kind.lower()}/{name}"
        user_arn, user_id = arn, make_id("AIDA", arn, 17)
        if kind == "Role":
            user_arn = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{credentials.session}"
            user_id = f"{make_id('AROA', arn, 17)}:{credentials.session}"
        groups = [self._holders[key] for group in holder.groups if (key := ("Group", group)) in self._holders]
        return Principal(
            arn=arn,
            user_arn=user_arn,
            user_id=user_id,
            access_key_id=credentials.access_key_id,
            policies=(*holder.policies, *credentials.policies, *(one for group in groups for one in group.policies)),
            boundary=holder.boundary,
        )

    def find_kind(self, name: str) -> tuple[str, str] | None:
        """Return the kind (`Role` or `User`) and the name of a principal of the template, or None.

        Args:
            name: its logical ID or its name.
        """
        for kind in ("Role", "User"):
            for logical_id, resource in self._stack.resources.items():
                if resource.type == _HOLDERS[kind] and name in (logical_id, resource.reference):
                    return kind, str(resource.reference)
        return None

    def _resources(self, resource_type: str) -> Iterator[Resource]:
        return (resource for resource in self._stack.resources.values() if resource.type == resource_type)

    def _read_holder(self, resource: Resource) -> _Holder:
        inline = [
            _document(entry.get("PolicyDocument")) for entry in _list(_read(resource, "Policies")) if _is_policy(entry)
        ]
        managed = [
            policy
            for arn in _list(_read(resource, "ManagedPolicyArns"))
            if (policy := self._find_managed(arn)) is not None
        ]
        boundary = _read(resource, "PermissionsBoundary")
        return _Holder(
            policies=[*inline, *managed],
            # A boundary that is not known here allows nothing.
            boundary=None if boundary is None else self._find_managed(boundary) or {"Statement": []},
            groups=[str(name) for name in _list(_read(resource, "Groups"))],
        )

    def _find_managed(self, arn: Any) -> Policy | None:
        name = str(arn).rpartition("/")[2]
        if str(arn).startswith("arn:aws:iam::aws:policy/"):
            return _MANAGED_BY_AWS.get(name)
        for resource in self._resources("AWS::IAM::ManagedPolicy"):
            if arn in (resource.reference, _read(resource, "ManagedPolicyName")) or name == resource.reference:
                return _document(_read(resource, "PolicyDocument"))
        return None


def _read(resource: Resource, name: str) -> Any:
    try:
        return resource.properties.get(name)
    except TemplateError as error:
        # The statement that cannot be evaluated may be one that denies.
        return {REFUSAL: str(error)} if name == "PolicyDocument" else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_policy(entry: Any) -> bool:
    return isinstance(entry, dict) and REFUSAL not in entry


def _document(value: Any) -> Policy:
    return value if isinstance(value, dict) else {}
