"""`python -m tools.deploy`: what `make deploy` does before and after `sam deploy`."""

import argparse
import sys
from collections.abc import Sequence

from tools.profiles import OperationError, Profile, read_profile
from tools.stack import DeployedStack

_PROTECTED_STAGES = {"prod"}


def check(stage: str) -> Profile:
    """See that a stage can be deployed, before anything is built for it.

    Raises:
        OperationError: there is no such stage, or AWS does not accept the credentials.
    """
    profile = read_profile(stage)
    DeployedStack(profile.stack, profile.region).check_credentials()
    return profile


def protect(stage: str) -> bool:
    """Have a production stack refuse its deletion, for which `sam deploy` has no option; return whether it is one.

    Raises:
        OperationError: there is no such stage or stack, or AWS does not do it.
    """
    profile = read_profile(stage)
    if stage not in _PROTECTED_STAGES:
        return False
    DeployedStack(profile.stack, profile.region).protect()
    return True


def main(arguments: Sequence[str]) -> int:
    """Take a step and return the exit status: 0, or 2 after a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__, allow_abbrev=False)
    parser.add_argument("step", choices=("check", "protect"))
    parser.add_argument("--stage", default="", help="a profile of samconfig.toml")
    options = parser.parse_args(arguments)
    try:
        if options.step == "check":
            profile = check(options.stage)
            print(f"Deploying the stack {profile.stack}, after the tests.", flush=True)
        elif protect(options.stage):
            print("The stack refuses to be deleted until its termination protection is switched off.", flush=True)
    except OperationError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
