"""`local-engine token`: prints an access token of the local issuer."""

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any

from local_engine.access.user_pools import read_user_pools
from local_engine.command_line.arguments import DEFAULT_PORT, CommandParser, add_project_option, parse_port
from local_engine.command_line.command_errors import ArgumentError
from local_engine.issuer.access_tokens import TOKEN_SECONDS, load_signing_key
from local_engine.issuer.api_tokens import fetch_token_settings, mint_api_token, mint_pool_token
from local_engine.template.loader import load_template

_DESCRIPTION = """Print a token that the running API at --port accepts, or one for a client of a user pool of the
template. If no engine runs there, it has the audience "local"."""
_EXAMPLES = """examples:
  curl -H "Authorization: Bearer $(local-engine token --sub ann --scopes 'read:orders')" http://127.0.0.1:3000/orders
  local-engine token --expires -1
      an expired token, which every API rejects
  local-engine token --client AppClient --id
      an ID token of the user pool that the client AppClient belongs to"""


def print_token(arguments: Sequence[str]) -> None:
    """Print a token, and nothing else."""
    parser = CommandParser("token", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--sub", type=_parse_user, default="demo", help="the user (default: demo)")
    parser.add_argument("--scopes", default="", help="scopes, separated by spaces (default: none)")
    parser.add_argument(
        "--expires",
        type=_parse_expiry,
        default=TOKEN_SECONDS,
        metavar="SECONDS",
        help=f"seconds until it expires; negative for an expired token (default: {TOKEN_SECONDS})",
    )
    parser.add_argument(
        "--claims",
        type=_parse_claims,
        default={},
        metavar="JSON",
        help="""claims to set, or to remove with null: '{"aud": "other", "scope": null}' (default: none)""",
    )
    parser.add_argument(
        "--port", type=parse_port, default=DEFAULT_PORT, help=f"port of the API (default: {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--client",
        metavar="NAME",
        help="client of a user pool of the template, to issue the token to, by its logical ID (default: none)",
    )
    parser.add_argument("--id", action="store_true", help="an ID token of the user pool, not an access token")
    add_project_option(parser)
    options = parser.parse_args(arguments)
    if options.client is not None:
        print(_mint_for_client(options))
        return
    if options.id:
        raise ArgumentError("--id needs --client: only user pools have ID tokens here.")
    key = load_signing_key(options.template.parent)
    token = mint_api_token(
        key,
        fetch_token_settings(options.port),
        options.sub,
        options.scopes.split(),
        expires_in=options.expires,
        claims=options.claims,
    )
    print(token)


def _mint_for_client(options: argparse.Namespace) -> str:
    stack = load_template(options.template, {})
    for pool in read_user_pools(stack):
        for client in pool.clients:
            if options.client in (client.logical_id, client.id):
                return mint_pool_token(
                    load_signing_key(stack.project),
                    pool.issuer,
                    client.id,
                    options.sub,
                    options.scopes.split(),
                    uses_id=options.id,
                    expires_in=options.expires,
                    claims=options.claims,
                )
    raise ArgumentError(f"{options.client} is not a client of a user pool of {options.template}.")


def _parse_user(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the user is empty; name one, such as demo")
    return text


def _parse_expiry(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{10,}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is too large; choose at most 999999999 seconds, which are 31 years")
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds, such as {TOKEN_SECONDS} or -1")
    return int(text)


def _parse_claims(text: str) -> dict[str, Any]:
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error})") from None
    if not isinstance(claims, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object of claims")
    return claims
