"""`local-engine credentials`: prints keys of a role or user for requests to APIs with IAM authorization."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_engine.access.credentials import Credentials, issue_role_credentials, issue_user_credentials
from local_engine.access.principals import Principals
from local_engine.command_line.arguments import CommandParser, add_template_options, parse_count
from local_engine.state import StateError
from local_engine.template.errors import TemplateError
from local_engine.template.loader import load_template


def print_credentials(arguments: Sequence[str]) -> None:
    """Print an access key, and nothing else.

    Raises:
        SystemExit: with status 2 after a sentence, if an argument is invalid or the key cannot be kept.
    """
    parser = CommandParser(
        prog="local-engine credentials",
        description="Print keys for requests to APIs with IAM authorization. They are worth nothing on AWS.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--principal",
        required=True,
        metavar="NAME",
        help="a role or user of the template, by its logical ID or name; any other name creates an additional user",
    )
    parser.add_argument(
        "--policy", type=_parse_policy, metavar="FILE", help="policy document in JSON: what an additional user may do"
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
    try:
        stack = load_template(options.template, dict(options.parameters))
        found = Principals(stack).find_kind(options.principal)
        if found is not None and options.policy is not None:
            raise TemplateError(f"{options.principal} has its policies in the template, so --policy cannot be given.")
        match found:
            case ("Role", name):
                key = issue_role_credentials(stack.project, name, expires_in=options.expires)
            case _:
                name = found[1] if found else options.principal
                policies = None if options.policy is None else [options.policy]
                key = issue_user_credentials(stack.project, name, policies, expires_in=options.expires)
    except (StateError, TemplateError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
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


def _parse_policy(text: str) -> dict[str, Any]:
    try:
        policy = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text} is not a policy document in JSON ({error})") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise argparse.ArgumentTypeError(f"{text} is not a policy document: it has no Statement")
    return policy
