"""`python -m tools.access_token`: prints an access token of a deployed stack's machine client."""

import sys
from collections.abc import Sequence

from tools.arguments import add_target, find_target, report_failure
from tools.command_parser import CommandParser


def main(arguments: Sequence[str]) -> int:
    """Print the token and return the exit status: 2 after a sentence if there is none."""
    parser = CommandParser(prog="make token", usage="make token STAGE=dev | STACK=name", allow_abbrev=False)
    add_target(parser, takes_url=False)
    # A local token comes from the local issuer.
    parser.set_defaults(url=None)
    options = parser.parse_args(arguments)

    def print_token() -> int:
        print(find_target(options).client.get_token())
        return 0

    return report_failure(print_token)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
