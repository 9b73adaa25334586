"""Runs pytest again and again, each time in a fork of a process that has imported the third-party packages.

A request is a line of JSON on standard input, its answer a line on standard output. See `Request` and `Answer`.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import sysconfig
import time

import pytest
from coverage import Coverage

from tools.mutants.messages import Answer, Request

_TICK_SECONDS = 0.02


def main() -> None:
    """Answer requests until standard input ends. The arguments are a folder and the test files in it."""
    folder, *tests = sys.argv[1:]
    os.chdir(folder)
    answers = os.fdopen(os.dup(1), "w")
    _silence()
    for name in _list_packages(tests):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(Request(**json.loads(line)))._asdict()), file=answers, flush=True)


def _list_packages(tests: list[str]) -> list[str]:
    """Return the modules that a collection of tests imports, except the project's own."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        pytest.main(["--collect-only", "--quiet", *tests])
        packages = sysconfig.get_path("purelib")
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        with os.fdopen(writing, "w") as pipe:
            json.dump([name for name, file in files.items() if file.startswith(packages)], pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names: list[str] = json.load(pipe)
    os.waitpid(child, 0)
    return names


def _run(request: Request) -> Answer:
    if not (child := os.fork()):
        os._exit(_run_tests(request))
    end = time.monotonic() + request.seconds
    try:
        while True:
            ended, status, usage = os.wait4(child, os.WNOHANG)
            if ended:
                return Answer(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)
            if time.monotonic() > end:
                _kill(child)
                _, _, usage = os.wait4(child, 0)
                return Answer(None, usage.ru_utime + usage.ru_stime)
            time.sleep(_TICK_SECONDS)
    finally:
        # Also the servers that killed tests leave behind.
        _kill(child)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _silence() -> None:
    output = os.open(os.environ["MUTANTS_OUTPUT"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _run_tests(request: Request) -> int:
    os.setpgrp()
    _silence()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    coverage = Coverage(config_file=request.settings, context=request.context) if request.context else None
    if coverage:
        coverage.start()
    try:
        return int(pytest.main(request.arguments))
    finally:
        if coverage:
            coverage.stop()
            coverage.save()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
