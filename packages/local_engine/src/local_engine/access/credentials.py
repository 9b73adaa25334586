"""Access keys that the engine issues, in the state folder. Only their owner can read them."""

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_engine.state import StateError, read_or_create, replace_file, state_directory

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

_FOLDER = "credentials"
_ACCESS_KEY_ID = re.compile(r"A[KS]IA[A-Z2-7]{16}")


@dataclass(frozen=True)
class Credentials:
    """An access key of a user or of a role's session."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    """None for a user's long-term key."""
    expires_at: float | None
    """Seconds since the epoch. None if the key does not expire."""
    user: str | None
    """The user's name. None for a role."""
    role: str | None
    """The role's name. None for a user."""
    session: str = ""
    """The name of the role's session: the function that has assumed it, or `local`."""
    policies: Sequence[dict[str, Any]] = ()
    """Policies of a user that the template does not have."""

    @property
    def is_expired(self) -> bool:
        """Whether the key has expired."""
        return self.expires_at is not None and self.expires_at <= time.time()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that AWS's SDKs read."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return variables | ({} if self.session_token is None else {"AWS_SESSION_TOKEN": self.session_token})

    def to_botocore(self) -> "ReadOnlyCredentials":
        """Return the key as botocore's signers take it."""
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415 - only if something is signed

        return ReadOnlyCredentials(self.access_key_id, self.secret_access_key, self.session_token)


def issue_role_credentials(
    project: Path, role: str, session: str = "local", *, expires_in: int | None = None
) -> Credentials:
    """Return a key of a session of a role. The first call creates and keeps it.

    Args:
        project: the folder of the template.
        role: the role's name.
        session: the session's name.
        expires_in: seconds until the key expires. If given, the key is a new one.

    Raises:
        StateError: the key cannot be read or written.
    """
    return _issue(project, Credentials("ASIA", _new_secret(), _new_secret() * 4, None, None, role, session), expires_in)


def issue_user_credentials(
    project: Path, user: str, policies: Sequence[dict[str, Any]] | None = None, *, expires_in: int | None = None
) -> Credentials:
    """Return a key of a user. The first call creates and keeps it.

    Args:
        project: the folder of the template.
        user: the user's name.
        policies: what the user may do, besides what the template says. None keeps the policies of the last call.
        expires_in: seconds until the key expires. If given, the key is a new one.

    Raises:
        StateError: the key cannot be read or written.
    """
    issued = _issue(project, Credentials("AKIA", _new_secret(), None, None, user, None, "", policies or ()), expires_in)
    if policies is not None and list(issued.policies) != list(policies):
        issued = replace(issued, policies=policies)
        replace_file(project, _file_name(issued.access_key_id), _encode(issued))
    return issued


def find_credentials(project: Path, access_key_id: str) -> Credentials | None:
    """Return an issued key, or None.

    Raises:
        StateError: the key's file cannot be read.
    """
    # The ID is part of a path.
    if not _ACCESS_KEY_ID.fullmatch(access_key_id):
        return None
    path = state_directory(project) / _file_name(access_key_id)
    try:
        return _decode(path.read_bytes(), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror}).") from error


def make_id(prefix: str, name: str, length: int) -> str:
    """Return an ID as IAM makes them, always the same for a name."""
    return prefix + base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:length]


def _issue(project: Path, key: Credentials, expires_in: int | None) -> Credentials:
    name = f"user/{key.user}" if key.user is not None else f"role/{key.role}/{key.session}"
    if expires_in is not None:
        key = replace(key, expires_at=time.time() + expires_in)
        name += secrets.token_hex(8)
    key = replace(key, access_key_id=make_id(key.access_key_id, name, 16))
    file_name = _file_name(key.access_key_id)
    content = read_or_create(project, file_name, lambda: _encode(key))
    return _decode(content, state_directory(project) / file_name)


def _file_name(access_key_id: str) -> str:
    return f"{_FOLDER}/{access_key_id}.json"


def _encode(key: Credentials) -> bytes:
    return json.dumps(asdict(key)).encode()


def _decode(content: bytes, path: Path) -> Credentials:
    try:
        return Credentials(**json.loads(content))
    except (ValueError, TypeError):
        raise StateError(f"{path} is not an access key of the engine. Delete it to get a new one.") from None


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(30)).decode()
