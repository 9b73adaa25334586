"""`python -m local_engine token`: prints an access token of the local issuer."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from local_engine.command_line.arguments import parse_port
from local_engine.issuer.issuer import TOKEN_SECONDS, load_signing_key, mint_token
from local_engine.state import StateError

AUDIENCE = "local"
ISSUER_PATH = "/_local/issuer"


def issuer_url(port: int) -> str:
    """Return the identifier of the issuer that a server on this port has."""
    return f"http://127.0.0.1:{port}{ISSUER_PATH}"


def print_token(arguments: Sequence[str]) -> None:
    """Print a token made as the command line says, and nothing else.

    Raises:
        SystemExit: with status 2 after a sentence, where the arguments do not fit or there is no key.
    """
    parser = argparse.ArgumentParser(
        prog="python -m local_engine token", description="Print an access token.", allow_abbrev=False
    )
    parser.add_argument("--sub", default="demo", help="the user the token stands for (default: demo)")
    parser.add_argument("--scopes", default="", help="scopes, separated by blanks (default: none)")
    parser.add_argument(
        "--expires",
        type=int,
        default=TOKEN_SECONDS,
        metavar="SECONDS",
        help=f"seconds until it expires; negative for one already expired (default: {TOKEN_SECONDS})",
    )
    parser.add_argument(
        "--claims",
        type=_parse_claims,
        default={},
        metavar="JSON",
        help="""claims to set, or to remove with null: '{"aud": "other", "scope": null}'""",
    )
    parser.add_argument("--port", type=parse_port, default=3000, help="port of the server to call (default: 3000)")
    options = parser.parse_args(arguments)
    try:
        key = load_signing_key()
    except StateError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    token = mint_token(
        key,
        issuer=issuer_url(options.port),
        audience=AUDIENCE,
        subject=options.sub,
        scopes=options.scopes.split(),
        expires_in=options.expires,
        claims=options.claims,
    )
    print(token)


def _parse_claims(text: str) -> dict[str, Any]:
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error})") from None
    if not isinstance(claims, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object of claims")
    return claims
