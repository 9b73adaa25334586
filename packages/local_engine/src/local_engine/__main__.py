"""`local-engine run|token|credentials|backend|dashboard`, also as `python -m local_engine`."""

import gc
import os
import signal
import sys
from importlib import import_module

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
_WRONG_PYTHON, _INTERRUPTED = 7, 130


def main() -> int:
    """Run a command and return its exit status; see `local_engine.command_line.exit_status`."""
    # Ctrl-C during the imports, before there is anything to stop. An exception could come up anywhere.
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    # Checked before the commands are imported, because an older Python cannot parse them.
    if sys.version_info < (3, 13):  # noqa: UP036
        print(f"The local engine needs Python 3.13; {sys.executable} is {sys.version.split()[0]}.", file=sys.stderr)
        return _WRONG_PYTHON
    # Collections would take a tenth of the start, and what it makes stays until the end.
    gc.disable()
    from local_engine.child_environment import isolate_process  # noqa: PLC0415 - an older Python cannot parse it

    isolate_process()
    from local_engine.command_line.exit_status import (  # noqa: PLC0415 - as above
        ArgumentError,
        describe_statuses,
        report_error,
    )

    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in ("-h", "--help"):
        print(_HELP + describe_statuses())
        return 0
    try:
        if command not in _COMMANDS:
            raise ArgumentError(
                f"There is no command {command!r}; there are {', '.join(_COMMANDS)}. See: local-engine --help"
            )
        module, function = _COMMANDS[command]
        run = getattr(import_module(module), function)
        gc.freeze()
        gc.enable()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run(sys.argv[2:])
    except KeyboardInterrupt:
        # Ctrl-C before the command handles signals itself.
        return _INTERRUPTED
    except Exception as error:
        return report_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
