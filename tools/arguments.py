"""Which API a command line means: one that `make run` serves, or that of a deployed stack."""

import argparse

from tools.profiles import read_profile
from tools.stack import DeployedStack
from tools.targets import Target, find_deployed, find_local


def add_target(parser: argparse.ArgumentParser) -> None:
    """Have a command line name one API."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="of an API that `make run` serves")
    where.add_argument("--stage", help="a profile of samconfig.toml, whose stack is deployed")
    where.add_argument("--stack", help="name of a deployed stack, in the region of the environment")


def find_target(options: argparse.Namespace) -> Target:
    """Return the API that a command line names.

    Raises:
        OperationError: it is not there, or no client for it.
    """
    if options.url:
        return find_local(options.url)
    profile = read_profile(options.stage) if options.stage else None
    stack = DeployedStack(profile.stack, profile.region) if profile else DeployedStack(options.stack)
    stack.check_credentials()
    return find_deployed(stack)
