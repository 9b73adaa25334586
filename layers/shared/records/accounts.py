"""Accounts of users in the stack's own user pool."""

from typing import Any


def find_account(client: Any, user_pool: str, subject: str) -> str | None:
    """Return the user name of a subject's account, or None.

    Args:
        client: a boto3 client of Cognito user pools.
        user_pool: ID of the pool; empty if tokens come from another issuer, which has the accounts.
        subject: the `sub` of the user's tokens.
    """
    if not user_pool:
        return None
    quoted = subject.replace("\\", "\\\\").replace('"', '\\"')
    found = client.list_users(UserPoolId=user_pool, Filter=f'sub = "{quoted}"', Limit=1)["Users"]
    return str(found[0]["Username"]) if found else None


def delete_account(client: Any, user_pool: str, name: str) -> None:
    """Delete an account, unless it is gone."""
    try:
        client.admin_delete_user(UserPoolId=user_pool, Username=name)
    except client.exceptions.UserNotFoundException:
        return
