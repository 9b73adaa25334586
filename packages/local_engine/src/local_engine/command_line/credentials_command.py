"""`local-engine credentials`: prints keys of a role or user for requests to APIs with IAM authorization."""

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_engine.access.credentials import Credentials, issue_role_credentials, issue_user_credentials
from local_engine.access.principals import Principals
from local_engine.command_line.arguments import (
    DEFAULT_PORT,
    CommandParser,
    add_template_options,
    parse_count,
    read_parameters,
)
from local_engine.command_line.command_errors import ArgumentError, InputFileError
from local_engine.issuer.access_tokens import issuer_url
from local_engine.template.loader import load_template

_DESCRIPTION = (
    "Print keys of a role or user, for requests to APIs with IAM authorization. They are worth nothing on AWS."
)
_EXAMPLES = """examples:
  eval "$(local-engine credentials --principal ReaderRole --format env)"
      the keys of the role ReaderRole for the programs of this shell
  local-engine credentials --principal ann --policy may_read.json
      keys of a user who is not in the template, with a policy"""


def print_credentials(arguments: Sequence[str]) -> None:
    """Print an access key, and nothing else."""
    parser = CommandParser("credentials", _DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--principal",
        required=True,
        metavar="NAME",
        help="a role or user of the template, by its logical ID or name; any other name creates an additional user",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="policy document in JSON: what an additional user may do (default: nothing)",
    )
    parser.add_argument(
        "--expires", type=parse_count, metavar="SECONDS", help="of a new key (default: the same key, without expiry)"
    )
    parser.add_argument(
        "--format",
        choices=("process", "env"),
        default="process",
        help="JSON for credential_process of an AWS profile, or export commands (default: process)",
    )
    add_template_options(parser)
    options = parser.parse_args(arguments)
    stack = load_template(options.template, read_parameters(options, issuer_url(DEFAULT_PORT)))
    found = Principals(stack).find_kind(options.principal)
    if found is not None and options.policy is not None:
        raise ArgumentError(f"{options.principal} has its policies in the template, so --policy cannot be given.")
    match found:
        case ("Role", name):
            key = issue_role_credentials(stack.project, name, expires_in=options.expires)
        case _:
            name = found[1] if found else options.principal
            policies = None if options.policy is None else [_read_policy(options.policy)]
            key = issue_user_credentials(stack.project, name, policies, expires_in=options.expires)
    print(_describe_process(key) if options.format == "process" else _describe_exports(key))


def _describe_process(key: Credentials) -> str:
    """Return what `credential_process` expects ("Process credential provider", AWS SDKs and Tools Reference Guide)."""
    content = {
        "Version": 1,
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
        "SessionToken": key.session_token,
        "Expiration": None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC).isoformat(),
    }
    return json.dumps({name: value for name, value in content.items() if value is not None}, indent=2)


def _describe_exports(key: Credentials) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in key.variables.items())


def _read_policy(path: Path) -> dict[str, Any]:
    try:
        policy = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is not a policy document in JSON ({error}).") from error
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise InputFileError(f"{path} is not a policy document: it has no Statement.")
    return policy
