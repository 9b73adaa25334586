"""`local-engine run|token|credentials|backend|dashboard`, also as `python -m local_engine`."""

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
_USAGE = """usage: local-engine run          serve the HTTP APIs of a SAM template
       local-engine token        print an access token of the local issuer
       local-engine credentials  print keys for APIs with IAM authorization
       local-engine backend      serve AWS services and the issuer for `sam local`
       local-engine dashboard    open the stack's dashboard, and serve the APIs if nothing does

Each command takes --help."""


def main() -> int:
    """Run a command and return its exit status: 0, 2 after a sentence that says what is wrong, or 130 after Ctrl-C."""
    # Ctrl-C during the imports, before there is anything to stop. An exception could come up anywhere.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    # Checked before the commands are imported, because an older Python cannot parse them.
    if sys.version_info < (3, 13):  # noqa: UP036
        print(f"The local engine needs Python 3.13; {sys.executable} is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in _COMMANDS:
        is_asked = command in ("-h", "--help")
        print(_USAGE, file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else 2
    from local_engine.child_environment import isolate_process  # noqa: PLC0415 - an older Python cannot parse it

    isolate_process()
    module, function = _COMMANDS[command]
    run = getattr(import_module(module), function)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(sys.argv[2:])
    except KeyboardInterrupt:
        # Ctrl-C before the command handles signals itself.
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
