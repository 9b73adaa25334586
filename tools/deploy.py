"""`python -m tools.deploy`: the steps of `make deploy` before and after `sam deploy`."""

import sys
from collections.abc import Sequence

from tools.command_parser import CommandParser
from tools.profiles import OperationError, Profile, read_profile
from tools.stack import DeployedStack

_PROTECTED_STAGES = {"prod"}


def check(stage: str) -> Profile:
    """Check that a stage can be deployed, before anything is built.

    Raises:
        OperationError: the stage does not exist, or AWS rejects the credentials.
    """
    profile = read_profile(stage)
    DeployedStack(profile.stack, profile.region).check_credentials()
    return profile


def protect(stage: str) -> bool:
    """Turn on a production stack's termination protection, and return whether the stage is one of production.

    Raises:
        OperationError: the stage or the stack does not exist, or AWS refuses.
    """
    profile = read_profile(stage)
    if stage not in _PROTECTED_STAGES:
        return False
    DeployedStack(profile.stack, profile.region).protect()
    return True


def main(arguments: Sequence[str]) -> int:
    """Run a step and return the exit status: 0, or 2 after an error message."""
    parser = CommandParser(prog="python -m tools.deploy", description=__doc__, allow_abbrev=False)
    parser.add_argument("step", choices=("check", "protect"))
    parser.add_argument("--stage", default="", help="profile in samconfig.toml")
    options = parser.parse_args(arguments)
    try:
        if options.step == "check":
            profile = check(options.stage)
            print(f"Deploying the stack {profile.stack} after the tests.", flush=True)
        elif protect(options.stage):
            print("Termination protection is on: the stack cannot be deleted until you turn it off.", flush=True)
    except OperationError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
