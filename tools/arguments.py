"""Command-line options that select an API: one that `make run` serves, or a deployed stack's."""

import argparse
import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from tools.profiles import OperationError, read_profile
from tools.stack import DeployedStack
from tools.targets import Target, find_deployed, find_local


def add_target(parser: argparse.ArgumentParser, *, takes_url: bool = True) -> None:
    """Add the options, of which exactly one must be given. Without `takes_url`, all select a deployed stack."""
    where = parser.add_mutually_exclusive_group(required=True)
    if takes_url:
        where.add_argument("--url", help="URL of an API that `make run` serves")
    where.add_argument("--stage", help="profile in samconfig.toml whose stack is deployed")
    where.add_argument("--stack", help="name of a deployed stack in the environment's region")


def find_target(options: argparse.Namespace) -> Target:
    """Return the API that the options select.

    Raises:
        OperationError: the API or a client for it is missing.
    """
    return find_local(options.url) if options.url else find_deployed(find_stack(options))


def find_stack(options: argparse.Namespace) -> DeployedStack:
    """Return the deployed stack that the options select.

    Raises:
        OperationError: the stage is missing, or AWS rejects the credentials.
    """
    profile = read_profile(options.stage) if options.stage is not None else None
    stack = DeployedStack(profile.stack, profile.region) if profile else DeployedStack(options.stack)
    stack.check_credentials()
    return stack


def add_services(parser: argparse.ArgumentParser) -> None:
    """Add `--services`, which goes with `--url`."""
    parser.add_argument("--services", help="address of the AWS services that `make run` prints, with --url")


def read_services(options: argparse.Namespace) -> str:
    """Return the address of the local AWS services.

    Raises:
        OperationError: it is not given.
    """
    if not options.services:
        raise OperationError("Set SERVICES= to the address of the AWS services that `make run` prints.")
    return str(options.services)


def report_failure(action: Callable[[], int]) -> int:
    """Run a tool and return its exit status: 2 after a sentence if something that it needs has failed."""
    try:
        return action()
    except OperationError as error:
        print(error, file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"AWS failed: {error}", file=sys.stderr)
    return 2
