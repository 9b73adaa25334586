"""Runs a function as Lambda does, each event in its own process, which a test can kill.

Reads one event per line from standard input. Writes two lines for each: the ID of its process, and the exit status. The
handler is imported once and then forked, because importing takes a second.
"""

import importlib
import json
import logging
import os
import sys
import traceback
from types import SimpleNamespace

# As the runtime does at log level DEBUG: what libraries log goes to the function's log.
logging.basicConfig(stream=sys.stderr)
logging.getLogger().setLevel(logging.DEBUG)

handler = importlib.import_module("app").handler
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        status = 0
        # Standard output belongs to the host, so the function's goes to the log.
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
