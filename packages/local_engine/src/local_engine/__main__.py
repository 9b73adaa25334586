"""`local-engine run|token|credentials|backend|dashboard`, also as `python -m local_engine`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from local_engine.imports import INTERRUPTED, import_quickly

_COMMANDS = {
    "run": ("local_engine.command_line.run_command", "run"),
    "token": ("local_engine.command_line.token_command", "print_token"),
    "credentials": ("local_engine.command_line.credentials_command", "print_credentials"),
    "backend": ("local_engine.command_line.backend_command", "run_backend"),
    "dashboard": ("local_engine.command_line.dashboard_command", "open_dashboard"),
}
_HELP = """usage: local-engine COMMAND [OPTIONS]

Serves the APIs of an AWS SAM template on this machine, without Docker and without an AWS account. Authorizers are
enforced, triggers run the functions, and edits take effect at once. The AWS services that functions use run beside.

commands (each takes --help):
  run          serve the APIs of a SAM template, with its triggers and AWS services
  token        print a token that the running API accepts
  credentials  print keys of a role or user, for APIs with IAM authorization
  backend      serve only the AWS services and the issuer, for functions under `sam local`
  dashboard    open the stack's CloudWatch dashboard, and serve the APIs if nothing does

examples:
  local-engine run
      serve template.yaml of this folder at http://127.0.0.1:3000
  local-engine run --parameters Stage=dev 'Issuer={issuer}' --seed items.json
      set the template's parameters, trust the local issuer, and fill the tables
  curl -H "Authorization: Bearer $(local-engine token --sub ann --scopes 'read:orders')" http://127.0.0.1:3000/orders
      call an API as the user ann

exit status, each but 0 and 130 with a sentence on standard error:
"""
_WRONG_PYTHON = 7


def main() -> int:
    """Run a command and return its exit status; see `local_engine.command_line.exit_status`."""
    # Checked before the commands are imported, because an older Python cannot parse them.
    if sys.version_info < (3, 13):  # noqa: UP036
        print(f"The local engine needs Python 3.13; {sys.executable} is {sys.version.split()[0]}.", file=sys.stderr)
        return _WRONG_PYTHON
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        with import_quickly():
            run = _find_command(command)
        run(sys.argv[2:])
    except KeyboardInterrupt:
        # Ctrl-C before the command handles signals itself.
        return INTERRUPTED
    except Exception as error:
        # What it knows of errors would delay the start of the services.
        from local_engine.command_line.exit_status import report_error  # noqa: PLC0415

        return report_error(error)
    return 0


def _find_command(name: str) -> Callable[[Sequence[str]], None]:
    from local_engine.child_environment import isolate_process  # noqa: PLC0415 - an older Python cannot parse it
    from local_engine.command_line.command_errors import ArgumentError  # noqa: PLC0415

    isolate_process()
    if name in ("-h", "--help"):
        return _print_help
    if name not in _COMMANDS:
        raise ArgumentError(f"There is no command {name!r}; there are {', '.join(_COMMANDS)}. See: local-engine --help")
    module, function = _COMMANDS[name]
    command: Callable[[Sequence[str]], None] = getattr(import_module(module), function)
    return command


def _print_help(_: Sequence[str]) -> None:
    from local_engine.command_line.exit_status import describe_statuses  # noqa: PLC0415

    print(_HELP + describe_statuses())


if __name__ == "__main__":
    sys.exit(main())
