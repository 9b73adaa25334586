"""Pseudonyms of users, in logs and in the audit trail.

A pseudonym is a keyed hash (HMAC, RFC 2104) whose key belongs to the stack: without the key, nobody finds out whose it
is by trying known subjects, and the pseudonyms of two stacks have nothing in common (docs/privacy.md).
"""

import hmac


def make_pseudonym(key: str, subject: str) -> str:
    """Return the pseudonym of a token's `sub` with a stack's key: 32 hexadecimal digits."""
    return hmac.digest(key.encode(), subject.encode(), "sha256").hex()[:32]


def pseudonymize(subject: str) -> str:
    """Return the pseudonym of a token's `sub` in this stack.

    Raises:
        SettingError: the function has no key.
    """
    # Operators' tools import this module without the functions' settings.
    from serverless_api.environment import settings  # noqa: PLC0415

    if not settings.PSEUDONYM_KEY:
        raise settings.SettingError("The environment variable PSEUDONYM_KEY is not set; template.yaml sets it.")
    return make_pseudonym(settings.PSEUDONYM_KEY, subject)
