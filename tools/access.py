"""`python -m tools.access`: prints an API's URL and a token for all of its routes, as JSON.

The output contains a credential: pipe it into a program, don't log it.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from tools.arguments import add_target, find_target
from tools.profiles import OperationError


def main(arguments: Sequence[str]) -> int:
    """Print both and return the exit status: 0, or 2 after an error message."""
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
