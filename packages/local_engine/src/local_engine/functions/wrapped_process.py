"""Functions with `AWS_LAMBDA_EXEC_WRAPPER`: a script starts the runtime, which speaks the Runtime API.

Source: "Modifying the runtime environment" (AWS Lambda Developer Guide). The script gets the command that starts the
runtime as its arguments, an interpreter and a file, and ends by running that command, one with further options, or a
custom runtime.
"""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path
from typing import override

from local_engine.building.search_paths import SearchPath
from local_engine.functions.invocation import FunctionError, Result
from local_engine.functions.process import RUNTIME, Process, describe_end, read_error, time_out
from local_engine.functions.runtime import SETTINGS_VARIABLE
from local_engine.functions.runtime_api import Exchange, RuntimeApi
from local_engine.template.stack import Function

_VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
_LAYERS = "/opt/"
_TASK_ROOT = "/var/task/"


def is_wrapped(function: Function) -> bool:
    """Return whether a script of the template starts the function's runtime."""
    return bool(function.environment.get(_VARIABLE))


class WrappedProcess(Process):
    """A process that a wrapper script starts."""

    _api: RuntimeApi
    _exchange: Exchange | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    @override
    def is_settled(self) -> bool:
        return self._exchange is None or self._exchange.settled.is_set()

    @override
    async def start(self) -> None:
        search_path = await self._find_search_path()
        wrapper = _find_wrapper(self._function.environment[_VARIABLE], search_path)
        interpreters = await asyncio.to_thread(_create_interpreters, search_path.state)
        self._api = RuntimeApi(read_error)
        settings = {
            "folders": search_path.folders,
            "sources": search_path.sources,
            "debug_port": self._settings.debug_port if self._is_debugged else None,
        }
        own = self._function.environment
        bins = [str(layer / "bin") for layer in search_path.layers if (layer / "bin").is_dir()]
        variables = {
            "AWS_LAMBDA_RUNTIME_API": await self._api.open(),
            _VARIABLE: str(wrapper),
            "LAMBDA_RUNTIME_DIR": str(search_path.folders[-1]),
            "PATH": os.pathsep.join([str(interpreters), *bins, own.get("PATH", os.environ.get("PATH", os.defpath))]),
            # In Lambda, that of the runtime. The packages of the function and its layers have their own folders here.
            "PYTHONPATH": os.pathsep.join(filter(None, [own.get("PYTHONPATH"), *map(str, search_path.folders[1:])])),
            # Each line shows at once.
            "PYTHONUNBUFFERED": "1",
            SETTINGS_VARIABLE: json.dumps(settings, default=str),
        }
        interpreter = str(interpreters / "python3")
        await self._launch(
            str(wrapper), interpreter, str(RUNTIME), task_root=search_path.task_root, variables=variables
        )
        try:
            async with asyncio.timeout(self._initialization_seconds):
                await self._api.wait_ready()
        except TimeoutError:
            self.kill()
            raise time_out("Initialization", self._initialization_seconds or 0) from None

    @override
    async def invoke(self, event: bytes, qualifier: str | None, request_id: str | None) -> Result:
        is_cold = self.is_new
        details = self._describe_invocation(qualifier, request_id)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": details["requestId"],
            "Lambda-Runtime-Deadline-Ms": str(int(details["deadline"])),
            "Lambda-Runtime-Invoked-Function-Arn": details["arn"],
            "Lambda-Runtime-Trace-Id": details["traceId"],
        }
        exchange = self._exchange = Exchange(details["requestId"], headers, event)
        if not self._is_debugged:
            self._timer = asyncio.get_running_loop().call_later(self._function.timeout, self._end_late, exchange)
        self._api.invoke(exchange)
        content_type = await asyncio.shield(exchange.started)
        return Result(content_type, exchange.pipe.read(), cold=is_cold)

    @override
    async def settle(self) -> FunctionError | None:
        if self._exchange is None:
            return None
        self._exchange.pipe.drop()
        await self._exchange.settled.wait()
        return self._exchange.pipe.error

    @override
    def _disconnect(self, status: int) -> None:
        self._api.end(describe_end(status))

    def _end_late(self, exchange: Exchange) -> None:
        if not exchange.settled.is_set():
            self.kill()
            exchange.fail(time_out("Task", self._function.timeout))


def _find_wrapper(path: str, search_path: SearchPath) -> Path:
    """Return a wrapper's place on this machine, given its path in Lambda.

    Raises:
        FunctionError: it does not exist or cannot be executed.
    """
    folders: tuple[Path, ...] = ()
    if path.startswith(_LAYERS):
        # Of a file that several layers have, Lambda keeps that of the last one.
        folders, path_below = search_path.layers[::-1], path.removeprefix(_LAYERS)
    else:
        folders, path_below = (search_path.task_root,), path.removeprefix(_TASK_ROOT)
    found = next((folder / path_below for folder in folders if (folder / path_below).is_file()), None)
    if found is None:
        message = f"{path}: does not exist"
        raise FunctionError(
            f"Its {_VARIABLE} is {path}, which is neither in its layers (/opt) nor in its folder (/var/task).",
            "Runtime.ExitError",
            message,
        )
    if not os.access(found, os.X_OK):
        raise FunctionError(
            f"Its {_VARIABLE} {found} is not executable. Run: chmod +x {shlex.quote(str(found))}",
            "Runtime.ExitError",
            f"{path}: is not an executable",
        )
    return found


def _create_interpreters(state: Path) -> Path:
    """Return a folder with commands such as `python3`, which see none of this environment's packages."""
    folder = state / "runtime" / "bin"
    script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n'
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        command = folder / name
        if not command.is_file() or command.read_text() != script:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = folder / f"{name}.{os.getpid()}"
            unfinished.write_text(script)
            unfinished.chmod(0o700)
            unfinished.replace(command)
    return folder
