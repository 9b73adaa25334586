"""`python -m tools.access`: prints an API's URL and a token for all of its routes, for programs that call it.

What it prints is a credential, so it is for a pipe and not for a log.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from tools.arguments import add_target, find_target
from tools.profiles import OperationError


def main(arguments: Sequence[str]) -> int:
    """Print both as JSON and return the exit status: 0, or 2 after a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tools.access", allow_abbrev=False)
    add_target(parser)
    try:
        target = find_target(parser.parse_args(arguments))
        print(json.dumps({"url": target.url, "token": target.client.get_token()}))
    except OperationError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
