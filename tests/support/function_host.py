"""Runs a function as Lambda does, each event in a process of its own that a test can kill.

Takes events on standard input, a line each. Writes two lines for each: the id of the process that has the event, and
how it ended. The handler is imported once and its process forked, as from a snapshot, since importing takes a second.
"""

import importlib
import json
import logging
import os
import sys
import traceback
from types import SimpleNamespace

# As the runtime does where the template's LogLevel is DEBUG: whatever libraries log is written to the function's log.
logging.basicConfig(stream=sys.stderr)
logging.getLogger().setLevel(logging.DEBUG)

handler = importlib.import_module("app").handler
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        status = 0
        # Standard output is the host's own, so the function's is the log.
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            handler(json.loads(line), SimpleNamespace(aws_request_id=str(os.getpid())))
        except Exception:
            traceback.print_exc()
            status = 1
        os._exit(status)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
