"""Pseudonyms of users, in logs and in the audit trail.

A pseudonym is a keyed hash (HMAC, RFC 2104) whose key belongs to the stack: without the key, nobody finds out whose it
is by trying known subjects, and the pseudonyms of two stacks have nothing in common (docs/privacy.md).
"""

import hmac

from serverless_api.environment import settings
from serverless_api.environment.settings import SettingError


def pseudonymize(subject: str) -> str:
    """Return the pseudonym of a token's `sub`: 32 hexadecimal digits.

    Raises:
        SettingError: the function has no key.
    """
    if not settings.PSEUDONYM_KEY:
        raise SettingError("The environment variable PSEUDONYM_KEY is not set; template.yaml sets it.")
    return hmac.digest(settings.PSEUDONYM_KEY.encode(), subject.encode(), "sha256").hex()[:32]
