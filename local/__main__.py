"""`python -m local run|token|backend`: the local engine's command line."""

import sys
from pathlib import Path

_USAGE = """usage: python -m local run      serve the HTTP APIs of a SAM template
       python -m local token    print an access token of the local issuer
       python -m local backend  AWS services and issuer for `sam local`

Each takes --help."""


def main() -> int:
    """Runs a command and returns the exit status: 0, or 2 after a sentence that says what is wrong."""
    required = Path(__file__).resolve().parent.parent.joinpath(".python-version").read_text().strip()
    running = "%d.%d" % sys.version_info[:2]
    # Before anything else is imported: an older Python would stumble over the syntax of the modules.
    if running != required:
        print("This needs Python %s, and %s is Python %s; use `make run`." % (required, sys.executable, running), file=sys.stderr)
        return 2
    command, arguments = (sys.argv + [""])[1], sys.argv[2:]
    try:
        if command == "run":
            from local.server import run

            run(arguments)
        elif command == "token":
            from local.tokens import print_token

            print_token(arguments)
        elif command == "backend":
            from local.backend import run_backend

            run_backend(arguments)
        else:
            print(_USAGE, file=sys.stdout if command in ("-h", "--help") else sys.stderr)
            return 0 if command in ("-h", "--help") else 2
    except KeyboardInterrupt:
        # Ctrl-C while the modules are still being imported.
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
